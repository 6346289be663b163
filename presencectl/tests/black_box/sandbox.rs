//! An isolated environment for each test: a home, a data directory, and the binary with a clean environment.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use rustix::fs::{FlockOperation, flock};

use crate::DEADLINE;

/// The internal secret of the fake daemon.
pub(crate) const SECRET: &str = "the-internal-secret-0123456789";

pub(crate) struct Sandbox {
    directory: tempfile::TempDir,
    /// The lock of the data directory, held as the daemon holds it while it runs.
    lock: Option<fs::File>,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// Without a daemon.
    pub(crate) fn new() -> Self {
        let sandbox = Self {
            directory: tempfile::tempdir().unwrap(),
            lock: None,
        };
        fs::create_dir_all(sandbox.data_dir()).unwrap();
        fs::set_permissions(sandbox.data_dir(), fs::Permissions::from_mode(0o700)).unwrap();
        sandbox
    }

    /// With the data directory of a daemon at this address.
    pub(crate) fn with_daemon(address: &str) -> Self {
        let mut sandbox = Self::new();
        sandbox.hold_lock();
        sandbox.private("presenced/address", &format!("http://{address}\n"));
        sandbox.private("presenced/secret", &format!("{SECRET}\n"));
        sandbox.private("presenced/jwt-key", "0123456789abcdef0123456789abcdef");
        sandbox
    }

    /// A daemon starts.
    pub(crate) fn hold_lock(&mut self) {
        let lock = fs::File::open(self.private("presenced/lock", "1\n")).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        self.lock = Some(lock);
    }

    /// The daemon is gone; its files are still there.
    pub(crate) fn release_lock(&mut self) {
        // Closing the file is not enough: a process that another test is starting has a copy of it.
        let lock = self.lock.take().unwrap();
        flock(&lock, FlockOperation::Unlock).unwrap();
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("presenced")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file with mode 0600.
    pub(crate) fn private(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_presencectl"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.directory.path())
            .env("XDG_STATE_HOME", self.directory.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("LOGNAME", "op")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        read(self.command(arguments).spawn().unwrap())
    }

    pub(crate) fn run_with_stdin(&self, arguments: &[&str], stdin: &str) -> Run {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // A command that fails early does not read it.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        read(child)
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(arguments).spawn().unwrap();
        Running {
            lines: lines(child.stdout.take().unwrap()),
            errors: lines(child.stderr.take().unwrap()),
            child,
        }
    }
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn read(child: Child) -> Run {
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A running command; killed on drop.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Running {
    /// The next line of stdout.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).unwrap()
    }

    /// The next line of stderr.
    pub(crate) fn error_line(&self) -> String {
        self.errors.recv_timeout(DEADLINE).unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end. Stdout is read until then, so the process never blocks.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>, String) {
        let rest: Vec<_> = self.lines.iter().collect();
        let errors: Vec<_> = self.errors.iter().collect();
        (self.child.wait().unwrap(), rest, errors.join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
