//! Connections are told when what they watch may be out of date, and when it is right again.

use std::sync::Arc;
use std::time::Duration;

use presence::Status;
use presence::wire::record::Update;
use presence::wire::server_message::ServerMessage;
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::proxy::Flow;
use presence_tests::redis_server::RedisServer;
use presence_tests::wait::{timed, wait_until, within_deadline};
use presence_tests::websocket::Socket;
use serde_json::json;

/// Within what time after Redis is gone every connection knows.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

/// A partition without an answer for so long is unreachable; half of it may have passed when the machine stops.
const STALE_AFTER: Duration = Duration::from_secs(1);

async fn is_told(socket: &mut Socket, stale: bool) {
    let is_it = |message: &ServerMessage| matches!(message, ServerMessage::Stale { .. });
    let told = socket.expect("whether the node may be out of date", is_it).await;
    assert_eq!(told, ServerMessage::Stale { stale });
}

#[tokio::test]
async fn connections_are_told_once_that_redis_is_gone_and_back() {
    let redis = Arc::new(RedisServer::start(&[]));
    let cluster = Cluster::start_on(PostgresServer::shared(), Arc::clone(&redis), &[]).await;
    let mut sockets = Vec::new();
    for node in cluster.nodes() {
        sockets.push(node.socket("ada").await);
        let mut everyone = node.observer().await;
        everyone.snapshot(json!({"type": "watchAll"})).await;
        let mut named = node.observer().await;
        named
            .snapshot(json!({"type": "watch", "userIds": ["ada", "absent"]}))
            .await;
        sockets.extend([everyone, named]);
    }
    redis.kill();
    let told = async {
        for socket in &mut sockets {
            is_told(socket, true).await;
        }
    };
    let ((), took) = timed(told).await;
    assert!(took <= TOLD_WITHIN, "{took:?}");
    // Those that come meanwhile are told too.
    let mut late = cluster.a.socket("bob").await;
    is_told(&mut late, true).await;
    let mut late_observer = cluster.b.observer().await;
    late_observer.snapshot(json!({"type": "watchAll"})).await;
    is_told(&mut late_observer, true).await;
    sockets.extend([late, late_observer]);
    redis.start_again();
    let back = Stopwatch::start();
    let told = async {
        for socket in &mut sockets {
            is_told(socket, false).await;
        }
        let mut again = Vec::new();
        for socket in &mut sockets {
            socket.ask(json!({"type": "ping"})).await;
            let unseen = socket.unseen().into_iter();
            again.extend(unseen.filter(|message| matches!(message, ServerMessage::Stale { .. })));
        }
        again
    };
    let (again, took) = timed(told).await;
    // A machine that stops for so long that Redis does not answer in time makes nodes say it again, truly.
    let stopped = back.elapsed().saturating_sub(took);
    assert!(
        again.is_empty() || stopped > STALE_AFTER,
        "each was told once: {again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_outage_is_told_after_those_who_left_in_it() {
    let redis = Arc::new(RedisServer::start(&[]));
    let cluster = Cluster::start_linked(PostgresServer::shared(), redis, &[]).await;
    let [a, b, c] = cluster.nodes();
    let ada = b.socket("ada").await;
    Cluster::agree(&[a, b, c], "ada", Status::Online).await;
    let mut observer = c.observer().await;
    observer.snapshot(json!({"type": "watchAll"})).await;
    cluster.link(2).set(Flow::Cut);
    is_told(&mut observer, true).await;
    ada.close(Some(1000)).await;
    Cluster::agree(&[a, b], "ada", Status::Offline).await;
    cluster.link(2).set(Flow::Pass);
    let mut told = Vec::new();
    let end = ServerMessage::Stale { stale: false };
    while told.last() != Some(&end) {
        let next = within_deadline("the end of the outage", observer.next_without_deadline());
        told.push(next.await.expect("a message"));
    }
    let is_offline = |update: &Update| matches!(update, Update::Record(record) if record.status == Status::Offline);
    let tells_it = |message: &ServerMessage| match message {
        ServerMessage::Presence { users, .. } => users.iter().any(is_offline),
        _ => false,
    };
    assert!(told.iter().any(tells_it), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_right_after_a_start_is_not_told_of_it() {
    let mut cluster = Cluster::start(&[]).await;
    for _ in 0..5 {
        cluster.a.terminate().await;
        cluster.a.start_again().await;
        let mut ada = cluster.a.socket("ada").await;
        ada.snapshot(json!({"type": "watch", "userIds": ["bob"]})).await;
        let unseen = ada.unseen();
        let told = |message: &ServerMessage| matches!(message, ServerMessage::Stale { .. });
        if !unseen.iter().any(told) {
            return;
        }
        // A node that has stood still says it truly.
        assert!(cluster.a.rest().stats().await.stalls.count > 0, "{unseen:?}");
    }
    panic!("the node stood still each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_an_outage_keeps_the_time_that_was_told() {
    let redis = Arc::new(RedisServer::start(&[]));
    let cluster = Cluster::start_on(PostgresServer::shared(), Arc::clone(&redis), &[]).await;
    let nodes = cluster.nodes();
    let [a, b, _] = nodes;
    let mut ada = a.socket("ada").await;
    Cluster::agree(&nodes, "ada", Status::Online).await;
    redis.kill();
    is_told(&mut ada, true).await;
    let mut observer = b.observer().await;
    observer.snapshot(json!({"type": "watchAll"})).await;
    is_told(&mut observer, true).await;
    ada.set_custom_status("IDLE").await;
    let _eve = b.socket("eve").await;
    let mut told = Vec::new();
    for (node, user) in [(a, "ada"), (b, "eve")] {
        // Connections are told with the first partition that is lost; records are stale with their own.
        let stale = wait_until("the record may be out of date", async || {
            Some(node.rest().record(user).await).filter(|record| record.stale)
        });
        told.push(stale.await);
    }
    redis.start_again();
    for before in told {
        let user = before.user_id.as_str();
        Cluster::agree(&nodes, user, before.status).await;
        Cluster::is_same_everywhere(&nodes, &[user]).await;
        let record = b.rest().record(user).await;
        assert_eq!(record.since, before.since, "{record:?}, told before: {before:?}");
        assert!(
            (record.last_seen, record.last_active) >= (before.last_seen, before.last_active),
            "{record:?}, told before: {before:?}"
        );
    }
}
