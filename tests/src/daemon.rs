//! The daemon under test: started on its own port and data directory, stopped by signals, and restarted on the same
//! directory. Its log is printed when the test fails.

mod database_lock;
mod failover;
mod node;
mod record_time;
mod setup;

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};

use presence::wire::record::Record;
use tempfile::TempDir;

pub use self::database_lock::DatabaseLock;
use self::node::Node;
pub use self::node::StartFailure;
pub(crate) use self::setup::home_with_secret;
pub use self::setup::{LogTarget, Setup};
use self::setup::{NODES, state_of};
use crate::balancer::Balancer;
use crate::catch_up::catch_up;
use crate::clock::Stopwatch;
use crate::postgres_server::PostgresServer;
use crate::process::Process;
use crate::rest::Rest;
use crate::topology::Topology;
use crate::wait::{DEADLINE, wait_until};
use crate::websocket::{HandshakeHeaders, Socket};

const LOG_LINES_SHOWN: usize = 80;

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
    nodes: Vec<Node>,
    /// In front of them, if they are several.
    balancer: Option<Balancer>,
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
        let nodes = match self.setup.topology().nodes() {
            1 => vec![self.start_node(0).await?],
            _ => self.start_nodes().await?,
        };
        if self.setup.topology() == Topology::RedisCluster {
            failover::happens_once(self.home.path(), &nodes).await;
        }
        let balancer = match nodes.len() {
            1 => None,
            _ => {
                let addresses = nodes.iter().map(|node| node.address).collect();
                Some(
                    Balancer::start(&self.setup.listen, addresses, self.setup.followers(self.home.path()))
                        .await
                        .unwrap(),
                )
            }
        };
        self.running = Some(Running { nodes, balancer });
        Ok(())
    }

    /// Starts all of several: the first one makes the secrets.
    async fn start_nodes(&self) -> Result<Vec<Node>, StartFailure> {
        let first = self.start_node(0).await?;
        self.share_secrets();
        let (second, third) = tokio::join!(self.start_node(1), self.start_node(2));
        Ok(vec![first, second?, third?])
    }

    async fn start_node(&self, number: usize) -> Result<Node, StartFailure> {
        let command = self.setup.command(self.home.path(), number);
        Node::start(command, self.setup.log, &self.log).await
    }

    /// Nodes behind one address have the same secrets: those of the first.
    fn share_secrets(&self) {
        for number in 1..NODES.len() {
            let state = state_of(self.home.path(), number);
            std::fs::DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(&state)
                .unwrap();
            for name in ["secret", "jwt-key"] {
                if self.file(name).exists() && !state.join(name).exists() {
                    std::fs::hard_link(self.file(name), state.join(name)).unwrap();
                }
            }
        }
    }

    /// Whether it shares its users through Redis.
    pub fn is_in_cluster(&self) -> bool {
        self.setup.is_in_cluster()
    }

    /// How many nodes stand behind its address.
    pub fn nodes(&self) -> usize {
        self.setup.topology().nodes()
    }

    /// Sends `SIGKILL` and waits for the exit.
    pub fn kill(&mut self) {
        let killed = Stopwatch::start();
        self.end();
        // A test that waits here looks at nothing else: what it waits for meanwhile would seem to be missing.
        assert!(killed.elapsed() < DEADLINE / 2, "the system was slow to end a process");
    }

    fn end(&mut self) {
        self.process().kill();
        for node in &mut self.running.take().unwrap().nodes {
            node.kill();
        }
    }

    /// Sends `SIGTERM` and waits for the exit.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process().terminate();
        self.ended().await
    }

    /// Waits for the exit. Of several nodes the status is that of one that failed, if one did.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut running = self.running.take().unwrap();
        let mut all = Vec::new();
        for node in &mut running.nodes {
            all.push(node.ended().await);
        }
        let failed = all.iter().find(|status| !status.success());
        *failed.unwrap_or(&all[0])
    }

    /// Sends `SIGKILL` and restarts the daemon on the same data directory.
    pub async fn crash_and_start_again(&mut self) {
        self.kill();
        self.start_again().await;
    }

    pub fn address(&self) -> SocketAddr {
        let running = self.running.as_ref().unwrap();
        match &running.balancer {
            Some(balancer) => balancer.address(),
            None => running.nodes[0].address,
        }
    }

    /// Its process; of several nodes signals go to all.
    pub fn process(&self) -> Process {
        let nodes = &self.running.as_ref().unwrap().nodes;
        Process::all(nodes.iter().map(Node::process))
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
            // Each node has a row of its own in some tables.
            let nodes = self.setup.topology().nodes().to_string();
            assert!(changed == "1" || changed == nodes, "{sql}: {changed}");
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

    /// A client of the node that has the user's sessions: it alone knows their times as they move. The others learn times once a
    /// minute.
    pub async fn home_of(&self, user: &str) -> Rest {
        let nodes = &self.running.as_ref().unwrap().nodes;
        if nodes.len() == 1 {
            return self.rest();
        }
        catch_up(self.address()).await;
        for node in nodes {
            let rest = Rest::new(node.address, self.secret());
            if !rest.explain_alone(user).await.sessions.is_empty() {
                return rest;
            }
        }
        panic!("no node has a session of {user}");
    }

    /// The address of one node: of the first, if several stand behind that of the daemon.
    pub fn address_of_node(&self) -> SocketAddr {
        self.running.as_ref().unwrap().nodes[0].address
    }

    /// Connects a WebSocket of this user.
    pub async fn socket(&self, user: &str) -> Socket {
        Socket::connect(self.address(), HandshakeHeaders::user(user))
            .await
            .unwrap()
    }

    /// Connects a WebSocket of this user, and waits until the user's row was read and all nodes have the session: on a busy machine
    /// either may be later than the welcome. Nothing more of that is told to anybody who watches from now on, nor to the client.
    pub async fn session(&self, user: &str) -> Socket {
        let mut socket = self.socket(user).await;
        let record = self.record_of_all(user).await;
        socket.read_own_until(record.revision).await;
        socket
    }

    /// The record as the log has it, of a user whose change was answered with this: an answer that came before that has the
    /// revision of before.
    pub async fn logged(&self, answer: Record) -> Record {
        match answer.stale {
            true => self.record_of_all(answer.user_id.as_str()).await,
            false => answer,
        }
    }

    /// Waits until no node waits for the log or the database to show the user, and all have read the log.
    async fn record_of_all(&self, user: &str) -> Record {
        let what = format!("all nodes know {user}");
        for node in &self.running.as_ref().unwrap().nodes {
            let rest = Rest::new(node.address, self.secret());
            wait_until(&what, async || {
                let record = rest.record(user).await;
                (!record.stale && !record.degraded).then_some(())
            })
            .await;
        }
        self.rest().record(user).await
    }

    /// Connects a WebSocket of an observer.
    pub async fn observer(&self) -> Socket {
        Socket::connect(self.address(), HandshakeHeaders::observer(&self.secret()))
            .await
            .unwrap()
    }

    /// Waits until no node has anything left to write, be it held back for some seconds.
    pub async fn flushed(&self) {
        for node in &self.running.as_ref().unwrap().nodes {
            let rest = Rest::new(node.address, self.secret());
            wait_until("nothing is left to write", async || {
                (rest.stats().await.store.pending_writes == 0).then_some(())
            })
            .await;
        }
    }

    fn last_log_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let has_failed = std::thread::panicking();
        if self.running.is_some() {
            if has_failed {
                eprintln!("--- threads ---\n{}", self.process().threads_by_state());
            }
            self.end();
        }
        if has_failed {
            eprintln!(
                "--- the daemon's log ---\n{}\n--- end of the log ---",
                self.last_log_lines()
            );
        }
    }
}
