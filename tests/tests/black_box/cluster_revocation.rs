//! Revocation in a cluster: one node is asked, all refuse, also those that can't be asked.

use std::sync::Arc;

use presence::Status;
use presence::wire::rest::RevokeResponse;
use presence_tests::jwt::{hs256, issued};
use presence_tests::ports::free_port;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::redis_server::RedisServer;
use presence_tests::rest::send;
use presence_tests::websocket::{HandshakeError, HandshakeHeaders};
use presence_tests::{Cluster, Daemon, Socket, wait_until};
use reqwest::Method;
use serde_json::json;

/// How often a busy machine may keep a node from its answer to another one, which waits for 300 ms.
const ATTEMPTS: usize = 5;

/// Whether the node accepts the token of a user, as a handshake.
async fn is_let_in(node: &Daemon, token: &str) -> bool {
    match Socket::connect(node.address(), HandshakeHeaders::bearer(token)).await {
        Ok(_) => true,
        Err(HandshakeError::Http(403, _)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

async fn connect(node: &Daemon, token: &str) -> Socket {
    let connected = Socket::connect(node.address(), HandshakeHeaders::bearer(token)).await;
    connected.unwrap()
}

/// Whether all nodes but this one have said in time that they looked. Of those that have not, nothing else may be wrong.
fn have_answered(revoked: &RevokeResponse, but: Option<&str>) -> bool {
    let unreached = revoked.unreached.iter();
    let late: Vec<_> = unreached.filter(|node| Some(node.node.as_str()) != but).collect();
    assert!(
        late.iter().all(|node| node.error.starts_with("no answer from")),
        "{late:?}"
    );
    late.is_empty()
}

/// Revokes the tokens of this user, and finds that it holds on all nodes. False if the machine was so busy that one of them had not
/// looked in time.
async fn holds_on_all(cluster: &Cluster, user: &str) -> bool {
    let [a, b, c] = cluster.nodes();
    let old = hs256(&a.jwt_key(), &issued(user, 60));
    let (mut on_a, mut on_b) = (connect(a, &old).await, connect(b, &old).await);
    let report = c.rest().report(user, json!({"status": "DO_NOT_DISTURB"})).await;
    assert_eq!(report.status, 200, "{}", report.body);
    wait_until("the node knows of all sessions", async || {
        let record = b.rest().record(user).await;
        (record.sessions == Some(3) && record.status == Status::DoNotDisturb).then_some(())
    })
    .await;
    let revoked = b.rest().revoke(user).await;
    assert_eq!(revoked.ended, 3);
    if !have_answered(&revoked, None) {
        return false;
    }
    for node in [a, b, c] {
        // At once: whoever asked was told so.
        assert_eq!(node.rest().revoked_before(user).await, Some(revoked.before));
        assert!(!is_let_in(node, &old).await);
    }
    for socket in [&mut on_a, &mut on_b] {
        assert_eq!(socket.goodbye().await.0, 4001);
    }
    for node in [a, b, c] {
        wait_until("the report has ended on all nodes", async || {
            (node.rest().record(user).await.sessions == Some(0)).then_some(())
        })
        .await;
    }
    let new = hs256(&a.jwt_key(), &issued(user, -2));
    let _again = connect(c, &new).await;
    Cluster::agree(&[a, b, c], user, Status::Online).await;
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_on_one_node_holds_on_all_when_it_is_answered() {
    let cluster = Cluster::start(&[]).await;
    for attempt in 0..ATTEMPTS {
        if holds_on_all(&cluster, &format!("fay-{attempt}")).await {
            return;
        }
    }
    panic!("not all nodes have answered in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_can_not_be_asked_finds_a_revocation_without_redis() {
    let redis = Arc::new(RedisServer::start(&[]));
    let cluster = Cluster::start_on(PostgresServer::shared(), Arc::clone(&redis), &[]).await;
    // Nobody listens where the others are told that it does.
    let elsewhere = format!("http://127.0.0.1:{}", free_port());
    let flags = ["--advertise", elsewhere.as_str()];
    let d = cluster
        .start_listening_on(&format!("127.0.0.1:{}", free_port()), "d", &flags)
        .await;
    let mut hal = connect(&d, &hs256(&cluster.a.jwt_key(), &issued("hal", 60))).await;
    let mut users = Vec::new();
    for attempt in 0..ATTEMPTS {
        let user = format!("gus-{attempt}");
        let token = hs256(&cluster.a.jwt_key(), &issued(&user, 60));
        let socket = connect(&d, &token).await;
        Cluster::agree(&[&cluster.a, &d], &user, Status::Online).await;
        users.push((user, token, socket));
    }
    redis.kill();
    for (user, old, mut socket) in users {
        let revoked = cluster.a.rest().revoke(&user).await;
        let others_answered = have_answered(&revoked, Some("d"));
        let told = revoked.unreached.iter().any(|node| node.node == "d");
        assert!(told, "{:?}", revoked.unreached);
        assert_eq!(socket.goodbye().await.0, 4001);
        assert!(!is_let_in(&d, &old).await);
        assert_eq!(d.rest().revoked_before(&user).await, Some(revoked.before));
        if others_answered {
            hal.watch(&[user]).await;
            redis.start_again();
            return;
        }
    }
    panic!("the nodes that can be asked have not answered in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_is_no_operator() {
    let cluster = Cluster::start(&[]).await;
    let path = "/api/presence/ida/revocation";
    for method in [Method::GET, Method::PUT] {
        let forged = cluster
            .a
            .rest()
            .request(method.clone(), path)
            .header("x-node-token", "00");
        let refused = send(forged).await;
        assert!(matches!(refused.status, 401 | 403), "{method}: {}", refused.body);
    }
    assert_eq!(cluster.a.rest().revoked_before("ida").await, None);
}
