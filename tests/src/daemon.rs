//! A daemon of a test: started on a port of its own with a data directory of its own, ended in every way a process can
//! end, started again on the same directory. What it says on its log is shown when the test fails.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::binaries;
use crate::process::Process;
use crate::rest::Rest;
use crate::socket::{Hello, Socket};
use crate::wait::{wait_until, within_deadline};

const FIRST_LINE: &str = "presenced listening on http://";
const LOG_LINES_SHOWN: usize = 80;

/// How a daemon is to be started.
#[derive(Debug, Clone)]
pub struct Setup {
    program: PathBuf,
    flags: Vec<String>,
    listen: String,
    log: Log,
}

/// Where a daemon's log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Kept, and shown when the test fails.
    Kept,
    /// Into a pipe that nobody reads.
    NeverRead,
    /// Into a pipe whose other end is closed.
    Closed,
}

impl Setup {
    /// With these flags beside those of the fixture.
    pub fn new(flags: &[&str]) -> Self {
        Self {
            program: binaries::presenced().to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            listen: "127.0.0.1:0".to_owned(),
            log: Log::Kept,
        }
    }

    /// On a port that stays the same over restarts.
    pub fn keeping_its_port(mut self) -> Self {
        self.listen = format!("127.0.0.1:{}", lasting_port());
        self
    }

    /// On this address.
    pub fn listening_on(mut self, address: &str) -> Self {
        self.listen = address.to_owned();
        self
    }

    /// With another fate of its log.
    pub fn logging_to(mut self, log: Log) -> Self {
        self.log = log;
        self
    }

    /// Another program than the plain daemon.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    /// Starts it on a new data directory.
    pub async fn start(self) -> Daemon {
        self.start_in(Arc::new(new_home())).await
    }

    /// Starts it on the data directory in `home`.
    pub async fn start_in(self, home: Arc<TempDir>) -> Daemon {
        let mut daemon = Daemon {
            setup: self,
            home,
            running: None,
            log: Arc::default(),
        };
        daemon.start_again().await;
        daemon
    }

    /// Starts it on a new data directory.
    ///
    /// # Errors
    /// What it said if it did not want to.
    pub async fn try_start(self) -> Result<Daemon, Refusal> {
        let home = Arc::new(new_home());
        let mut daemon = Daemon {
            setup: self,
            home,
            running: None,
            log: Arc::default(),
        };
        daemon.try_start_again().await.map(|()| daemon)
    }

    fn command(&self, home: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home);
        command
            .arg("--listen")
            .arg(&self.listen)
            .arg("--data-dir")
            .arg(home.join("state"))
            .args(&self.flags);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .current_dir(home);
        command
    }
}

/// A daemon that would not start.
#[derive(Debug)]
pub struct Refusal {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said on stdout.
    pub stdout: String,
    /// What it said on stderr.
    pub stderr: String,
}

