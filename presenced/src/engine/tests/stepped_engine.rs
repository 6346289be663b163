//! An engine whose time the test owns: a manual clock, sockets in memory, and no thread or loop of its own. Deadlines,
//! delivery and writing happen when the test says so, and several such engines fit into one test.

use std::sync::Arc;
use std::time::Duration;

use presence::wire::record::{Record, Update, Viewer};
use presence::wire::server_message::ServerMessage;
use presence::{EndReason, Mono, Rate, Status, SystemWall, UserId, Wall};
use prometheus_client::registry::Registry;

use super::fixture::{engine_options, user};
use crate::clock::Clock;
use crate::cluster::{Alone, Cluster};
use crate::connection::Connection;
use crate::connection::frame::Opcode;
use crate::connection::socket::Socket;
use crate::connection::socket::memory::{self, MemoryPeer};
use crate::engine::heartbeat::RunEnd;
use crate::engine::publisher::delivery::Delivery;
use crate::engine::{Engine, EngineError, EngineMetrics, EngineOptions, EngineParts};
use crate::limits::Limits;
use crate::revocation::NotedRevocations;
use crate::store::{OpenOptions, Row, Store, StoreMetrics, when_free};

/// When a stepped engine's time begins.
pub(in crate::engine) const BEGIN: Wall = Wall::from_millis(1_800_000_000_000);
/// The resolution of the timing wheel: what is due has happened one tick later.
pub(in crate::engine) const TICK: Duration = Duration::from_millis(16);
/// The grace period.
const GRACE: Duration = Duration::from_secs(5);
/// More than any test sends to one client that reads.
const ROOM: usize = 1 << 20;

pub(in crate::engine) struct Stepped {
    pub(in crate::engine) engine: Arc<Engine>,
    pub(in crate::engine) clock: Arc<Clock>,
    pub(in crate::engine) store: Store,
    registry: Registry,
    dir: Arc<tempfile::TempDir>,
}

