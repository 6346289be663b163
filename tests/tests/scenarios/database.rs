//! PostgreSQL goes away and comes back: presence goes on, and all is written then. Many nodes write the same users at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use presence::wire::record::Record;
use presence::wire::rest::QueryResponse;
use presence::{Status, Wall};
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::connection_load::{come_and_go, join_all};
use presence_tests::poller::Poller;
use presence_tests::postgres_server::{Disk, PostgresServer};
use presence_tests::recorder::Recorders;
use presence_tests::redis_server::RedisServer;
use presence_tests::report_load;
use presence_tests::wait::{let_time_pass, timed, timed_within, wait_until};
use presence_tests::{DEADLINE, Daemon, Socket};
use serde_json::json;

use crate::scene::{all_is_well, named, records};

/// For how long PostgreSQL is away.
const AWAY: Duration = Duration::from_secs(60);
/// Within what time after it is back nothing is made without it, and all is written.
const RIGHT_WITHIN: Duration = Duration::from_secs(5);
/// For how long a connect waits for Redis when the database is away.
const REDIS_ANSWERS: Duration = Duration::from_millis(150);
/// Users who come and go meanwhile, and how many of them at once.
const VISITORS: usize = 2_000;
const AT_ONCE: usize = 64;
/// How often each node is asked of all users.
const POLL: Duration = Duration::from_secs(1);
/// Users who change on all nodes at once, and for how long.
const CHANGING: usize = 5_000;
const CHANGE_FOR: Duration = Duration::from_secs(30);
/// At least so many changes are made: many users change twice.
const CHANGED_MIN: u64 = 5_000;
/// At least so many of these users also connect and leave meanwhile.
const VISITS_MIN: usize = 100;

/// The first database of a server.
const DATABASE: &str = "presence_0";

/// What a row has of what is told of a user.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    status: String,
    since: Option<i64>,
    last_seen: Option<i64>,
    last_active: Option<i64>,
    revision: u64,
    custom_status: String,
}

impl Row {
    fn of(record: &Record) -> Self {
        let millis = |time: Option<Wall>| time.map(Wall::as_millis);
        Self {
            status: record.status.to_string(),
            since: millis(record.since),
            last_seen: millis(record.last_seen),
            last_active: millis(record.last_active),
            revision: record.revision.get(),
            custom_status: record.custom_status.unwrap_or_default().to_string(),
        }
    }

    fn read(columns: &[&str]) -> Self {
        Self {
            status: columns[0].to_owned(),
            since: columns[1].parse().ok(),
            last_seen: columns[2].parse().ok(),
            last_active: columns[3].parse().ok(),
            revision: columns[4].parse().unwrap(),
            custom_status: columns[5].to_owned(),
        }
    }
}

async fn rows(postgres: &PostgresServer, prefix: &str) -> BTreeMap<String, Row> {
    let sql = format!(
        "SELECT user_id, status, since, last_seen, last_active, revision, custom_status FROM profile WHERE user_id LIKE '{prefix}%'"
    );
    let text = postgres.ask(DATABASE, &sql).await;
    let columns = text.lines().map(|line| line.split('|').collect::<Vec<_>>());
    columns.map(|all| (all[0].to_owned(), Row::read(&all[1..]))).collect()
}

/// Within 5 s nothing of these users is made without the database, and their rows say what REST says.
async fn are_written(cluster: &Cluster, postgres: &PostgresServer, users: &[String], prefix: &str) {
    let written = wait_until("all rows say what REST says", async || {
        let rows = rows(postgres, prefix).await;
        for node in cluster.nodes() {
            for record in records(node, users).await {
                let is_written = match rows.get(record.user_id.as_str()) {
                    Some(row) => *row == Row::of(&record),
                    None => record.since.is_none(),
                };
                if record.degraded || !is_written {
                    return None;
                }
            }
        }
        Some(())
    });
    let ((), took) = timed(written).await;
    assert!(took <= RIGHT_WITHIN, "written after {took:?}");
}

