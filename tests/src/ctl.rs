//! `presencectl` as somebody types it, against the daemon of a test.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::binaries;
use crate::daemon::Daemon;
use crate::wait::within_deadline;

/// What it said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// On stdout.
    pub out: String,
    /// On stderr.
    pub err: String,
}

impl Said {
    /// Stdout as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Ready to run on the files of this daemon, and with nothing of the person's who runs the tests.
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

/// The environment of somebody who works on the machine of this daemon, and nothing of the person's who runs the tests.
pub fn environment(daemon: &Daemon) -> Vec<(&'static str, OsString)> {
    let home = daemon.home().path();
    // Without any configuration the tool looks where the daemon by default keeps its state.
    let default = home.join("xdg").join("presenced");
    std::fs::create_dir_all(default.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(home.join("state"), default).ok();
    environment_at(home)
}

/// The same in any directory, without a daemon's files.
pub fn environment_at(home: &Path) -> Vec<(&'static str, OsString)> {
    vec![
        ("PATH", std::env::var_os("PATH").unwrap_or_default()),
        ("HOME", home.into()),
        ("XDG_STATE_HOME", home.join("xdg").into()),
        ("XDG_CONFIG_HOME", home.join("config").into()),
        ("LOGNAME", "tester".into()),
    ]
}

/// Runs it to its end.
pub async fn run(daemon: &Daemon, args: &[&str]) -> Said {
    let mut command = command(daemon, args);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    let Output { status, stdout, stderr } = within_deadline("presencectl ends", ended).await.unwrap();
    Said {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// A run that goes on, and whose lines are looked at meanwhile. Ended when dropped.
#[derive(Debug)]
pub struct Following {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Following {
    /// Starts it.
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

    /// What it said so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Whether one line has all these parts.
    pub fn has(&self, parts: &[&str]) -> Option<()> {
        let lines = self.lines();
        lines
            .iter()
            .any(|line| parts.iter().all(|part| line.contains(part)))
            .then_some(())
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