impl Stepped {
    /// On a file system in memory, where there is one: nothing waits for a disk.
    pub(in crate::engine) async fn in_memory() -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let dir = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir());
        Self::on(Arc::new(dir.expect("a directory")), Clock::manual(BEGIN)).await
    }

    pub(in crate::engine) async fn new() -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a directory"));
        Self::on(dir, Clock::manual(BEGIN)).await
    }

    /// An engine whose wall clock says this at the start.
    pub(in crate::engine) async fn at(wall: Wall) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a directory"));
        Self::on(dir, Clock::manual(wall)).await
    }

    /// Where a user sets custom statuses and publishes changes at this rate at most.
    pub(in crate::engine) async fn with_custom_statuses(custom_statuses: Rate) -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a directory"));
        let options = engine_options(GRACE);
        let limits = Limits {
            custom_statuses,
            ..Limits::clone(&options.limits.load())
        };
        options.limits.replace(limits, Mono::default());
        Self::on_store(dir, Clock::manual(BEGIN), &OpenOptions::patient(), options, |_| {}).await
    }

    /// Whose loops, once it runs, look all the time whether an hour is over.
    pub(in crate::engine) async fn with_quick_sweeps() -> Self {
        let dir = Arc::new(tempfile::tempdir().expect("a directory"));
        let options = EngineOptions {
            sweep_every: Duration::from_millis(1),
            ..engine_options(GRACE)
        };
        Self::on_store(dir, Clock::manual(BEGIN), &OpenOptions::patient(), options, |_| {}).await
    }

    /// The same data after a crash, this much later: nothing that waits is written.
    pub(in crate::engine) async fn crash(self, down: Duration) -> Self {
        let wall = self.clock.wall().after(down);
        self.crash_at(wall).await
    }

    /// The same data after a crash, with a wall clock that then says this.
    pub(in crate::engine) async fn crash_at(self, wall: Wall) -> Self {
        self.store.close();
        Self::on(Arc::clone(&self.dir), Clock::manual(wall)).await
    }

    /// The same data after a crash, on a disk that is full.
    pub(in crate::engine) async fn crash_on_full_disk(self, down: Duration) -> Self {
        let clock = Clock::manual(self.clock.wall().after(down));
        self.store.close();
        let dir = Arc::clone(&self.dir);
        let options = (OpenOptions::patient(), engine_options(GRACE));
        Self::on_store(dir, clock, &options.0, options.1, |store| store.fail_commits(true)).await
    }

    /// The same data after a crash, in a run that can tell nothing beside the database.
    pub(in crate::engine) async fn crash_without_alive_file(self, down: Duration) -> Self {
        let wall = self.clock.wall().after(down);
        self.store.close();
        let file = self.dir.path().join("presence.db-alive");
        std::fs::remove_file(&file).expect("a file");
        std::fs::create_dir(&file).expect("a directory in its place");
        Self::on(Arc::clone(&self.dir), Clock::manual(wall)).await
    }

    /// The end of a run in order, up to the store: what waits is written, and it is written that all was.
    pub(in crate::engine) async fn finish(&self) -> RunEnd {
        self.engine.finish().await
    }

    /// Makes a backup of the database as it is, in place of the one before.
    pub(in crate::engine) fn back_up(&self) {
        let path = self.dir.path().join("backup.db");
        if path.exists() {
            std::fs::remove_file(&path).expect("no backup");
        }
        let database = rusqlite::Connection::open(self.dir.path().join("presence.db")).expect("the database");
        let path = path.to_str().expect("a path");
        database.execute("VACUUM INTO ?1", [path]).expect("a backup");
    }

    /// A new run on the backup, which takes the place of the database.
    pub(in crate::engine) async fn start_on_backup(self, wall: Wall) -> Self {
        self.store.close();
        let dir = self.dir.path();
        std::fs::copy(dir.join("backup.db"), dir.join("presence.db")).expect("a copy");
        self.crash_at(wall).await
    }

    async fn on(dir: Arc<tempfile::TempDir>, clock: Clock) -> Self {
        Self::on_store(dir, clock, &OpenOptions::patient(), engine_options(GRACE), |_| {}).await
    }

    async fn on_store(
        dir: Arc<tempfile::TempDir>,
        clock: Clock,
        options: &OpenOptions,
        engine_options: EngineOptions,
        prepare: impl FnOnce(&Store),
    ) -> Self {
        let metrics = StoreMetrics::register(&mut Registry::default());
        let mut registry = Registry::default();
        let path = dir.path().join("presence.db");
        let (store, startup) = when_free(|| Store::open(&path, options, metrics.clone())).expect("a store");
        prepare(&store);
        let ceiling = startup.latest_heartbeat().map(|heartbeat| heartbeat.ceiling);
        let clock = Arc::new(clock);
        let cluster = Cluster::Alone(Alone::new("here", ceiling, clock.wall()));
        let engine = Engine::new(EngineParts {
            options: EngineOptions {
                // Another number in each run.
                incarnation: cluster.floor().get(),
                ..engine_options
            },
            clock: Arc::clone(&clock),
            store: store.clone(),
            cluster,
            metrics: EngineMetrics::register(&mut registry),
            revoked_tokens: Arc::default(),
        });
        engine.register_gauges(&mut registry);
        engine.take_over(startup).await;
        Self {
            engine,
            clock,
            store,
            registry,
            dir,
        }
    }

    /// The timer loop beats and turns the wheel.
    pub(in crate::engine) fn beat(&self) {
        self.engine.beat();
        self.engine.turn_wheel();
    }

    /// Time passes, and what is due by then happens.
    pub(in crate::engine) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.engine.turn_wheel();
    }

    /// Everything that outboxes hold is sent, as far as the sockets take it.
    pub(in crate::engine) fn deliver(&self) {
        loop {
            let ready = self.engine.ready.try_take();
            if ready.is_empty() {
                return;
            }
            Delivery::new(&self.engine).serve(ready, self.clock.elapsed());
        }
    }

    /// One turn of everyone in the ready queue.
    pub(in crate::engine) fn deliver_batch(&self) {
        Delivery::new(&self.engine).serve(self.engine.ready.try_take(), self.clock.elapsed());
    }

    /// Writes everything that waits. Whether the store let it.
    pub(in crate::engine) async fn try_write(&self) -> bool {
        let engine = &self.engine;
        let written = engine.persistence.write_out(&engine.users, &engine.cluster);
        written.await.is_ok()
    }

    /// Everything that waits is written.
    pub(in crate::engine) async fn write(&self) {
        assert!(self.try_write().await, "a write failed");
    }

    pub(in crate::engine) async fn connect(&self, name: &str) -> SteppedClient {
        self.connect_with_room(name, ROOM).await
    }

    /// A client with a token that expires then.
    pub(in crate::engine) async fn connect_until(&self, name: &str, token_expires: Wall) -> SteppedClient {
        let client = self.client(Some(user(name)), ROOM);
        let connected = self
            .engine
            .connect(&user(name), &client.conn, NotedRevocations::default())
            .await;
        connected.expect("a session");
        let expires = SystemWall::from_millis(token_expires.as_millis());
        client.conn.depend_on(None, Some(expires));
        client.conn.start_keepalive(self.clock.mono());
        client.conn.send_greeting(r#"{"type":"pong"}"#);
        client
    }

    /// A client that takes `room` bytes before it must read.
    pub(in crate::engine) async fn connect_with_room(&self, name: &str, room: usize) -> SteppedClient {
        self.try_connect(name, room).await.expect("a session")
    }

    /// The same, unless the user has too many.
    pub(in crate::engine) async fn try_connect(&self, name: &str, room: usize) -> Result<SteppedClient, EngineError> {
        let client = self.client(Some(user(name)), room);
        let record = self
            .engine
            .connect(&user(name), &client.conn, NotedRevocations::default())
            .await?;
        assert_ne!(record.status, Status::Offline);
        client.conn.start_keepalive(self.clock.mono());
        client.conn.send_greeting(r#"{"type":"pong"}"#);
        Ok(client)
    }

    pub(in crate::engine) fn observe(&self) -> SteppedClient {
        let client = self.client(None, ROOM);
        self.engine.connect_observer();
        client.conn.send_greeting(r#"{"type":"pong"}"#);
        client
    }

    pub(in crate::engine) async fn watch(&self, client: &SteppedClient, names: &[&str]) {
        let users: Vec<UserId> = names.iter().map(|name| user(name)).collect();
        let watched = self.engine.watch(&client.conn, None, users, None).await;
        watched.expect("a watch");
        self.deliver();
        client.messages();
    }

    pub(in crate::engine) fn disconnect(&self, client: &SteppedClient, reason: EndReason) {
        self.engine.disconnect(&client.conn, reason);
    }

    pub(in crate::engine) async fn record(&self, name: &str) -> Record {
        let record = self.engine.record(&user(name), Viewer::Internal).await;
        record.expect("a record")
    }

    pub(in crate::engine) async fn status(&self, name: &str) -> Status {
        self.record(name).await.status
    }

    pub(in crate::engine) async fn stored(&self, name: &str) -> Option<Row> {
        self.store.load(&user(name)).await.expect("a read")
    }

    /// The database, as another process would open it.
    pub(in crate::engine) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir.path().join("presence.db")).expect("the database")
    }

    /// The engine's metrics, as text.
    pub(in crate::engine) fn metrics_text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("metrics");
        text
    }

    fn client(&self, user: Option<UserId>, room: usize) -> SteppedClient {
        SteppedClient::of(&self.engine, user, room)
    }
}

