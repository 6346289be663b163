//! The daemon under test: started on its own port and data directory, stopped by signals, and restarted on the same
//! directory. Its log is printed when the test fails.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::binaries;
use crate::postgres_server::PostgresServer;
use crate::process::Process;
use crate::redis_server::{self, RedisServer};
use crate::rest::Rest;
use crate::wait::{wait_until, within_deadline};
use crate::websocket::{HandshakeHeaders, Socket};

const FIRST_LINE: &str = "presenced listening on http://";
const LOG_LINES_SHOWN: usize = 80;

/// The configuration of a daemon under test.
#[derive(Debug, Clone)]
pub struct Setup {
    program: PathBuf,
    flags: Vec<String>,
    listen: String,
    log: LogTarget,
}

/// The destination of a daemon's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget {
    /// Collected, and printed when the test fails.
    Kept,
    /// A pipe that is never read.
    NeverRead,
    /// A pipe whose reading end is closed.
    Closed,
}

impl Setup {
    /// Uses these flags beside those of the fixture.
    pub fn new(flags: &[&str]) -> Self {
        Self {
            program: binaries::presenced().to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            listen: "127.0.0.1:0".to_owned(),
            log: LogTarget::Kept,
        }
    }

    /// Listens on a port that stays the same over restarts.
    pub fn on_fixed_port(mut self) -> Self {
        self.listen = format!("127.0.0.1:{}", fixed_port());
        self
    }

    /// Listens on this address.
    pub fn listening_on(mut self, address: &str) -> Self {
        self.listen = address.to_owned();
        self
    }

    /// Sends the log elsewhere.
    pub fn logging_to(mut self, log: LogTarget) -> Self {
        self.log = log;
        self
    }

    /// Starts another program than the default build.
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    /// Starts the daemon on a new data directory.
    pub async fn start(self) -> Daemon {
        self.start_in(Arc::new(new_home())).await
    }

    /// Starts the daemon on the data directory in `home`.
    pub async fn start_in(self, home: Arc<TempDir>) -> Daemon {
        let mut daemon = self.daemon(home);
        daemon.start_again().await;
        daemon
    }

    /// A daemon that was not started yet.
    fn daemon(self, home: Arc<TempDir>) -> Daemon {
        Daemon {
            setup: self,
            home,
            running: None,
            log: Arc::default(),
        }
    }

    /// Starts the daemon on a new data directory.
    ///
    /// # Errors
    /// The output of a daemon that exited instead of listening.
    pub async fn try_start(self) -> Result<Daemon, StartFailure> {
        let mut daemon = self.daemon(Arc::new(new_home()));
        daemon.try_start_again().await.map(|()| daemon)
    }

    /// Whether the tests are run on PostgreSQL, and no flag of this daemon names another database.
    fn is_on_postgres(&self) -> bool {
        let is_wanted = std::env::var_os("PRESENCE_TEST_STORE").is_some_and(|store| store == "postgres");
        is_wanted && !self.flags.iter().any(|flag| flag.starts_with("--database"))
    }

    /// Whether it is on a cluster of one node, and no flag of this daemon names another one.
    fn is_on_redis(&self) -> bool {
        redis_server::is_wanted() && !self.flags.iter().any(|flag| flag.starts_with("--redis"))
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
        if self.is_on_postgres() {
            command.args(["--database", &PostgresServer::shared().url_of(home)]);
        }
        if self.is_on_redis() {
            command.args(["--redis", &RedisServer::shared().url_of(home)]);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .current_dir(home);
        command
    }
}

/// The output of a daemon that exited instead of listening.
#[derive(Debug)]
pub struct StartFailure {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A daemon that is running, or that has exited and can be restarted.
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
    /// Starts a daemon with these flags on a new data directory.
    pub async fn start(flags: &[&str]) -> Self {
        Setup::new(flags).start().await
    }

    /// Starts a daemon that must fail to start, on the data directory in `home`, with these flags.
    pub async fn start_failure(home: &Arc<TempDir>, flags: &[&str]) -> StartFailure {
        let mut daemon = Setup::new(flags).daemon(Arc::clone(home));
        daemon.try_start_again().await.expect_err("the daemon started")
    }

    /// Restarts the daemon on the same data directory.
    pub async fn start_again(&mut self) {
        if let Err(failure) = self.try_start_again().await {
            panic!("the daemon did not start: {failure:?}");
        }
    }

