//! A node of a cluster on a real Redis, with a store that a test makes fail.

mod claims;
mod effects;
mod own_changes;
mod pending_writes;
mod read_before;

use std::sync::Arc;
use std::time::Duration;

use presence::replication::{Effect, Incarnation, NodeInfo, Settings, State};
use presence::{CustomStatus, Profile, Revision, Source, Status, UserId, Version, Wall};
use prometheus_client::registry::Registry;

use crate::clock::Clock;
use crate::cluster::shared::tests::server::RedisServer;
use crate::cluster::{Cluster, Shared, SharedOptions};
use crate::connection::user_pin::UserPin;
use crate::engine::replication::showing::Showing;
use crate::engine::tests::fixture::{DEADLINE, engine_options, user};
use crate::engine::{Engine, EngineMetrics, EngineOptions, EngineParts, Running};
use crate::store::{Access, NewReport, OpenOptions, ReportTimes, StatusRow, Store, StoreMetrics, when_free};

/// The partition of every user.
const PARTITION: u16 = 0;
/// The run of the node.
const INCARNATION: Incarnation = Incarnation(7);
/// As many users as may wait for the store.
const QUEUE_MAX: usize = 8;

struct SharedNode {
    engine: Arc<Engine>,
    running: Running,
    store: Store,
    /// The store's figures.
    registry: Registry,
    _dir: tempfile::TempDir,
    server: RedisServer,
}

/// The pause between two looks at something that is about to happen.
async fn next_look() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

impl SharedNode {
    /// A node that is alone in its cluster, with one partition.
    async fn start() -> Self {
        let server = RedisServer::start(&[]).await;
        let dir = tempfile::tempdir().expect("a directory");
        let options = OpenOptions {
            access: Access::Shared,
            queue_max: QUEUE_MAX,
            ..OpenOptions::patient()
        };
        let mut registry = Registry::default();
        let metrics = StoreMetrics::register(&mut registry);
        let path = dir.path().join("presence.db");
        let (store, startup) = when_free(|| Store::open(&path, &options, metrics.clone())).expect("a store");
        let clock = Arc::new(Clock::new());
        let options = SharedOptions {
            node: NodeInfo {
                name: "here".into(),
                ..NodeInfo::default()
            },
            incarnation: INCARNATION,
            previous: Vec::new(),
            partitions: 1,
            settings: settings(),
            seed: 7,
        };
        let shared = Shared::new(&options, Arc::new(server.servers()), clock.read());
        let engine = Engine::new(EngineParts {
            options: EngineOptions {
                incarnation: INCARNATION.0,
                ..engine_options(Duration::from_secs(5))
            },
            clock,
            store: store.clone(),
            cluster: Cluster::Shared(shared),
            metrics: EngineMetrics::register(&mut Registry::default()),
            revoked_tokens: Arc::default(),
        });
        let running = tokio::time::timeout(DEADLINE, engine.start(startup)).await;
        Self {
            engine,
            running: running.expect("in time").expect("threads"),
            store,
            registry,
            _dir: dir,
            server,
        }
    }

    async fn stop(self) {
        self.running.stop().await;
        self.store.close();
    }

    fn shared(&self) -> &Shared {
        self.engine.cluster.shared().expect("a cluster")
    }

    fn now(&self) -> Wall {
        self.engine.clock.record_time(None)
    }

    /// The partition asks this of the daemon.
    fn carry_out(&self, effect: Effect) {
        self.engine.carry_out(self.shared(), PARTITION, effect);
    }

    /// A gateway reports the user to a node that dies before the log has it; the mark is cleared, so nobody but the partition asks.
    /// The version that the user has since.
    async fn store_report(&self, name: &str) -> Version {
        let now = self.now();
        let report = NewReport {
            source: Source::default(),
            status: CustomStatus::Online,
            said: None,
            since: now,
            heard: now,
            last_active: None,
            expires_at: None,
        };
        let times = ReportTimes {
            last_seen: now,
            last_active: None,
        };
        let stored = self.store.save_report(&user(name), report, times, Version::NONE).await;
        let version = stored.expect("a write").version;
        let published = self.store.mark_published(vec![(user(name), version)]).await;
        published.expect("a write");
        version
    }

