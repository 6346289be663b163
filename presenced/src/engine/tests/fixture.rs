//! An engine on a store of its own, and clients that read what connections are sent.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use presence::wire::client_message::{ClientMessage, Envelope, MessageId};
use presence::wire::record::{Update, Viewer};
use presence::wire::rest::Counts;
use presence::{Actor, CustomStatus, EndReason, Rate, Status, UserId};
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;

use super::client::Client;
use crate::clock::Clock;
use crate::cluster::{Alone, Cluster};
use crate::connection::keepalive::PingOptions;
use crate::engine::lifecycle::Running;
use crate::engine::{Engine, EngineError, EngineMetrics, EngineOptions, EngineParts};
use crate::limits::{CurrentLimits, Limits};
use crate::revocation::NotedRevocations;
use crate::store::{OpenOptions, Row, Store, StoreMetrics, when_free};

/// The longest anything here may take.
pub(in crate::engine) const DEADLINE: Duration = Duration::from_secs(20);

/// Of the next engine: each run has its own.
static INCARNATION: AtomicU64 = AtomicU64::new(7);

pub(super) struct Fixture {
    pub(super) engine: Arc<Engine>,
    running: Option<Running>,
    pub(super) store: Store,
    /// The store's figures.
    registry: Registry,
    dir: Arc<tempfile::TempDir>,
}

/// What a test may want otherwise.
pub(super) struct Settings {
    pub(super) grace: Duration,
    pub(super) answer_within: Duration,
    pub(super) connect_waits: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // What is to happen in it has time enough, and its end may be waited for.
            grace: Duration::from_secs(2),
            // Longer than any test may take: what must not wait for the store does not.
            answer_within: 2 * DEADLINE,
            connect_waits: DEADLINE,
        }
    }
}

pub(in crate::engine) fn user(name: &str) -> UserId {
    UserId::new(name).expect("a user id")
}

