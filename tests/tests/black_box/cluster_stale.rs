//! Connections are told when what they watch may be out of date, and when it is right again.

use std::sync::Arc;
use std::time::Duration;

use presence::wire::server_message::ServerMessage;
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::redis_server::RedisServer;
use presence_tests::websocket::Socket;
use serde_json::json;

/// Within what time after Redis is gone every connection knows.
const TOLD_WITHIN: Duration = Duration::from_secs(3);

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
    let started = Stopwatch::start();
    for socket in &mut sockets {
        is_told(socket, true).await;
    }
    let took = started.elapsed();
    assert!(took <= TOLD_WITHIN, "{took:?}");
    // Those that come meanwhile are told too.
    let mut late = cluster.a.socket("bob").await;
    is_told(&mut late, true).await;
    let mut late_observer = cluster.b.observer().await;
    late_observer.snapshot(json!({"type": "watchAll"})).await;
    is_told(&mut late_observer, true).await;
    sockets.extend([late, late_observer]);
    redis.start_again();
    for socket in &mut sockets {
        is_told(socket, false).await;
    }
    for socket in &mut sockets {
        socket.ask(json!({"type": "ping"})).await;
        let rest = socket.unseen();
        let again = rest
            .iter()
            .find(|message| matches!(message, ServerMessage::Stale { .. }));
        assert_eq!(again, None, "each was told once");
    }
}
