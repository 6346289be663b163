//! A PostgreSQL server of a test's own: on a loopback port and a socket of its own, ended when the test's process ends, however
//! that comes.
//!
//! Debian keeps the server's programs out of PATH, and `initdb` refuses root: then it runs as another user.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::ports::free_port;

/// How the server writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// Nothing is synced: fast, and as good as any other where the machine does not fail.
    Unsynced,
    /// As in production.
    Synced,
}

/// A server that runs, or was stopped for a while.
#[derive(Debug)]
pub struct PostgresServer {
    /// Where its programs are.
    programs: PathBuf,
    dir: PathBuf,
    port: u16,
    /// Ends the server and removes its files when its standard input ends, with this process or before.
    guard: Child,
    databases: AtomicUsize,
}

/// The user of every connection; it may do everything.
pub const USER: &str = "presence";

impl PostgresServer {
    /// The server that the tests of a process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(Disk::Unsynced))
    }

    /// Makes and starts a server.
    pub fn start(disk: Disk) -> Self {
        let server = Self::prepared(programs());
        let data = server.data();
        let data = data.to_str().expect("a path in UTF-8");
        server.run(
            "initdb",
            &["-D", data, "-U", USER, "--auth=trust", "-E", "UTF8", "--locale=C", "-N"],
        );
        server.configure(&server.basic_settings(disk));
        server.start_again();
        server
    }

    /// A place for a server, without its files.
    fn prepared(programs: PathBuf) -> Self {
        let root = std::env::temp_dir();
        let dir = unused(&root);
        fs::create_dir(&dir).expect("a directory");
        let port = free_port();
        if let Some((uid, gid)) = other_user() {
            chown(&dir, Some(uid), Some(gid)).expect("another owner");
        }
        let guard = guard(&programs, &dir);
        Self {
            programs,
            dir,
            port,
            guard,
            databases: AtomicUsize::new(0),
        }
    }

    /// Makes and starts a standby of a server, which follows it as far as it runs.
    pub fn standby_of(primary: &Self) -> Self {
        let standby = Self::prepared(programs());
        let data = standby.data();
        let (data, socket) = (
            data.to_str().expect("a path in UTF-8"),
            primary.dir.to_str().expect("a path in UTF-8"),
        );
        let port = primary.port.to_string();
        let source = ["-D", data, "-R", "-c", "fast", "-h", socket, "-p", &port, "-U", USER];
        standby.run("pg_basebackup", &source);
        standby.configure(&standby.basic_settings(Disk::Unsynced));
        standby.start_again();
        standby
    }

    /// The URL of a database of either server: of the one that takes writes.
    pub fn url_of_either(&self, standby: &Self, database: &str) -> String {
        let own = format!("127.0.0.1:{}", self.port);
        self.url(database)
            .replace(&own, &format!("{own},127.0.0.1:{}", standby.port))
    }

    /// Whether a standby has all that its primary has.
    pub fn has_all_of(&self, primary: &Self) -> bool {
        let reached = primary.sql("postgres", "SELECT pg_current_wal_lsn()");
        self.sql("postgres", &format!("SELECT pg_last_wal_replay_lsn() >= '{reached}'")) == "t"
    }

    /// Makes a primary of a standby.
    pub fn promote(&self) {
        self.control(&["promote", "-w"]);
    }

    fn basic_settings(&self, disk: Disk) -> String {
        let synced = if disk == Disk::Synced { "on" } else { "off" };
        format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\nfsync = {synced}\n\
             full_page_writes = {synced}\nmax_connections = 200\nshared_buffers = 32MB\nlog_min_messages = log\n",
            self.port,
            self.dir.display()
        )
    }

    /// Adds settings, in force from the next start or reload on.
    pub fn configure(&self, settings: &str) {
        let mut file = fs::OpenOptions::new()
            .append(true)
            .open(self.data().join("postgresql.conf"))
            .expect("the server's configuration");
        writeln!(file, "{settings}").expect("a setting");
    }

    /// Replaces who may connect, and how, in force from the next start or reload on.
    pub fn authenticate(&self, rules: &str) {
        fs::write(self.data().join("pg_hba.conf"), rules).expect("the server's rules");
    }

    /// Puts a certificate and its key where the server looks for them.
    pub fn install_certificate(&self, certificate: &Path, key: &Path) {
        for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
            let to = self.data().join(to);
            fs::copy(from, &to).expect("a copy");
            make_private(&to);
            if let Some((uid, gid)) = other_user() {
                chown(&to, Some(uid), Some(gid)).expect("another owner");
            }
        }
    }

    /// Lets it read its files again.
    pub fn reload(&self) {
        self.control(&["reload"]);
    }

    /// Starts it after it was stopped.
    pub fn start_again(&self) {
        let log = self.log_path();
        self.control(&["start", "-w", "-t", "60", "-l", log.to_str().expect("a path in UTF-8")]);
    }

    /// Stops it in order: clients are told.
    pub fn stop(&self) {
        self.control(&["stop", "-w", "-m", "fast"]);
    }

    /// Ends it as a crash would.
    pub fn crash(&self) {
        self.control(&["stop", "-w", "-m", "immediate"]);
    }

    /// The process id of the server.
    pub fn pid(&self) -> u32 {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).expect("a server that runs");
        file.lines()
            .next()
            .and_then(|line| line.parse().ok())
            .expect("a process id")
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its files are.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// The URL of a database through the server's socket.
    pub fn socket_url(&self, database: &str) -> String {
        let dir = self.dir.display().to_string().replace('/', "%2F");
        format!("postgresql:///{database}?host={dir}&port={}&user={USER}", self.port)
    }

    /// Makes a new database. Its name.
    pub fn create_database(&self) -> String {
        let name = format!("presence_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// The name of the database of the daemons with this home.
    pub fn database_of(&self, home: &Path) -> String {
        static NAMES: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
        let mut names = NAMES.lock().unwrap();
        names
            .entry(home.to_owned())
            .or_insert_with(|| self.create_database())
            .clone()
    }

    /// The URL of that database.
    pub fn url_of(&self, home: &Path) -> String {
        self.url(&self.database_of(home))
    }

    /// Runs SQL as the superuser. What it prints.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        printed(sql, &self.try_sql(database, sql))
    }

    /// The same in a thread of its own: while it takes, timers of the test go on, so what is waited for may be timed.
    pub async fn ask(&self, database: &str, sql: &str) -> String {
        let mut psql = self.command(database, sql);
        let asked = tokio::task::spawn_blocking(move || psql.output().expect("psql"));
        printed(sql, &asked.await.unwrap())
    }

    /// The same, whatever comes of it.
    pub fn try_sql(&self, database: &str, sql: &str) -> Output {
        self.command(database, sql).output().expect("psql")
    }

    fn command(&self, database: &str, sql: &str) -> Command {
        let mut psql = self.psql(database);
        psql.args(["-v", "ON_ERROR_STOP=1", "-c", sql]).stdin(Stdio::null());
        psql
    }

    /// Starts psql on a database, to be given SQL on its standard input: a session that goes on until that ends.
    pub fn session(&self, database: &str) -> Child {
        let mut psql = self.psql(database);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        psql.spawn().expect("psql")
    }

    fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-h"]).arg(&self.dir).args([
            "-p",
            &self.port.to_string(),
            "-U",
            USER,
            "-d",
            database,
        ]);
        psql
    }

    fn control(&self, arguments: &[&str]) {
        let data = self.data();
        let mut all = vec!["-D", data.to_str().expect("a path in UTF-8"), "-s"];
        all.extend(arguments);
        self.run("pg_ctl", &all);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = as_other_user(&self.programs.join(program));
        let output = command
            .args(arguments)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        // Not a pipe: the server would keep it open.
        let errors = fs::File::create(self.dir.join("errors")).expect("a file");
        let status = output.stderr(errors).status().expect("a program of PostgreSQL");
        let errors = fs::read_to_string(self.dir.join("errors")).unwrap_or_default();
        assert!(status.success(), "{program} {arguments:?}: {errors}{}", self.log());
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// What psql has printed of SQL that was run.
fn printed(sql: &str, output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}: {stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Waits for the end of its standard input in a session of its own, so that an interrupt of the tests does not end it first.
fn guard(programs: &Path, dir: &Path) -> Child {
    let pg_ctl = programs.join("pg_ctl");
    let stop = match other_user() {
        Some((uid, gid)) => format!(
            "setpriv --reuid={uid} --regid={gid} --clear-groups {} -D {dir}/data -s -m immediate stop",
            pg_ctl.display(),
            dir = dir.display()
        ),
        None => format!("{} -D {}/data -s -m immediate stop", pg_ctl.display(), dir.display()),
    };
    let script = format!("cat >/dev/null; cd /; {stop}; rm -rf {}", dir.display());
    Command::new("setsid")
        .args(["sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell")
}

fn unused(root: &Path) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    root.join(format!("presence-postgres-{}-{number}", std::process::id()))
}

/// Where the server's programs are: the newest version of Debian's, else those of PATH.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let number = version.file_name().to_str()?.parse().ok()?;
            let programs = version.path().join("bin");
            programs.join("initdb").exists().then_some((number, programs))
        })
        .collect();
    found.sort();
    let in_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|dir| dir.join("initdb").exists())
    };
    found
        .pop()
        .map(|(_, programs)| programs)
        .or_else(in_path)
        .expect("the programs of PostgreSQL: install the package postgresql, or run scripts/test, which does")
}

/// Whom the server runs as, if that can't be the user of the tests: user id and group id.
fn other_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").expect("/proc").uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("users");
    ["postgres", "nobody"].into_iter().find_map(|name| {
        let mut fields = users
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(":x:"))?
            .split(':');
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

fn as_other_user(program: &Path) -> Command {
    let Some((uid, gid)) = other_user() else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command
        .args([
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            "--clear-groups".to_owned(),
        ])
        .arg(program);
    command
}

/// Makes a file readable by its owner alone.
pub fn make_private(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a mode");
}
