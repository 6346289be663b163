//! How many users operations look at while many are in memory: as many as they are about, never all. The tables of users, of
//! present users, of remembered changes, of deadlines and of rate limits count who is looked at.

use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{Actor, Cursor, CustomStatus, EndReason, ReportInput, Source, Status, UserId};

use super::fixture::user;
use super::stepped_engine::{Stepped, SteppedClient, TICK};
use crate::engine::heartbeat::RunEnd;
use crate::engine::publisher::delivery::Delivery;
use crate::engine::users::SHARDS;
use crate::engine::{Engine, ListRequest};

/// Users in memory; the first half of them is present.
const CROWD: usize = 10_000;
const PRESENT: usize = CROWD / 2;
/// Users that a connection of the crowd watches.
const WATCHED_BY_ONE: usize = 2_500;
/// How often an operation looks at each user, and each watcher, that it is about: it is looked up, loaded, pinned, changed, put into
/// the indices, delivered to each who watches, and written.
const LOOKS: u64 = 12;

/// An engine with many users in memory, each watched by an observer.
struct Crowd {
    stepped: Stepped,
    connections: Vec<SteppedClient>,
    observers: Vec<SteppedClient>,
}

/// The users of this many numbers from this one on.
fn members(first: usize, count: usize) -> Vec<UserId> {
    let numbers = first..first + count;
    numbers.map(|number| user(&format!("user-{number:05}"))).collect()
}

fn report(status: Status) -> ReportInput {
    ReportInput {
        source: Source::default(),
        status,
        ttl: None,
        update_last_active: false,
    }
}

/// How many users, listed users, changes, deadlines and limits were looked at.
fn visits(engine: &Engine) -> [u64; 5] {
    [
        engine.users.visits(),
        engine.index.visits.count(),
        engine.publisher.visits(),
        engine.deadlines.visits(),
        engine.limits.visits(),
    ]
}

impl Crowd {
    async fn new() -> Self {
        let stepped = Stepped::in_memory().await;
        let mut observers = Vec::new();
        for first in (0..CROWD).step_by(WATCHED_BY_ONE) {
            let observer = stepped.observe();
            let users = members(first, WATCHED_BY_ONE);
            let watched = stepped.engine.watch(&observer.conn, None, users, None).await;
            watched.expect("a watch");
            observers.push(observer);
        }
        let mut connections = Vec::new();
        for one in members(0, PRESENT) {
            connections.push(stepped.connect(one.as_str()).await);
        }
        stepped.write().await;
        let crowd = Self {
            stepped,
            connections,
            observers,
        };
        crowd.deliver();
        crowd
    }

    fn deliver(&self) {
        self.stepped.deliver();
        self.observers.iter().for_each(SteppedClient::read_all);
    }

    /// Carries out an operation that is about so many users and watchers, with all that follows from it.
    async fn about<T>(&self, what: &str, count: usize, operation: impl Future<Output = T>) -> T {
        let before = visits(&self.stepped.engine);
        let answer = operation.await;
        self.deliver();
        self.stepped.write().await;
        let after = visits(&self.stepped.engine);
        let visits: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        let most = LOOKS * count as u64;
        assert!(
            visits.iter().sum::<u64>() <= most,
            "{what}: {visits:?} visits, of {most} at most"
        );
        answer
    }