pub(super) fn id(text: &str) -> Option<MessageId> {
    let envelope = Envelope::parse(&format!(r#"{{"type":"ping","id":"{text}"}}"#), 1);
    assert_eq!(envelope.message, Ok(ClientMessage::Ping));
    envelope.id
}

const fn per_second(amount: u64) -> Rate {
    Rate {
        amount,
        period: Duration::from_secs(1),
        burst: amount,
    }
}

pub(in crate::engine) fn engine_options(grace: Duration) -> EngineOptions {
    EngineOptions {
        timers: presence::Timers {
            grace,
            restart_grace: Duration::from_secs(30),
            idle_after: Duration::from_secs(300),
        },
        limits: CurrentLimits::new(Limits {
            sessions_per_user: 4,
            reports_per_user: 4,
            watched_per_connection: 3_000,
            watched_per_user: 6_000,
            custom_statuses: per_second(1_000),
            lookups: per_second(1_000_000),
            ..Limits::default()
        }),
        // However busy the machine is, nobody is degraded by that.
        connect_waits: DEADLINE,
        sweep_every: EngineOptions::SWEEP_EVERY,
        pings: PingOptions {
            interval: Duration::from_secs(25),
            timeout: Duration::from_secs(10),
        },
        drain_rate: NonZeroU32::MIN,
        incarnation: INCARNATION.fetch_add(1, Ordering::Relaxed),
    }
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::on(Arc::new(tempfile::tempdir().expect("a directory"))).await
    }

    /// The same data after the daemon was started again.
    pub(super) async fn restart(self) -> Self {
        Self::on(self.stop().await).await
    }

    /// The same, with the clock set back by an hour: the one custom status there is lies ahead.
    pub(super) async fn restart_an_hour_earlier(self) -> Self {
        let dir = self.stop().await;
        let ahead = "UPDATE profile SET custom_set_at = custom_set_at + 3600000";
        assert_eq!(Self::database(&dir).execute(ahead, []), Ok(1));
        Self::on(dir).await
    }

    /// Ends it in order; what is left is the data.
    pub(super) async fn stop(mut self) -> Arc<tempfile::TempDir> {
        self.running.take().expect("running").stop().await;
        self.store.close();
        Arc::clone(&self.dir)
    }

    /// From now on nothing is written but at the end.
    pub(super) fn stop_writing(&self) {
        self.running.as_ref().expect("running").stop_writing();
    }

    /// What is on disk of a user.
    pub(super) async fn stored(&self, name: &str) -> Option<Row> {
        self.store.load(&user(name)).await.expect("a read")
    }

    /// The database, as another process would open it.
    pub(super) fn database(dir: &tempfile::TempDir) -> rusqlite::Connection {
        rusqlite::Connection::open(dir.path().join("presence.db")).expect("the database")
    }

    /// The directory that holds the database.
    pub(super) fn dir(&self) -> &tempfile::TempDir {
        &self.dir
    }

    /// How many reads and writes of the store failed.
    pub(super) fn failures(&self) -> u64 {
        let mut figures = String::new();
        prometheus_client::encoding::text::encode(&mut figures, &self.registry).expect("figures");
        let locked = figures
            .lines()
            .find_map(|line| line.strip_prefix("store_failures_total{kind=\"Locked\"} "));
        locked.and_then(|count| count.parse().ok()).expect("a figure")
    }

    /// Begins to forget a user, and waits until nobody else's durable change of it comes before that.
    pub(super) async fn forgetting(&self, name: &'static str) -> JoinHandle<Result<u64, EngineError>> {
        let engine = Arc::clone(&self.engine);
        let forgetting = tokio::spawn(async move { engine.forget(&user(name)).await });
        let has_begun = |engine: &Engine| engine.user_locks.is_locked(&user(name));
        self.until("it is being forgotten", has_begun).await;
        forgetting
    }

    /// Waits until the store has answered about a user.
    pub(super) async fn loaded(&self, name: &str) {
        let is_loaded = |engine: &Engine| {
            let entry = engine.users.find(&user(name));
            entry.is_some_and(|entry| !entry.state.is_assumed())
        };
        self.until("the profile is loaded", is_loaded).await;
    }

    /// Waits until nothing is not yet on disk.
    pub(super) async fn written(&self) {
        self.until("nothing waits to be written", |engine| {
            engine.persistence.write_behind.pending() == 0
        })
        .await;
    }

    /// Waits until the wall clock has moved on.
    pub(super) async fn a_moment(&self) {
        let before = self.engine.clock.wall();
        self.until("time passes", |engine| engine.clock.wall() > before).await;
    }

    /// An engine on this data.
    pub(super) async fn on(dir: Arc<tempfile::TempDir>) -> Self {
        Self::start(dir, Settings::default()).await
    }

    pub(super) async fn with(settings: Settings) -> Self {
        Self::start(Arc::new(tempfile::tempdir().expect("a directory")), settings).await
    }

    async fn start(dir: Arc<tempfile::TempDir>, settings: Settings) -> Self {
        let mut registry = Registry::default();
        let metrics = StoreMetrics::register(&mut registry);
        let path = dir.path().join("presence.db");
        let options = OpenOptions {
            answer_within: settings.answer_within,
            ..OpenOptions::default()
        };
        let (store, startup) = when_free(|| Store::open(&path, &options, metrics.clone())).expect("a store");
        let ceiling = startup.latest_heartbeat().map(|last| last.ceiling);
        let clock = Arc::new(Clock::new());
        let cluster = Cluster::Alone(Alone::new("here", ceiling, clock.wall()));
        let engine = Engine::new(EngineParts {
            options: EngineOptions {
                // Another number in each run.
                incarnation: cluster.floor().get(),
                connect_waits: settings.connect_waits,
                ..engine_options(settings.grace)
            },
            clock,
            store: store.clone(),
            cluster,
            metrics: EngineMetrics::register(&mut Registry::default()),
            revoked_tokens: Arc::default(),
        });
        let running = engine.start(startup).await.expect("threads");
        Self {
            engine,
            running: Some(running),
            store,
            registry,
            dir,
        }
    }

    /// A connection of a user, greeted.
    pub(super) async fn connect(&self, name: &str) -> Client {
        let client = Client::of(self, Some(user(name))).await;
        let id = user(name);
        let connecting = tokio::time::timeout(
            DEADLINE,
            self.engine.connect(&id, &client.conn, NotedRevocations::default()),
        );
        let record = connecting.await.expect("in time").expect("not too many sessions");
        assert_ne!(record.status, Status::Offline);
        client.conn.send_greeting(r#"{"type":"pong"}"#);
        client
    }

    /// The same, unless the user has too many.
    pub(super) async fn try_connect(&self, name: &str) -> Option<Client> {
        let client = Client::of(self, Some(user(name))).await;
        let id = user(name);
        if self
            .engine
            .connect(&id, &client.conn, NotedRevocations::default())
            .await
            .is_err()
        {
            client.end(self, EndReason::Lost);
            return None;
        }
        client.conn.send_greeting(r#"{"type":"pong"}"#);
        Some(client)
    }

    pub(super) async fn observe(&self) -> Client {
        let client = Client::of(self, None).await;
        self.engine.connect_observer();
        client.conn.send_greeting(r#"{"type":"pong"}"#);
        client
    }

    pub(super) async fn set_status(&self, name: &str, custom: CustomStatus) {
        let set = self
            .engine
            .set_custom_status(&user(name), custom, Actor::User, Viewer::Own)
            .await
            .expect("a custom status");
        assert_eq!(set.custom_status, Some(custom));
    }

    pub(super) async fn status(&self, name: &str) -> Status {
        self.engine
            .record(&user(name), Viewer::Internal)
            .await
            .expect("a record")
            .status
    }

    pub(super) fn counts(&self) -> Counts {
        self.engine.stats().users
    }

    /// Waits until `is_so`, and says what was waited for if it never comes.
    pub(super) async fn until(&self, what: &str, is_so: impl Fn(&Engine) -> bool) {
        let waiting = async {
            while !is_so(&self.engine) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting)
            .await
            .unwrap_or_else(|_| panic!("not in time: {what}"));
    }
}

pub(super) fn statuses(users: &[Update]) -> Vec<(String, Option<Status>)> {
    let status = |update: &Update| match update {
        Update::Record(record) => Some(record.status),
        Update::Removed(_) => None,
    };
    users
        .iter()
        .map(|update| (update.user_id().to_string(), status(update)))
        .collect()
}
