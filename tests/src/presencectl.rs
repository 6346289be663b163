//! Runs `presencectl` against the daemon of a test.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::binaries;
use crate::daemon::Daemon;
use crate::process::{OwnedChild, Process};
use crate::wait::{wait_until, within_deadline};

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
    finish(command(daemon, args)).await
}

/// Runs `presencectl` on a machine without a daemon, as it were: nothing is found below this directory but what a test puts there.
pub async fn run_at(home: &Path, args: &[&str]) -> CommandOutput {
    let mut command = Command::new(binaries::presencectl());
    command
        .env_clear()
        .envs(environment_at(home))
        .args(args)
        .current_dir(home);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    finish(command).await
}

async fn finish(mut command: Command) -> CommandOutput {
    let mut child = OwnedChild::spawn(&mut command);
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let both = async { tokio::join!(read_all(out), read_all(err)) };
    let (out, err) = within_deadline("presencectl closes its output", both).await;
    let status = wait_until("presencectl ends", async || child.try_wait().unwrap()).await;
    let code = status.code().unwrap_or(-1);
    CommandOutput { code, out, err }
}

async fn read_all(mut pipe: impl Read + Send + 'static) -> String {
    let reading = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).map(|_| text)
    });
    reading.await.unwrap().unwrap()
}

/// A running command whose output lines are collected. Killed when dropped.
#[derive(Debug)]
pub struct StreamingCommand {
    child: OwnedChild,
    lines: Arc<Mutex<Vec<String>>>,
}

impl StreamingCommand {
    pub fn start(daemon: &Daemon, args: &[&str]) -> Self {
        let mut child = OwnedChild::spawn(command(daemon, args).stderr(Stdio::null()));
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
