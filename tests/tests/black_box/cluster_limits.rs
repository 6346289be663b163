//! Limits of one user hold over all nodes of a cluster together.

use presence::Status;
use presence_tests::cluster::Cluster;
use presence_tests::websocket::{HandshakeError, HandshakeHeaders};
use presence_tests::{RawClient, Socket, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn dead_sessions_on_other_nodes_make_room_for_a_full_user() {
    let few = ["--sessions-per-user", "3", "--lease", "3s"];
    let patient = ["--ping-interval", "100s", "--ping-timeout", "1s", "--grace", "1s"];
    let cluster = Cluster::start(&[few.as_slice(), &patient].concat()).await;
    let [a, b, c] = cluster.nodes();
    let mut living = a.socket("ada").await;
    let _silent = [
        RawClient::user(b.address(), "ada").await,
        RawClient::user(c.address(), "ada").await,
    ];
    wait_until("all nodes know all sessions", async || {
        let known = |sessions| (sessions == Some(3)).then_some(());
        known(a.rest().record("ada").await.sessions).and(known(b.rest().record("ada").await.sessions))
    })
    .await;
    let one_more = || Socket::connect(a.address(), HandshakeHeaders::user("ada"));
    assert_eq!(one_more().await.unwrap_err(), HandshakeError::Closed(4029));
    let mut newcomer = wait_until("there is room", async || one_more().await.ok()).await;
    living.be_active().await;
    newcomer.be_active().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_statuses_are_counted_over_all_nodes() {
    let cluster = Cluster::start(&[]).await;
    let [a, b, c] = cluster.nodes();
    let _ada = a.socket("ada").await;
    // With the connect the user publishes as many changes as one may, so all of them are in the log at once.
    for number in 0..19 {
        let node = [a, b, c][number % 3];
        let custom = ["DO_NOT_DISTURB", "IDLE"][number % 2];
        assert_eq!(node.rest().set_custom_status("ada", custom).await.status, 200);
    }
    Cluster::agree(&[a, b, c], "ada", Status::DoNotDisturb).await;
    for node in [a, b, c] {
        // A few more than the last one: what another node had on the way when this one wrote was not counted. By itself it would
        // take twelve.
        let mut statuses = Vec::new();
        for _ in 0..5 {
            let answer = node.rest().set_custom_status("ada", "IDLE").await;
            statuses.push((answer.status, answer.code().to_owned()));
        }
        assert_eq!(statuses.last(), Some(&(429, "rate_limited".to_owned())), "{statuses:?}");
    }
}
