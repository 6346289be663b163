//! PostgreSQL goes away and comes back: presence goes on, and all is written then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use presence::wire::record::Record;
use presence::wire::rest::QueryResponse;
use presence::{Status, Wall};
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::connection_load::join_all;
use presence_tests::poller::Poller;
use presence_tests::postgres_server::{Disk, PostgresServer};
use presence_tests::recorder::Recorders;
use presence_tests::redis_server::RedisServer;
use presence_tests::wait::{let_time_pass, timed, wait_until};
use presence_tests::{DEADLINE, Daemon};
use serde_json::json;

/// For how long PostgreSQL is away.
const AWAY: Duration = Duration::from_secs(60);
/// Within what time after it is back nothing is made without it, and all is written.
const RIGHT_WITHIN: Duration = Duration::from_secs(5);
/// Users who come and go meanwhile, and how many of them at once.
const VISITORS: usize = 2_000;
const AT_ONCE: usize = 64;

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
        }
    }

    fn read(columns: &[&str]) -> Self {
        Self {
            status: columns[0].to_owned(),
            since: columns[1].parse().ok(),
            last_seen: columns[2].parse().ok(),
            last_active: columns[3].parse().ok(),
            revision: columns[4].parse().unwrap(),
        }
    }
}

fn rows(postgres: &PostgresServer, prefix: &str) -> BTreeMap<String, Row> {
    let sql = format!(
        "SELECT user_id, status, since, last_seen, last_active, revision FROM profile WHERE user_id LIKE '{prefix}%'"
    );
    let text = postgres.sql(DATABASE, &sql);
    let columns = text.lines().map(|line| line.split('|').collect::<Vec<_>>());
    columns.map(|all| (all[0].to_owned(), Row::read(&all[1..]))).collect()
}

async fn records(node: &Daemon, users: &[String]) -> Vec<Record> {
    let mut all = Vec::new();
    for some in users.chunks(1_000) {
        let answer: QueryResponse = node.rest().query(some).await.ok();
        all.extend(answer.users);
    }
    all
}

/// Within 5 s nothing of these users is made without the database, and their rows say what REST says.
async fn are_written(cluster: &Cluster, postgres: &PostgresServer, users: &[String], prefix: &str) {
    let written = wait_until("all rows say what REST says", async || {
        let rows = rows(postgres, prefix);
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
    recorders.all_show(&["fay"], Status::DoNotDisturb, RIGHT_WITHIN).await;
    let polled = ["fay".to_owned()];
    let pollers = [("a", a), ("b", b), ("c", c)]
        .map(|(name, node)| Poller::start(clock, name, node, &polled, Duration::from_secs(1)));

    postgres.stop();
    let stopped = clock.elapsed();
    let second = b.socket("fay").await;
    let shown = second.user.as_ref().map(|user| (user.status, user.degraded));
    assert_eq!(shown, Some((Status::DoNotDisturb, false)));
    refuse_writes(nodes).await;
    let visitors: Vec<String> = (0..VISITORS).map(|number| format!("visitor-{number}")).collect();
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
    let all = [polled.as_slice(), &visitors].concat();
    are_written(&cluster, &postgres, &visitors, "visitor-").await;
    recorders.all_show(&visitors, Status::Offline, RIGHT_WITHIN).await;
    assert_eq!(rows(&postgres, "visitor-").len(), VISITORS);
    for node in nodes {
        let degraded = records(node, &all).await.into_iter().find(|record| record.degraded);
        assert_eq!(degraded, None);
    }
    recorders.no_change(&polled, stopped);
    recorders.revisions_grew();
    for poller in &pollers {
        poller.was_answered_but_for(&[]);
    }
    // Written again, without a restart.
    a.rest().set_custom_status("fay", "IDLE").await.ok::<Record>();
    recorders.all_show(&polled, Status::Idle, RIGHT_WITHIN).await;
    drop((fay, second));
}