    async fn come_and_go(&self) {
        let (stepped, engine) = (&self.stepped, &self.stepped.engine);
        let ann = self.about("connect", 1, stepped.connect("ann")).await;
        let again = self.about("second connection", 1, stepped.connect("ann")).await;
        self.about("message", 1, async { engine.heard(&ann.conn) }).await;
        self.about("close", 1, async {
            stepped.disconnect(&again, EndReason::Closed);
        })
        .await;
        self.about("loss", 1, async { stepped.disconnect(&ann, EndReason::Lost) })
            .await;
        let back = self.about("connect in grace", 1, stepped.connect("ann")).await;
        self.about("resume", 1, async {
            let resumed = engine.resume(&back.conn, Some(ann.conn.name()));
            assert!(resumed.is_some_and(|answer| answer.is_resumed));
        })
        .await;
        self.about("second loss", 1, async {
            stepped.disconnect(&back, EndReason::Lost);
        })
        .await;
        self.about("end of grace", 1, async {
            stepped.advance(Duration::from_secs(5) + 2 * TICK);
        })
        .await;
        assert_eq!(stepped.status("ann").await, Status::Offline);
        self.about("connect of a watched user", 2, async {
            let first_absent = members(PRESENT, 1);
            let client = stepped.connect(first_absent[0].as_str()).await;
            stepped.disconnect(&client, EndReason::Closed);
        })
        .await;
        let observer = stepped.observe();
        self.about("observer", 1, async {
            stepped.disconnect(&observer, EndReason::Closed);
        })
        .await;
    }

    async fn watch(&self) {
        let (stepped, engine) = (&self.stepped, &self.stepped.engine);
        let watcher = stepped.connect("watcher").await;
        for (what, users) in [
            ("watch of present users", members(0, 50)),
            ("watch of absent users", members(PRESENT, 50)),
            ("watch of unknown users", members(CROWD, 50)),
        ] {
            let watching = engine.watch(&watcher.conn, None, users, None);
            self.about(what, 50, watching).await.expect("a watch");
        }
        self.about("unwatch", 50, async { engine.unwatch(&watcher.conn, &members(0, 50)) })
            .await;
        let cursor = engine.publisher.cursor(engine.complete_to());
        for connection in &self.connections[..20] {
            engine.away(&connection.conn, None).expect("a session");
        }
        self.deliver();
        let since = |users| engine.watch(&watcher.conn, None, users, Some(cursor));
        self.about("resumed watch", 50, since(members(0, 50)))
            .await
            .expect("a watch");
        self.about("end of a watcher", 150, async {
            stepped.disconnect(&watcher, EndReason::Closed);
        })
        .await;
        self.resume_everyone(cursor).await;
    }

    /// Some 20 users changed since the cursor, and the watcher.
    async fn resume_everyone(&self, cursor: Cursor) {
        let (stepped, engine) = (&self.stepped, &self.stepped.engine);
        let observer = stepped.observe();
        let watching = engine.watch_all(&observer.conn, None, Some(cursor));
        self.about("resumed watch of everyone", 21, watching).await;
        self.about("change before an observer of everyone", 2, async {
            engine
                .activity(&self.connections[0].conn, Duration::ZERO)
                .expect("a session");
        })
        .await;
        stepped.disconnect(&observer, EndReason::Closed);
    }

    async fn change(&self) {
        let engine = &self.stepped.engine;
        let (present, absent) = (members(30, 1), members(PRESENT + 30, 1));
        self.about("idleness", 1, async {
            engine.away(&self.connections[30].conn, None).expect("a session")
        })
        .await;
        self.about("activity", 1, async {
            engine
                .activity(&self.connections[30].conn, Duration::ZERO)
                .expect("a session")
        })
        .await;
        for (of, user) in [
            ("present", &present[0]),
            ("absent", &absent[0]),
            ("unknown", &user("bob")),
        ] {
            let setting = engine.set_custom_status(user, CustomStatus::DoNotDisturb, Actor::User, Viewer::Own);
            let what = format!("custom status of a user who is {of}");
            self.about(&what, 1, setting).await.expect("a record");
            for status in [Status::Online, Status::Online, Status::Offline] {
                let what = format!("report {status:?} of a user who is {of}");
                self.about(&what, 1, engine.report(user, report(status)))
                    .await
                    .expect("a record");
            }
            let what = format!("kick of a user who is {of}");
            self.about(&what, 1, engine.kick(user)).await.expect("kicked");
            let what = format!("removal of a user who is {of}");
            self.about(&what, 1, engine.forget(user)).await.expect("forgotten");
        }
    }

