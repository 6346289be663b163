//! A Redis of a test's own, on a socket in a directory of its own; it ends with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::FromRedisValue;
use redis::aio::MultiplexedConnection;

use super::super::keys::Keys;
use super::super::link::{AnswerTimes, Link};
use super::super::servers::{RedisOptions, RedisServers, connect};
use crate::clock::Stopwatch;
use crate::redis_url::RedisUrl;

/// How long a server may take to start, on a busy machine.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// A server answers in its time, however busy the machine is.
pub(super) const PATIENT: AnswerTimes = AnswerTimes {
    connects_within: STARTS_WITHIN,
    answers_within: STARTS_WITHIN,
};

impl RedisOptions {
    pub(super) fn patient() -> Self {
        Self {
            times: PATIENT,
            ..Self::default()
        }
    }
}

/// The pause between two looks at something that is about to happen.
pub(super) async fn next_look() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

pub(crate) struct RedisServer {
    process: Child,
    directory: tempfile::TempDir,
    settings: Vec<String>,
}

impl RedisServer {
    /// Starts a server with these further settings, and waits until it answers.
    pub(crate) async fn start(settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory for the socket");
        let settings: Vec<String> = settings.iter().copied().map(str::to_owned).collect();
        let process = spawn(directory.path(), &settings);
        let server = Self {
            process,
            directory,
            settings,
        };
        server.wait_until_it_answers().await;
        server
    }

    /// Ends with all data on disk, and starts from that.
    pub(super) async fn restart(&mut self) {
        self.command(&["SAVE"]).await;
        self.kill();
        self.start_again().await;
    }

    /// Starts after it was killed.
    pub(super) async fn start_again(&mut self) {
        self.process = spawn(self.directory.path(), &self.settings);
        self.wait_until_it_answers().await;
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }

    async fn wait_until_it_answers(&self) {
        let started = Stopwatch::start();
        while Link::open(&self.client(), Keys::of(0), PATIENT).await.is_err() {
            assert!(started.elapsed() < STARTS_WITHIN, "redis-server does not answer");
            next_look().await;
        }
    }

    pub(super) fn client(&self) -> redis::Client {
        let socket: PathBuf = self.directory.path().join("socket");
        redis::Client::open(format!("redis+unix://{}", socket.display())).expect("a path")
    }

    /// As nodes know it.
    pub(crate) fn servers(&self) -> RedisServers {
        let options = RedisOptions {
            urls: self.urls(),
            ..RedisOptions::patient()
        };
        RedisServers::new(&options).expect("an address")
    }

    /// Its address, as operators name it.
    pub(super) fn urls(&self) -> Vec<RedisUrl> {
        let socket = self.directory.path().join("socket");
        vec![RedisUrl::parse(&format!("redis+unix://{}", socket.display())).expect("an address")]
    }

    /// The same for a user with a password.
    pub(super) fn client_as(&self, user: &str, password: &str) -> redis::Client {
        let socket: PathBuf = self.directory.path().join("socket");
        let url = format!("redis+unix://{}?user={user}&pass={password}", socket.display());
        redis::Client::open(url).expect("a path")
    }

    /// A connection about a partition.
    pub(super) async fn link(&self, partition: u16) -> Link {
        self.link_within(partition, PATIENT).await
    }

    /// The same that waits for answers for this long.
    pub(super) async fn link_within(&self, partition: u16, times: AnswerTimes) -> Link {
        Link::open(&self.client(), Keys::of(partition), times)
            .await
            .expect("a connection")
    }

    /// A connection for commands of operators.
    async fn connection(&self) -> MultiplexedConnection {
        connect(&self.client(), PATIENT).await.expect("a connection")
    }

    /// Waits until somebody waits for the next entry of a log.
    pub(super) async fn until_somebody_reads(&self) {
        let started = Stopwatch::start();
        while !self.read::<String>(&["CLIENT", "LIST"]).await.contains("cmd=xread") {
            assert!(started.elapsed() < STARTS_WITHIN, "nobody reads");
            next_look().await;
        }
    }

    /// What an operator types.
    pub(crate) async fn command(&self, words: &[&str]) -> redis::Value {
        self.read(words).await
    }

    /// Sends a command that is answered late, and gives the task that waits for it.
    pub(super) async fn command_in_background(&self, words: &[&str]) -> tokio::task::JoinHandle<()> {
        let words: Vec<String> = words.iter().copied().map(str::to_owned).collect();
        let mut connection = self.connection().await;
        let mut command = redis::cmd(&words[0]);
        for word in &words[1..] {
            command.arg(word);
        }
        let sent = tokio::spawn(async move {
            let answer: redis::Value = command.query_async(&mut connection).await.expect("an answer");
            drop(answer);
        });
        // The command is on its way: the connection writes before others do.
        tokio::task::yield_now().await;
        sent
    }

    /// The same, with the answer as a type.
    pub(super) async fn read<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut connection = self.connection().await;
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query_async(&mut connection).await.expect("an answer")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(directory: &Path, settings: &[String]) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            "0",
            "--save",
            "",
            "--enable-debug-command",
            "local",
            "--unixsocket",
        ])
        .arg(directory.join("socket"))
        .arg("--dir")
        .arg(directory)
        .args(settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server starts: scripts/test installs it")
}