/// Waits until no node shows any of these users as made without the database.
async fn none_is_degraded(nodes: [&Daemon; 3], users: &[String]) {
    wait_until("nobody is degraded", async || {
        for (node, some) in nodes
            .iter()
            .flat_map(|node| users.chunks(1_000).map(move |some| (node, some)))
        {
            let answer = node.rest().query(some).await;
            if answer.status == 503 {
                // Who is in no memory is not read yet.
                return None;
            }
            let answer: QueryResponse = answer.ok();
            if answer.users.iter().any(|record| record.degraded) {
                return None;
            }
        }
        Some(())
    })
    .await;
}

/// Whether each node refuses what must be stored.
async fn refuse_writes(nodes: [&Daemon; 3]) {
    for node in nodes {
        let rest = node.rest();
        let chosen = rest.set_custom_status("fay", "IDLE").await;
        chosen.rejected(503, "store_unavailable");
        let report = rest.report("fay", json!({"status": "ONLINE"})).await;
        report.rejected(503, "store_unavailable");
    }
}

/// These users, who are absent, set DO_NOT_DISTURB, and are in no node's memory then: the database has all of them.
async fn are_in_no_memory(cluster: &Cluster, users: &[String]) {
    for user in users {
        let set = cluster.a.rest().set_custom_status(user, "DO_NOT_DISTURB").await;
        set.ok::<Record>();
    }
    wait_until("the users are in no state", async || {
        let states = (0..cluster.partitions()).map(|number| format!("presence:{{{number}}}:state"));
        let mut held = states.map(|state| cluster.command(&["HKEYS", &state]));
        held.all(|held| !held.lines().any(|user| users.iter().any(|one| one == user)))
            .then_some(())
    })
    .await;
}