    /// The user is shown as ONLINE, last seen at that time; somebody watches it while the result lives.
    fn show_online(&self, user: &UserId, last_seen: Wall) -> UserPin {
        let state = State {
            status: Status::Online,
            since: Some(last_seen),
            last_seen: Some(last_seen),
            ..State::default()
        };
        let revision = Revision::new(micros(last_seen));
        let shown = Showing {
            revision,
            is_seen: true,
            is_logged: true,
        };
        self.engine.show(self.shared(), user, shown, &state);
        self.engine.users.pin(user).expect("in memory")
    }

    /// The database has the user as OFFLINE since then.
    async fn store_offline(&self, user: &UserId, at: Wall) {
        self.store_status(user, Status::Offline, at).await;
    }

    async fn store_status(&self, user: &UserId, status: Status, at: Wall) {
        let row = StatusRow {
            user: user.clone(),
            status,
            since: Some(at),
            connected_on: Arc::default(),
            last_seen: Some(at),
            last_active: None,
            revision: Revision::new(micros(at)),
            clamp_to: None,
            published: None,
        };
        self.store.save_statuses(vec![row]).await.expect("a write");
    }

    /// How many reads failed.
    fn failures(&self) -> u64 {
        let mut figures = String::new();
        prometheus_client::encoding::text::encode(&mut figures, &self.registry).expect("figures");
        let locked = |line: &str| {
            line.strip_prefix("store_failures_total{kind=\"Locked\"} ")
                .map(str::parse)
        };
        figures
            .lines()
            .find_map(locked)
            .map_or(0, |count| count.expect("a number"))
    }