/// A running daemon, or one that has ended and may be started again.
#[derive(Debug)]
pub struct Daemon {
    setup: Setup,
    home: Arc<TempDir>,
    running: Option<Running>,
    log: Arc<Mutex<String>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Daemon {
    /// Starts one with these flags.
    pub async fn start(flags: &[&str]) -> Self {
        Setup::new(flags).start().await
    }

    /// Starts a daemon that is expected to refuse: on the data directory in `home`, with these flags.
    pub async fn refused(home: &Arc<TempDir>, flags: &[&str]) -> Refusal {
        let home = Arc::clone(home);
        let mut daemon = Self {
            setup: Setup::new(flags),
            home,
            running: None,
            log: Arc::default(),
        };
        daemon.try_start_again().await.expect_err("it started")
    }

    /// Starts it again on the same data directory.
    pub async fn start_again(&mut self) {
        if let Err(refusal) = self.try_start_again().await {
            panic!("the daemon did not start: {refusal:?}");
        }
    }

    async fn try_start_again(&mut self) -> Result<(), Refusal> {
        assert!(self.running.is_none(), "it is still running");
        let mut child = self.setup.command(self.home.path()).spawn().unwrap();
        let mut lines = read_lines(child.stdout.take().unwrap());
        let logged = match self.setup.log {
            Log::Kept => Some(keep_log(child.stderr.take().unwrap(), Arc::clone(&self.log))),
            // The child keeps the reading end, unread, until it is dropped.
            Log::NeverRead => None,
            Log::Closed => {
                drop(child.stderr.take());
                None
            }
        };
        let line = within_deadline("the daemon's first line, or its end", lines.recv()).await;
        let address = line
            .as_deref()
            .and_then(|line| line.strip_prefix(FIRST_LINE))
            .map(str::trim);
        if let Some(Ok(address)) = address.map(str::parse) {
            self.running = Some(Running { child, address });
            return Ok(());
        }
        let ended = wait_until("a daemon that refuses to start ends", async || {
            child.try_wait().unwrap()
        });
        let status = ended.await;
        if let Some(logged) = logged {
            tokio::task::spawn_blocking(|| logged.join().unwrap()).await.unwrap();
        }
        Err(Refusal {
            status,
            stdout: line.unwrap_or_default(),
            stderr: self.log(),
        })
    }

    /// `kill -9`, and waits for the end.
    pub fn kill(&mut self) {
        let mut running = self.running.take().unwrap();
        running.child.kill().unwrap();
        running.child.wait().unwrap();
    }

    /// `SIGTERM`, and waits for the end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process().terminate();
        self.ended().await
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut running = self.running.take().unwrap();
        wait_until("the daemon ends", async || running.child.try_wait().unwrap()).await
    }

    /// `kill -9` and a start on the same data directory.
    pub async fn crash_and_start_again(&mut self) {
        self.kill();
        self.start_again().await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.as_ref().unwrap().address
    }

    /// The process.
    pub fn process(&self) -> Process {
        Process::of(self.running.as_ref().unwrap().child.id())
    }

    /// The directory that holds the data directory.
    pub fn home(&self) -> &Arc<TempDir> {
        &self.home
    }

    /// A file of the data directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join("state").join(name)
    }

    /// The internal secret.
    pub fn secret(&self) -> String {
        std::fs::read_to_string(self.file("secret"))
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .trim()
            .to_owned()
    }

    /// The generated key for users' tokens.
    pub fn jwt_key(&self) -> String {
        std::fs::read_to_string(self.file("jwt-key")).unwrap().trim().to_owned()
    }

    /// What it logged so far, over all its lives.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Its REST interface.
    pub fn rest(&self) -> Rest {
        Rest::new(self.address(), self.secret())
    }

    /// A WebSocket of this user.
    pub async fn socket(&self, user: &str) -> Socket {
        Socket::connect(self.address(), Hello::user(user)).await.unwrap()
    }

    /// A WebSocket of an operator.
    pub async fn observer(&self) -> Socket {
        Socket::connect(self.address(), Hello::observer(&self.secret()))
            .await
            .unwrap()
    }

    /// Waits until everything that is written behind is on disk.
    pub async fn written(&self) {
        let rest = self.rest();
        wait_until("all is written", async || {
            (rest.stats().await.store.pending_writes == 0).then_some(())
        })
        .await;
    }

    fn last_log_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.child.kill().ok();
            running.child.wait().ok();
        }
        if std::thread::panicking() {
            eprintln!(
                "--- the daemon's log ---\n{}\n--- end of the log ---",
                self.last_log_lines()
            );
        }
    }
}

fn read_lines(out: impl Read + Send + 'static) -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            sender.send(line).ok();
        }
    });
    receiver
}

fn keep_log(err: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    })
}

fn new_home() -> TempDir {
    tempfile::Builder::new().prefix("presence-test-").tempdir().unwrap()
}

/// A free port outside the range from which the system picks ports by itself, so that it is still free after a restart.
fn lasting_port() -> u16 {
    loop {
        let port = 20_000 + (getrandom::u32().unwrap() % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