    async fn read(&self) {
        let engine = &self.stepped.engine;
        for (of, user) in [
            ("present", members(9, 1)),
            ("absent", members(PRESENT + 9, 1)),
            ("unknown", vec![user("carl")]),
        ] {
            let what = format!("record of a user who is {of}");
            self.about(&what, 1, engine.record(&user[0], Viewer::Internal))
                .await
                .expect("a record");
            let what = format!("explanation of a user who is {of}");
            self.about(&what, 1, engine.explain(&user[0])).await.expect("a reason");
        }
        let users = [members(PRESENT - 50, 100), members(CROWD, 100)].concat();
        self.about("query", 200, engine.records(&users, Viewer::Public, None))
            .await
            .expect("records");
        self.about("statistics", 0, async {
            assert!(engine.stats().users.total() >= PRESENT as u64 - 1);
        })
        .await;
        self.about("metrics", 0, async {
            assert!(self.stepped.metrics_text().contains("users_in_grace"));
        })
        .await;
    }

    /// A page asks each shard for its share of the page, and for two users more.
    async fn list(&self) {
        let engine = &self.stepped.engine;
        for (what, request) in [
            ("page", ListRequest::default()),
            (
                "later page",
                ListRequest {
                    after: members(PRESENT / 2, 1).pop(),
                    ..ListRequest::default()
                },
            ),
            (
                "page of a prefix",
                ListRequest {
                    prefix: "user-03".to_owned(),
                    ..ListRequest::default()
                },
            ),
            (
                "page of a status",
                ListRequest {
                    status: Some(Status::Online),
                    ..ListRequest::default()
                },
            ),
        ] {
            let request = ListRequest { limit: 50, ..request };
            let page = self.about(what, 50, async { engine.list(&request) }).await;
            assert_eq!(page.users.len(), 50, "{what}");
        }
    }

    /// What the loops do, with nothing to be done.
    async fn rest(&self) {
        let engine = &self.stepped.engine;
        self.stepped.write().await;
        self.about("beat", 0, async { self.stepped.beat() }).await;
        self.about("sweep of released users", 0, async { engine.users.sweep() })
            .await;
        self.about("heartbeat", 0, engine.save_heartbeat(RunEnd::Running))
            .await
            .expect("written");
        self.about("loads to retry", 0, engine.retry_due_loads()).await;
        self.about("unknown outcomes", 0, engine.settle_unknown_outcomes())
            .await;
        self.about("sweep of tombstones", 0, engine.sweep_tombstones()).await;
    }
}

#[tokio::test]
async fn operations_look_at_the_users_they_are_about_and_no_others() {
    let crowd = Crowd::new().await;
    crowd.come_and_go().await;
    crowd.watch().await;
    crowd.change().await;
    crowd.read().await;
    crowd.list().await;
    crowd.rest().await;
}

/// They are in steps, so that nobody else waits for a pass.
#[tokio::test]
async fn passes_over_everyone_look_at_a_bounded_number_of_users_in_a_step() {
    let crowd = Crowd::new().await;
    let engine = &crowd.stepped.engine;
    let observer = crowd.stepped.observe();
    let [begun, ..] = visits(engine);
    engine.watch_all(&observer.conn, None, None).await;
    let mut steps = 0;
    loop {
        let ready = engine.ready.try_take();
        if ready.is_empty() {
            break;
        }
        let [users, listed, ..] = visits(engine);
        Delivery::new(engine).serve(ready, crowd.stepped.clock.elapsed());
        observer.read_all();
        let [users_after, listed_after, ..] = visits(engine);
        let looked_at = users_after - users + listed_after - listed;
        assert!(looked_at <= 1_000, "{looked_at} visits for a message of 64 KiB");
        steps += 1;
    }
    let [ended, ..] = visits(engine);
    assert_eq!(
        ended - begun,
        PRESENT as u64,
        "each present user once, in {steps} steps"
    );
    let [mut before, ..] = visits(engine);
    for _connections in engine.users.audiences() {
        let [after, ..] = visits(engine);
        assert!(after - before <= 2 * (CROWD / SHARDS) as u64, "a step is one shard");
        before = after;
    }
    assert_eq!(before - ended, CROWD as u64);
}