    async fn until_a_read_failed(&self, before: u64) {
        let waiting = async {
            while self.failures() == before {
                next_look().await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.expect("a read failed");
    }

    fn shown(&self, user: &UserId) -> ShownUser {
        let entry = self.engine.users.find(user);
        let profile = entry.as_ref().map(|entry| entry.state.profile());
        ShownUser {
            status: profile.map(|profile| profile.decision().status),
            is_degraded: profile.is_some_and(Profile::is_degraded),
            last_seen: profile.and_then(Profile::last_seen),
        }
    }

    async fn until_shown(&self, user: &UserId, wanted: impl Fn(&ShownUser) -> bool) {
        let waiting = async {
            while !wanted(&self.shown(user)) {
                next_look().await;
            }
        };
        let waited = tokio::time::timeout(DEADLINE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{user} is shown as {:?}", self.shown(user)));
    }
}

/// What watchers are told of a user.
#[derive(Debug)]
struct ShownUser {
    status: Option<Status>,
    is_degraded: bool,
    last_seen: Option<Wall>,
}

fn micros(wall: Wall) -> u64 {
    u64::try_from(wall.as_millis()).expect("after 1970") * 1_000
}

fn settings() -> Settings {
    Settings {
        lease: Duration::from_secs(15),
        node_grace: Duration::from_secs(12),
        restart_grace: Duration::from_secs(30),
        command_kept: Duration::from_secs(3_600),
        sessions_max: 4,
        without: &[],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_part_that_can_not_be_read_is_read_again() {
    let node = SharedNode::start().await;
    node.store_report("ann").await;
    node.store.fail_reads(true);
    let failed = node.failures();
    node.carry_out(Effect::Load(user("ann")));
    node.until_a_read_failed(failed).await;
    assert_eq!(node.shown(&user("ann")).status, None);
    node.store.fail_reads(false);
    node.until_shown(&user("ann"), |shown| shown.status == Some(Status::Online))
        .await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_durable_parts_are_read_whatever_number_is_asked_for() {
    let node = SharedNode::start().await;
    let names: Vec<String> = (0..20 * QUEUE_MAX).map(|number| format!("user-{number}")).collect();
    for name in &names {
        node.store_report(name).await;
    }
    let held = node.store.hold_reads();
    for name in &names {
        node.carry_out(Effect::Load(user(name)));
    }
    drop(held);
    for name in &names {
        node.until_shown(&user(name), |shown| shown.status == Some(Status::Online))
            .await;
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_left_is_offline_though_the_database_is_away() {
    let node = SharedNode::start().await;
    let ann = user("ann");
    let left_at = node.now();
    let _watch = node.show_online(&ann, Wall::from_millis(left_at.as_millis() - 60_000));
    node.store_offline(&ann, left_at).await;
    node.store.fail_reads(true);
    node.carry_out(Effect::Left(ann.clone()));
    node.until_shown(&ann, |shown| shown.status == Some(Status::Offline) && shown.is_degraded)
        .await;
    node.store.fail_reads(false);
    node.until_shown(&ann, |shown| !shown.is_degraded && shown.last_seen == Some(left_at))
        .await;
    assert_eq!(node.shown(&ann).status, Some(Status::Offline));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_left_is_not_offline_while_nobody_may_become_it() {
    let node = SharedNode::start().await;
    let ann = user("ann");
    let left_at = node.now();
    let _watch = node.show_online(&ann, Wall::from_millis(left_at.as_millis() - 60_000));
    node.store_offline(&ann, left_at).await;
    let row = node.store.load(&ann).await.expect("a row");
    // The log is behind from here on, and for 5 s after that nobody becomes OFFLINE.
    let partition = node.shared().partition_of(&ann);
    node.engine
        .with_input(|input| partition.machine().handle_stall(input, Duration::from_secs(2)));
    assert!(!node.engine.show_stored(node.shared(), &ann, row));
    assert!(!node.engine.show_without_record(node.shared(), &ann));
    assert_eq!(node.shown(&ann).status, Some(Status::Online));
    node.carry_out(Effect::Left(ann.clone()));
    node.until_shown(&ann, |shown| shown.last_seen == Some(left_at)).await;
    assert_eq!(node.shown(&ann).status, Some(Status::Offline));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_does_not_wait_for_what_the_log_has() {
    let node = SharedNode::start().await;
    let ann = user("ann");
    let partition = node.shared().partition_of(&ann);
    // Something else that happens in the partition answers a few of them in time, and a busy machine some of them late.
    let mut in_time = 0;
    for _ in 0..300 {
        in_time += usize::from(partition.wait_for_log(&ann).await);
        if in_time == 80 {
            break;
        }
    }
    assert_eq!(in_time, 80, "of 300");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_are_present_are_read_beside_custom_statuses() {
    let node = SharedNode::start().await;
    let _reading = node.engine.chosen_requests.begin_reading().await;
    let reading = node.engine.load_present(node.shared(), PARTITION);
    tokio::time::timeout(DEADLINE, reading).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_left_and_is_back_is_not_shown_as_offline() {
    let node = SharedNode::start().await;
    let (ann, bob) = (user("ann"), user("bob"));
    let now = node.now();
    let before = Wall::from_millis(now.as_millis() - 60_000);
    let _watches = (node.show_online(&ann, before), node.show_online(&bob, before));
    node.store_status(&ann, Status::Idle, now).await;
    node.store_offline(&bob, now).await;
    node.carry_out(Effect::Left(ann.clone()));
    node.carry_out(Effect::Left(bob.clone()));
    // They are read in this order.
    node.until_shown(&bob, |shown| shown.status == Some(Status::Offline))
        .await;
    assert_eq!(
        node.shown(&ann).status,
        Some(Status::Online),
        "as before, until the log tells more"
    );
    node.stop().await;
}