    async fn try_start_again(&mut self) -> Result<(), StartFailure> {
        assert!(self.running.is_none(), "the daemon is still running");
        let mut child = self.setup.command(self.home.path()).spawn().unwrap();
        let mut lines = read_lines(child.stdout.take().unwrap());
        let logged = match self.setup.log {
            LogTarget::Kept => Some(keep_log(child.stderr.take().unwrap(), Arc::clone(&self.log))),
            // The child keeps the reading end, unread, until it is dropped.
            LogTarget::NeverRead => None,
            LogTarget::Closed => {
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
        let ended = wait_until("a daemon that fails to start exits", async || child.try_wait().unwrap());
        let status = ended.await;
        if let Some(logged) = logged {
            tokio::task::spawn_blocking(|| logged.join().unwrap()).await.unwrap();
        }
        Err(StartFailure {
            status,
            stdout: line.unwrap_or_default(),
            stderr: self.log(),
        })
    }

    /// Whether it shares its users through Redis.
    pub fn is_in_cluster(&self) -> bool {
        self.setup.is_on_redis() || self.setup.flags.iter().any(|flag| flag.starts_with("--redis"))
    }

    /// Sends `SIGKILL` and waits for the exit.
    pub fn kill(&mut self) {
        let mut running = self.running.take().unwrap();
        running.child.kill().unwrap();
        running.child.wait().unwrap();
    }

    /// Sends `SIGTERM` and waits for the exit.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process().terminate();
        self.ended().await
    }

    /// Waits for the exit.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut running = self.running.take().unwrap();
        wait_until("the daemon exits", async || running.child.try_wait().unwrap()).await
    }

    /// Sends `SIGKILL` and restarts the daemon on the same data directory.
    pub async fn crash_and_start_again(&mut self) {
        self.kill();
        self.start_again().await;
    }

    pub fn address(&self) -> SocketAddr {
        self.running.as_ref().unwrap().address
    }

    pub fn process(&self) -> Process {
        Process::of(self.running.as_ref().unwrap().child.id())
    }

    /// The directory that holds the data directory.
    pub fn home(&self) -> &Arc<TempDir> {
        &self.home
    }

    /// The path of a file in the data directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.path().join("state").join(name)
    }

    pub fn secret(&self) -> String {
        std::fs::read_to_string(self.file("secret"))
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .trim()
            .to_owned()
    }

    /// The generated HS256 key of users' tokens.
    pub fn jwt_key(&self) -> String {
        std::fs::read_to_string(self.file("jwt-key")).unwrap().trim().to_owned()
    }

    /// The kind of its database.
    pub fn store_kind(&self) -> &'static str {
        match self.setup.is_on_postgres() {
            true => "postgres",
            false => "sqlite",
        }
    }

    /// Changes one row of its database while it is stopped.
    pub fn edit_database(&self, sql: &str) {
        if self.setup.is_on_postgres() {
            let changed = format!("WITH changed AS ({sql} RETURNING 1) SELECT count(*) FROM changed");
            let server = PostgresServer::shared();
            let changed = server.sql(&server.database_of(self.home.path()), &changed);
            assert_eq!(changed, "1", "{sql}");
            return;
        }
        let file = rusqlite::Connection::open(self.file("presence.db")).unwrap();
        assert_eq!(file.execute(sql, []).unwrap(), 1, "{sql}");
    }

    /// The log so far, over all runs.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn rest(&self) -> Rest {
        Rest::new(self.address(), self.secret())
    }

    /// Connects a WebSocket of this user.
    pub async fn socket(&self, user: &str) -> Socket {
        Socket::connect(self.address(), HandshakeHeaders::user(user))
            .await
            .unwrap()
    }

    /// Connects a WebSocket of an observer.
    pub async fn observer(&self) -> Socket {
        Socket::connect(self.address(), HandshakeHeaders::observer(&self.secret()))
            .await
            .unwrap()
    }

    /// Waits until the write-behind queue is empty.
    pub async fn flushed(&self) {
        let rest = self.rest();
        wait_until("the write-behind queue is empty", async || {
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

/// A free port outside the ephemeral range, so that it is still free after a restart.
fn fixed_port() -> u16 {
    loop {
        let port = 20_000 + (getrandom::u32().unwrap() % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