/// Connects the first of the users, whom no memory has: with the custom status that Redis has. Where Redis takes long to answer
/// ONLINE is right, and the next user is tried.
async fn connected_from_redis(node: &Daemon, users: &[String]) -> (String, Socket) {
    for user in users {
        let connecting = Stopwatch::start();
        let socket = node.socket(user).await;
        let took = connecting.elapsed();
        let shown = socket.user.as_ref().map(|user| (user.status, user.degraded));
        if shown == Some((Status::DoNotDisturb, true)) {
            return (user.clone(), socket);
        }
        let is_late = took >= REDIS_ANSWERS && shown == Some((Status::Online, true));
        assert!(is_late, "{shown:?} after {took:?}");
    }
    panic!("Redis never answered in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_goes_on_without_postgres_and_all_is_written_after_it() {
    let postgres = PostgresServer::start(Disk::Unsynced);
    let cluster = Cluster::start_linked(&postgres, Arc::new(RedisServer::start(&[])), &[]).await;
    let nodes = cluster.nodes();
    let [a, b, c] = nodes;
    let clock = Stopwatch::start();
    let recorders = Recorders::start(clock, &[("a", a), ("b", b), ("c", c)]).await;
    let mut fay = a.socket("fay").await;
    fay.set_custom_status("DO_NOT_DISTURB").await;
    recorders.all_show(&["fay"], Status::DoNotDisturb, DEADLINE).await;
    let absent = named("gus", 20);
    are_in_no_memory(&cluster, &absent).await;
    let fay_alone = ["fay".to_owned()];
    let visitors = named("visitor", VISITORS);
    let all = [fay_alone.as_slice(), &absent, &visitors].concat();
    // Who is in no memory is not read without the database.
    let pollers = [("a", a), ("b", b), ("c", c)].map(|(name, node)| Poller::start(clock, name, node, &fay_alone, POLL));

    postgres.stop();
    let stopped = clock.elapsed();
    let second = b.socket("fay").await;
    let shown = second.user.as_ref().map(|user| (user.status, user.degraded));
    assert_eq!(shown, Some((Status::DoNotDisturb, false)));
    let (gus, of_gus) = connected_from_redis(c, &absent).await;
    recorders.all_show(&[&gus], Status::DoNotDisturb, DEADLINE).await;
    refuse_writes(nodes).await;
    for some in visitors.chunks(AT_ONCE) {
        let coming = some
            .iter()
            .zip(nodes.iter().cycle())
            .map(|(user, node)| node.socket(user));
        let sockets = join_all(coming).await;
        recorders.all_show(some, Status::Online, DEADLINE).await;
        join_all(sockets.into_iter().map(|socket| socket.close(Some(1000)))).await;
    }
    let_time_pass((stopped + AWAY).saturating_sub(clock.elapsed())).await;
    refuse_writes(nodes).await;

    postgres.start_again();
    let written = are_written(&cluster, &postgres, &visitors, "visitor-");
    let read = timed_within("nobody is degraded", RIGHT_WITHIN, none_is_degraded(nodes, &all));
    tokio::join!(written, read);
    recorders.all_show(&visitors, Status::Offline, RIGHT_WITHIN).await;
    assert_eq!(rows(&postgres, "visitor-").await.len(), VISITORS);
    recorders.no_change(&fay_alone, stopped);
    let shown = recorders.shown(&gus);
    assert_eq!(shown, [Status::DoNotDisturb; 3]);
    // Written again, without a restart.
    a.rest().set_custom_status("fay", "IDLE").await.ok::<Record>();
    for user in &absent {
        a.rest().set_custom_status(user, "ONLINE").await.ok::<Record>();
    }
    recorders.all_show(&fay_alone, Status::Idle, DEADLINE).await;
    recorders.all_show(&[&gus], Status::Online, DEADLINE).await;
    cluster.custom_statuses_are(&[("fay", "IDLE")]).await;
    all_is_well(&recorders, &nodes, &all).await;
    recorders.are_current(stopped).await;
    for poller in &pollers {
        poller.was_answered_but_for(&[]);
    }
    drop((fay, second, of_gus));
}

/// The rows of these users that are not as each node says, with what the nodes say.
async fn unlike_rows(cluster: &Cluster, postgres: &PostgresServer, users: &[String]) -> Vec<String> {
    let rows = rows(postgres, "user-").await;
    let mut unlike = Vec::new();
    for (name, node) in ["a", "b", "c"].iter().zip(cluster.nodes()) {
        for record in records(node, users).await {
            let (told, row) = (Row::of(&record), rows.get(record.user_id.as_str()));
            // Some were never reported.
            let is_right = row.map_or(record.revision.get() == 0, |row| *row == told);
            if record.degraded || !is_right {
                unlike.push(format!("{}: {row:?}, {name} has {told:?}", record.user_id));
            }
        }
    }
    unlike
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_write_the_same_users_at_once_agree_with_the_rows() {
    let postgres = PostgresServer::start(Disk::Unsynced);
    let cluster = Cluster::start_linked(&postgres, Arc::new(RedisServer::start(&[])), &[]).await;
    let nodes = cluster.nodes();
    let [a, b, c] = nodes;
    let clock = Stopwatch::start();
    let recorders = Recorders::start(clock, &[("a", a), ("b", b), ("c", c)]).await;
    let users: Vec<String> = (0..CHANGING).map(report_load::user).collect();
    let pollers = [("a", a), ("b", b), ("c", c)].map(|(name, node)| Poller::start(clock, name, node, &users, POLL));
    let changing = report_load::change_on_all(&nodes, CHANGING, CHANGE_FOR, CHANGED_MIN);
    let (visits, ()) = tokio::join!(come_and_go(&nodes, &users, CHANGE_FOR), changing);
    assert!(visits >= VISITS_MIN, "{visits}");
    until_as_the_rows(&cluster, &postgres, &users).await;
    all_is_well(&recorders, &nodes, &users).await;
    let unlike = unlike_rows(&cluster, &postgres, &users).await;
    assert!(unlike.is_empty(), "{unlike:#?}");
    recorders.are_current(Duration::ZERO).await;
    for poller in &pollers {
        poller.was_answered_but_for(&[]);
    }
    let log = postgres.log();
    assert!(!log.contains("deadlock"), "{log}");
    for node in nodes {
        let log = node.log();
        assert!(!log.contains("in the future"), "{log}");
    }
}

async fn until_as_the_rows(cluster: &Cluster, postgres: &PostgresServer, users: &[String]) {
    let stopwatch = Stopwatch::start();
    loop {
        let unlike = unlike_rows(cluster, postgres, users).await;
        if unlike.is_empty() {
            return;
        }
        assert!(stopwatch.elapsed() < 2 * DEADLINE, "{}: {unlike:#?}", unlike.len());
        let_time_pass(Duration::from_millis(500)).await;
    }
}
