//! Runs `presencectl` against the daemon of a test.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::binaries;
use crate::daemon::Daemon;
use crate::process::Process;
use crate::wait::within_deadline;

/// The output of a finished command.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl CommandOutput {
    /// Parses stdout as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Makes a command in an isolated environment that finds the files of this daemon.
pub fn command(daemon: &Daemon, args: &[&str]) -> Command {
    let mut command = Command::new(binaries::presencectl());
    command
        .env_clear()
        .envs(environment(daemon))
        .args(args)
        .current_dir(daemon.home().path());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The environment of [`command`]: `XDG_STATE_HOME` leads to the daemon's data directory.
pub fn environment(daemon: &Daemon) -> Vec<(&'static str, OsString)> {
    let home = daemon.home().path();
    // Without configuration the tool looks into the default data directory.
    let default = home.join("xdg").join("presenced");
    std::fs::create_dir_all(default.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(home.join("state"), default).ok();
    environment_at(home)
}

/// The isolated environment in any directory, without a daemon.
pub fn environment_at(home: &Path) -> Vec<(&'static str, OsString)> {
    vec![
        ("PATH", std::env::var_os("PATH").unwrap_or_default()),
        ("HOME", home.into()),
        ("XDG_STATE_HOME", home.join("xdg").into()),
        ("XDG_CONFIG_HOME", home.join("config").into()),
        ("LOGNAME", "tester".into()),
    ]
}

/// Runs `presencectl` and waits until it exits.
pub async fn run(daemon: &Daemon, args: &[&str]) -> CommandOutput {
    let mut command = command(daemon, args);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    let Output { status, stdout, stderr } = within_deadline("presencectl ends", ended).await.unwrap();
    CommandOutput {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// A running command whose output lines are collected. Killed when dropped.
#[derive(Debug)]
pub struct StreamingCommand {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl StreamingCommand {
    pub fn start(daemon: &Daemon, args: &[&str]) -> Self {
        let mut child = command(daemon, args).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let read = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                read.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    /// The lines of stdout so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Whether some line contains all these parts.
    pub fn has(&self, parts: &[&str]) -> Option<()> {
        let lines = self.lines();
        lines
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part)))
            .then_some(())
    }

    /// Sends `SIGINT`.
    pub fn interrupt(&self) {
        Process::of(self.child.id()).interrupt();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for StreamingCommand {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