/// A client that reads when the test says so.
pub(in crate::engine) struct SteppedClient {
    pub(in crate::engine) conn: Arc<Connection>,
    peer: MemoryPeer,
}

impl SteppedClient {
    /// A connection to this engine, with room for so many bytes.
    pub(in crate::engine) fn of(engine: &Engine, user: Option<UserId>, room: usize) -> Self {
        let (socket, peer) = memory::pair(room);
        let context = engine.connection_context();
        let conn = Connection::new(Socket::Memory(socket), engine.new_session(), user, context);
        Self { conn, peer }
    }

    /// The frames that were sent since the last call, with their opcodes.
    pub(in crate::engine) fn frames(&self) -> Vec<(u8, Vec<u8>)> {
        let bytes = self.peer.take();
        let mut rest = bytes.as_slice();
        let mut frames = Vec::new();
        while let [head, length, after @ ..] = rest {
            let (length, after) = match length {
                126 => (usize::from(u16::from_be_bytes([after[0], after[1]])), &after[2..]),
                127 => panic!("no test's frame is that long"),
                short => (usize::from(*short), after),
            };
            frames.push((head & 0xf, after[..length].to_vec()));
            rest = &after[length..];
        }
        frames
    }

    /// What is sent counts as acknowledged only once the client takes it.
    pub(in crate::engine) fn acknowledge_late(&self) {
        self.peer.acknowledge_late();
    }

    /// Takes up to `count` bytes of what was sent, and drops them. How many there were.
    pub(in crate::engine) fn take_some(&self, count: usize) -> usize {
        self.peer.take_some(count).len()
    }

    /// Takes everything that was sent, which may begin and end within a frame.
    pub(in crate::engine) fn read_text(&self) -> String {
        String::from_utf8_lossy(&self.peer.take()).into_owned()
    }

    /// Takes everything that was sent, and drops it.
    pub(in crate::engine) fn read_all(&self) {
        drop(self.peer.take());
    }

    /// The messages that were sent since the last call.
    pub(in crate::engine) fn messages(&self) -> Vec<ServerMessage> {
        let texts = self.frames().into_iter().filter(|frame| frame.0 == Opcode::Text as u8);
        texts
            .map(|(_, text)| serde_json::from_slice(&text).expect("a message"))
            .collect()
    }

    /// The statuses that events told since the last call, in order.
    pub(in crate::engine) fn told(&self) -> Vec<(String, Option<Status>)> {
        let updates = self.messages().into_iter().flat_map(|message| match message {
            ServerMessage::Presence { users, .. } => users,
            _ => Vec::new(),
        });
        updates
            .map(|update| match update {
                Update::Record(record) => (record.user_id.to_string(), Some(record.status)),
                Update::Removed(removed) => (removed.user_id.to_string(), None),
            })
            .collect()
    }
}
