//! `presencectl` as somebody types it, against the daemon of a test.

use std::process::{Command, Output, Stdio};

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
    let home = daemon.home().path();
    let mut command = Command::new(binaries::presencectl());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home);
    // Without any configuration the tool looks where the daemon by default keeps its state.
    let default = home.join("xdg").join("presenced");
    std::fs::create_dir_all(default.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(home.join("state"), default).ok();
    command
        .env("XDG_STATE_HOME", home.join("xdg"))
        .env("XDG_CONFIG_HOME", home.join("config"));
    command.env("LOGNAME", "tester").args(args).current_dir(home);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
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
