//! A daemon of a test: started on a port of its own with a data directory of its own, ended in every way a process can
//! end, started again on the same directory. What it says on its log is shown when the test fails.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

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
}

impl Setup {
    /// With these flags beside those of the fixture.
    pub fn new(flags: &[&str]) -> Self {
        Self {
            program: binaries::presenced().to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            listen: "127.0.0.1:0".to_owned(),
        }
    }

    /// On a port that stays the same over restarts.
    pub fn keeping_its_port(mut self) -> Self {
        self.listen = format!("127.0.0.1:{}", lasting_port());
        self
    }

    /// Another program than the plain daemon.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    /// Starts it on a new data directory.
    pub async fn start(self) -> Daemon {
        let home = Arc::new(tempfile::Builder::new().prefix("presence-test-").tempdir().unwrap());
        self.start_in(home).await
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
    pub async fn refused(home: &Path, flags: &[&str]) -> Refusal {
        let mut child = Setup::new(flags).command(home).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut err = child.stderr.take().unwrap();
        let said = tokio::task::spawn_blocking(move || {
            let (mut stdout, mut stderr) = (String::new(), String::new());
            out.read_to_string(&mut stdout).unwrap();
            err.read_to_string(&mut stderr).unwrap();
            (stdout, stderr)
        });
        let ended = wait_until("the daemon refuses to start", async || child.try_wait().unwrap());
        let status = ended.await;
        let (stdout, stderr) = within_deadline("its last words", said).await.unwrap();
        Refusal { status, stdout, stderr }
    }

    /// Starts it again on the same data directory.
    pub async fn start_again(&mut self) {
        assert!(self.running.is_none(), "it is still running");
        let mut child = self.setup.command(self.home.path()).spawn().unwrap();
        let mut lines = read_lines(child.stdout.take().unwrap());
        keep_log(child.stderr.take().unwrap(), Arc::clone(&self.log));
        let line = within_deadline("the daemon's first line", lines.recv()).await;
        let address = line
            .as_deref()
            .and_then(|line| line.strip_prefix(FIRST_LINE))
            .map(str::trim);
        let Some(Ok(address)) = address.map(str::parse) else {
            child.kill().ok();
            let status = child.wait();
            panic!("not a first line: {line:?} ({status:?})\n{}", self.last_log_lines());
        };
        self.running = Some(Running { child, address });
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

fn keep_log(err: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
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
