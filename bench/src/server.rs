//! A server under load, the daemon or the floor: a process of its own on a core of its own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::callgrind;
use crate::cores;
use crate::usage;

/// Limits of the daemon, none of which a workload is about, above what any workload does.
const UNLIMITED: [&str; 13] = [
    "--choices-per-10s",
    "--messages-per-second",
    "--messages-burst",
    "--bytes-per-second",
    "--bytes-burst",
    "--lookups-per-second",
    "--lookups-burst",
    "--handshakes-per-second",
    "--handshakes-burst",
    "--watched-per-connection",
    "--watched-per-user",
    "--reports-per-user",
    "--failed-logins-per-minute",
];
const NO_LIMIT: &str = "1000000000";

/// Files of a server that are no connections: its database, its threads' and those that it rejects connections with.
const OTHER_FILES: u64 = 128;

/// How many connections a server may have.
pub(crate) fn connections_max(open_files: u64) -> usize {
    usize::try_from(open_files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX)
}

pub(crate) struct Server {
    process: Child,
    address: SocketAddr,
    secret: String,
    jwt_key: String,
    /// The data directory, which goes with the daemon.
    home: TempDir,
}

impl Server {
    /// Starts a daemon on a new data directory.
    pub(crate) fn daemon(program: &Path) -> Result<Self> {
        Self::start_daemon(pinned(program), new_home()?, "warn")
    }

    /// Starts a daemon whose instructions are counted.
    pub(crate) fn counted(program: &Path) -> Result<Self> {
        let home = new_home()?;
        let mut words = callgrind::words(home.path()).into_iter();
        let mut command = pinned(Path::new(&words.next().context("no tool")?));
        command.args(words).arg(program);
        // Each time the instructions are read it stands still, of which it would warn.
        Self::start_daemon(command, home, "error")
    }

    /// Stops a daemon, and starts it on what it has stored: nothing of before is left in its memory.
    pub(crate) fn restarted(mut self, program: &Path) -> Result<Self> {
        let process = Pid::from_child(&self.process);
        rustix::process::kill_process(process, Signal::TERM)?;
        let status = self.process.wait()?;
        ensure!(status.success(), "the daemon did not stop: {status}");
        let home = std::mem::replace(&mut self.home, tempfile::tempdir()?);
        Self::start_daemon(pinned(program), home, "warn")
    }

    fn start_daemon(mut command: Command, home: TempDir, log_level: &str) -> Result<Self> {
        command.args(["--listen", "127.0.0.1:0", "--log-level", log_level, "--data-dir"]);
        command.arg(home.path().join("state"));
        for limit in UNLIMITED {
            command.args([limit, NO_LIMIT]);
        }
        // All connections come from one address.
        let connections = connections_max(crate::open_files()).to_string();
        for limit in [
            "--max-connections",
            "--connections-per-address",
            "--unauthenticated-connections",
        ] {
            command.args([limit, &connections]);
        }
        command.args(["--kept-for-websockets", "1"]);
        let mut server = Self::start(command, home)?;
        server.secret = server.stored("secret")?;
        server.jwt_key = server.stored("jwt-key")?;
        Ok(server)
    }

    /// Starts one of the servers of this program.
    pub(crate) fn floor(arguments: &[&str]) -> Result<Self> {
        // By the process, not by its path: a build may have replaced the file meanwhile.
        let program = format!("/proc/{}/exe", std::process::id());
        let mut command = pinned(Path::new(&program));
        command.args(arguments);
        let mut server = Self::start(command, tempfile::tempdir()?)?;
        // As long as those of the daemon.
        server.secret = "0".repeat(64);
        server.jwt_key = "0".repeat(64);
        Ok(server)
    }

    fn start(mut command: Command, home: TempDir) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().context("can't run `setpriv`, which is of util-linux")?;
        let output = process.stdout.take().context("no output")?;
        let first = BufReader::new(output).lines().next();
        let line = first.context("the server has ended")??;
        let address = line.rsplit("http://").next().unwrap_or_default();
        let address = address.parse().with_context(|| format!("no address in: {line}"))?;
        Ok(Self {
            process,
            address,
            secret: String::new(),
            jwt_key: String::new(),
            home,
        })
    }

    fn stored(&self, name: &str) -> Result<String> {
        let text = std::fs::read_to_string(self.data_dir().join(name))?;
        Ok(text.trim().to_owned())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The internal secret.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// The key that signs users' tokens.
    pub(crate) fn jwt_key(&self) -> &str {
        &self.jwt_key
    }

    /// The data directory of a daemon.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// Its number in `/proc`.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    /// How many instructions a daemon has executed since it was asked last. For one that was started by [`Server::counted`].
    pub(crate) fn instructions(&self) -> Result<u64> {
        callgrind::take(self.process(), self.home.path())
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        usage::resident(self.process())
    }
}

fn new_home() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("presence-bench-").tempdir()?)
}

/// A command that runs on the core of servers, all of its threads, and ends with this process, however that ends.
fn pinned(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "taskset",
        "--cpu-list",
        &cores::SERVERS.to_string(),
    ]);
    command.arg(program);
    command
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
