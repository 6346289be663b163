//! A Redis server of a test's own: on a socket of its own, ended when the test's process ends, however that comes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::clock::Stopwatch;
use crate::process::{OwnedChild, Process};
use crate::wait::{DEADLINE, next_look_of_thread};

/// How many databases a server has: more than a test process has daemons.
const DATABASES: usize = 4_096;

/// The name of a file that says that the server is started again.
const KEEP: &str = "keep";

/// After how many seconds a command has failed: longer than any fault of a test takes.
const COMMAND_SECONDS: &str = "60";

/// A server that runs, or was ended for a while.
#[derive(Debug)]
pub struct RedisServer {
    dir: PathBuf,
    /// Further arguments of the server.
    settings: Vec<String>,
    databases: AtomicUsize,
    /// Ends the server and removes its files when its standard input ends, with this process or before; none while the server
    /// is ended.
    guard: Mutex<Option<Child>>,
}

impl RedisServer {
    /// The server that the tests of a process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<RedisServer> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// Starts a server with these further arguments, and waits until it answers.
    pub fn start(settings: &[&str]) -> Self {
        let server = Self {
            dir: unused(),
            settings: settings.iter().map(|one| (*one).to_owned()).collect(),
            databases: AtomicUsize::new(0),
            guard: Mutex::new(None),
        };
        fs::create_dir(&server.dir).expect("a directory");
        server.start_again();
        server
    }

    /// Starts it after it was ended, with what is on its disk.
    pub fn start_again(&self) {
        assert!(self.guard().is_none(), "the server is still running");
        let _ = fs::remove_file(self.dir.join(KEEP));
        let started = self.spawn();
        *self.guard() = Some(started);
        let waiting = Stopwatch::start();
        while self.try_command(0, &["PING"]).as_deref() != Ok("PONG") {
            assert!(
                waiting.elapsed() < DEADLINE,
                "redis-server (which scripts/test installs) does not answer: {}",
                self.log()
            );
            next_look_of_thread();
        }
    }

    /// Also of a test that failed.
    fn guard(&self) -> MutexGuard<'_, Option<Child>> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it as a crash would: what it has not saved is lost.
    pub fn kill(&self) {
        fs::write(self.dir.join(KEEP), "").expect("a file");
        let guard = self.guard().take();
        let mut guard = guard.expect("a server that runs");
        drop(guard.stdin.take());
        guard.wait().expect("the end of the server");
    }

    /// In a session of its own, so that an interrupt of the tests does not end it first.
    fn spawn(&self) -> Child {
        let (socket, dir) = (self.socket(), self.dir.display().to_string());
        let script = format!(
            "redis-server \"$@\" & server=$!; cat >/dev/null; kill -9 $server; wait $server; \
             test -e {dir}/{KEEP} || rm -rf {dir}"
        );
        let log = self.log_path().display().to_string();
        Command::new("setsid")
            .args(["sh", "-c", &script, "sh", "--port", "0", "--save", "", "--dir", &dir])
            .args(["--unixsocket", &socket, "--logfile", &log])
            .args(["--databases", &DATABASES.to_string(), "--enable-debug-command", "local"])
            .args(&self.settings)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell")
    }

    /// The path of its Unix socket.
    pub fn socket_path(&self) -> PathBuf {
        self.dir.join("socket")
    }

    fn socket(&self) -> String {
        self.socket_path().display().to_string()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The process of the server.
    pub fn process(&self) -> Process {
        let info = self.command(0, &["INFO", "server"]);
        let id = info.lines().find_map(|line| line.strip_prefix("process_id:"));
        Process::of(id.and_then(|id| id.trim().parse().ok()).expect("a process id"))
    }

    /// A database that nobody has used.
    pub fn new_database(&self) -> usize {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        assert!(number < DATABASES, "too many databases");
        number
    }

    /// The URL of a database.
    pub fn url(&self, database: usize) -> String {
        format!("redis+unix://{}?db={database}", self.socket())
    }

    /// The URL of the database of the daemons with this home.
    pub fn url_of(&self, home: &Path) -> String {
        self.url(self.database_of(home))
    }

    /// The database of the daemons with this home.
    pub fn database_of(&self, home: &Path) -> usize {
        static NUMBERS: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());
        let mut numbers = NUMBERS.lock().unwrap();
        *numbers.entry(home.to_owned()).or_insert_with(|| self.new_database())
    }

    /// Runs a command, which must not fail. What it answers, as people read it.
    pub fn command(&self, database: usize, words: &[&str]) -> String {
        let answer = self.try_command(database, words);
        answer.unwrap_or_else(|error| panic!("{words:?}: {error}: {}", self.log()))
    }

    /// Begins a command, and does not wait for what it answers. The exit of this child says whether it failed.
    pub fn begin_command(&self, words: &[&str]) -> OwnedChild {
        OwnedChild::spawn(&mut self.client(0, words))
    }

    /// Runs a command. What it answers, as people read it.
    ///
    /// # Errors
    /// The error that it answers, or why there is no answer.
    pub fn try_command(&self, database: usize, words: &[&str]) -> Result<String, String> {
        let output = self.client(database, words).output().expect("timeout, of coreutils");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&[output.stdout, output.stderr].concat())),
        }
    }

    fn client(&self, database: usize, words: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["--foreground", COMMAND_SECONDS, "redis-cli", "-e"])
            .args(["-s", &self.socket(), "-n", &database.to_string()])
            .args(words)
            .stdin(Stdio::null());
        command
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard().take() {
            drop(guard.stdin.take());
            let _ = guard.wait();
        }
        // Left there if it was ended to be started again.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn unused() -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("presence-redis-{}-{number}", std::process::id()))
}
