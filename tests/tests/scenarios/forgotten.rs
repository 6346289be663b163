//! A user is forgotten on one node while reconnecting and setting a custom status on the others, twenty times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use presence::wire::error_code::Code;
use presence::wire::record::Record;
use presence::wire::server_message::ServerMessage;
use presence::{CustomStatus, Status};
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::poller::Poller;
use presence_tests::postgres_server::{Disk, PostgresServer};
use presence_tests::recorder::Recorders;
use presence_tests::redis_server::RedisServer;
use presence_tests::rest::send;
use presence_tests::wait::{DEADLINE, Ticker, let_time_pass, timed_within, wait_for, wait_until};
use presence_tests::websocket::HandshakeHeaders;
use presence_tests::{Daemon, Socket};
use reqwest::Method;
use serde_json::json;

use crate::scene::all_is_well;

/// How often the user reconnects on each node.
const RECONNECTS: Duration = Duration::from_millis(50);
/// What was open when the user was forgotten ends within this time.
const ENDED_WITHIN: Duration = Duration::from_secs(3);
/// All is the same again within this time.
const RIGHT_WITHIN: Duration = Duration::from_secs(10);
/// How often each node is asked of the user.
const POLL: Duration = Duration::from_secs(1);
/// How often the user is forgotten.
const ROUNDS: usize = 10;
/// How often the user reconnects after that, on each node.
const AFTER: usize = 3;
/// More custom statuses than the user sets.
const FLAGS: [&str; 2] = ["--choices-per-10s", "100000"];
/// The first database of a server.
const DATABASE: &str = "presence_0";

/// Reconnects, and sets this custom status if there is one, until that was done some times after the answer. The last connection.
async fn reconnects(node: &Daemon, custom: Option<&str>, is_answered: &AtomicBool) -> Socket {
    let (mut ticker, mut last, mut after) = (Ticker::every(RECONNECTS), None, 0);
    loop {
        ticker.next().await;
        let is_after = is_answered.load(Ordering::SeqCst);
        let Ok(mut socket) = Socket::connect(node.address(), HandshakeHeaders::user("hal")).await else {
            continue;
        };
        if let Some(custom) = custom
            && !has_set(&mut socket, custom).await
        {
            continue;
        }
        if let Some(before) = last.replace(socket) {
            Socket::reset(before);
        }
        after += usize::from(is_after);
        if after == AFTER {
            return last.unwrap();
        }
    }
}

/// Whether the custom status was acknowledged before the connection was ended.
async fn has_set(socket: &mut Socket, custom: &str) -> bool {
    socket.send(&json!({"type": "setStatus", "customStatus": custom, "id": 1}));
    while let Ok(message) = socket.next().await {
        match message {
            ServerMessage::Ok { .. } => return true,
            // The user was forgotten while it was written: nothing is acknowledged.
            ServerMessage::Error {
                code: Code::StoreUnavailable,
                ..
            } => return false,
            ServerMessage::Error { .. } => panic!("not set: {message:?}"),
            _ => {}
        }
    }
    false
}

/// One round: a user who is DO_NOT_DISTURB is forgotten while reconnecting, and setting this.
async fn is_forgotten(cluster: &Cluster, postgres: &PostgresServer, custom: Option<&str>, expected: CustomStatus) {
    let nodes = cluster.nodes();
    let [a, b, c] = nodes;
    let mut open = [a.socket("hal").await, b.socket("hal").await, c.socket("hal").await];
    open[0].set_custom_status("DO_NOT_DISTURB").await;
    // What was before is what a shows, so it must have heard of all of it.
    Cluster::agree(&nodes, "hal", Status::DoNotDisturb).await;
    let is_answered = AtomicBool::new(false);
    let forgets = async {
        let before = a.rest().record("hal").await;
        is_taken(a).await;
        is_answered.store(true, Ordering::SeqCst);
        before
    };
    let (on_b, on_c) = (reconnects(b, custom, &is_answered), reconnects(c, custom, &is_answered));
    let (before, on_b, on_c) = tokio::join!(forgets, on_b, on_c);
    for socket in &mut open {
        let goodbye = timed_within("what was open ends", ENDED_WITHIN, socket.goodbye()).await;
        assert_eq!(goodbye.0, 4010, "{goodbye:?}");
    }
    for node in nodes {
        wait_for("the custom status is the last one set", RIGHT_WITHIN, async || {
            let record = node.rest().record("hal").await;
            assert_ne!(record.custom_status, Some(CustomStatus::DoNotDisturb), "{record:?}");
            // Present all the time, so any other is of after it: clocks of nodes differ by some ms.
            let is_new = record.since.is_some() && record.since != before.since && record.revision > before.revision;
            assert!(is_new, "{before:?}: {record:?}");
            (record.custom_status == Some(expected)).then_some(())
        })
        .await;
    }
    has_nothing_older(postgres, &before, expected).await;
    drop((on_b, on_c));
}

/// Forgets the user: again where the machine took too long to say that it was done.
async fn is_taken(node: &Daemon) {
    let rest = node.rest();
    wait_until("the user is forgotten", async || {
        let answer = send(rest.internal(Method::DELETE, "/api/user/hal")).await;
        if answer.status != 200 {
            answer.rejected(503, "cluster_unavailable");
        }
        (answer.status == 200).then_some(())
    })
    .await;
}

/// The row of the user has this custom status, and nothing of the record from before.
async fn has_nothing_older(postgres: &PostgresServer, before: &Record, expected: CustomStatus) {
    let (since, revision) = (before.since.unwrap().as_millis(), before.revision.get());
    let sql = format!(
        "SELECT custom_status, coalesce(custom_set_at > {since}, true) AND since <> {since} AND last_seen > {since} AND revision > {revision}, \
         status, since, last_seen, revision, version, unpublished FROM profile WHERE user_id = 'hal'"
    );
    let stopwatch = Stopwatch::start();
    loop {
        let row = postgres.sql(DATABASE, &sql);
        if row.starts_with(&format!("{expected}|t|")) {
            return;
        }
        assert!(stopwatch.elapsed() < RIGHT_WITHIN, "after {before:?} the row is {row}");
        let_time_pass(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_forgotten_while_reconnecting_has_nothing_from_before() {
    let postgres = PostgresServer::start(Disk::Unsynced);
    let redis = Arc::new(RedisServer::start(&[]));
    let cluster = Cluster::start_linked(&postgres, redis, &FLAGS).await;
    let (clock, users) = (Stopwatch::start(), ["hal".to_owned()]);
    let nodes = cluster.nodes();
    let named = [("a", nodes[0]), ("b", nodes[1]), ("c", nodes[2])];
    let recorders = Recorders::start(clock, &named).await;
    let pollers = named.map(|(name, node)| Poller::start(clock, name, node, &users, POLL));
    for _ in 0..ROUNDS {
        is_forgotten(&cluster, &postgres, None, CustomStatus::Online).await;
        is_forgotten(&cluster, &postgres, Some("IDLE"), CustomStatus::Idle).await;
    }
    recorders.all_show(&users, Status::Offline, DEADLINE).await;
    all_is_well(&recorders, &nodes, &users).await;
    for poller in &pollers {
        poller.was_answered_but_for(&[]);
    }
}
