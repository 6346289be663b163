//! A Redis server of a test's own: on a socket of its own, ended when the test's process ends, however that comes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::clock::Stopwatch;
use crate::process::Process;
use crate::wait::DEADLINE;

/// How many databases a server has: more than a test process has daemons.
const DATABASES: usize = 4_096;

/// The name of a file that says that the server is started again.
const KEEP: &str = "keep";

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
        let mut guard = self.guard.lock().unwrap();
        assert!(guard.is_none(), "the server is still running");
        let _ = fs::remove_file(self.dir.join(KEEP));
        *guard = Some(self.spawn());
        let waiting = Stopwatch::start();
        while self.try_command(0, &["PING"]).as_deref() != Some("PONG") {
            assert!(
                waiting.elapsed() < DEADLINE,
                "redis-server does not answer: {}",
                self.log()
            );
        }
    }

    /// Ends it as a crash would: what it has not saved is lost.
    pub fn kill(&self) {
        fs::write(self.dir.join(KEEP), "").expect("a file");
        let guard = self.guard.lock().unwrap().take();
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

    /// Runs a command. What it answers, as people read it.
    pub fn command(&self, database: usize, words: &[&str]) -> String {
        let answer = self.try_command(database, words);
        answer.unwrap_or_else(|| panic!("no answer to {words:?}: {}", self.log()))
    }

    /// Begins a command, and does not wait for what it answers.
    pub fn begin_command(&self, words: &[&str]) -> Child {
        self.client(0, words).spawn().expect("redis-cli")
    }

    fn try_command(&self, database: usize, words: &[&str]) -> Option<String> {
        let output = self
            .client(database, words)
            .output()
            .expect("redis-cli: install the package redis-server, or run scripts/test, which does");
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(answer)
    }

    fn client(&self, database: usize, words: &[&str]) -> Command {
        let mut command = Command::new("redis-cli");
        command
            .args(["-s", &self.socket(), "-n", &database.to_string()])
            .args(words)
            .stdin(Stdio::null());
        command
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut guard) = self.guard.lock().unwrap().take() {
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
