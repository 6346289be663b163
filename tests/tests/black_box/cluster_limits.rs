//! Limits of one user hold over all nodes of a cluster together.

use std::time::Duration;

use presence::Status;
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::websocket::{HandshakeError, HandshakeHeaders};
use presence_tests::{Daemon, RawClient, Rest, Socket, wait_until};

#[tokio::test(flavor = "multi_thread")]
async fn dead_sessions_on_other_nodes_make_room_for_a_full_user() {
    let few = ["--sessions-per-user", "3", "--lease", "3s"];
    let patient = ["--ping-interval", "100s", "--ping-timeout", "2s", "--grace", "1s"];
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

/// How often a user may set the custom status in ten seconds.
const LIMIT: usize = 20;
/// The first one set still counts then.
const COUNTED_FOR: Duration = Duration::from_secs(8);

/// What each node answers in the end to a user who has set it on all of them as often as the limit is, together.
async fn set_on_all(cluster: &Cluster, user: &str) -> Vec<Vec<u16>> {
    let nodes = cluster.nodes();
    let rests = nodes.map(Daemon::rest);
    let mut tries = 0;
    let mut set = async |rest: &Rest| {
        tries += 1;
        let custom = ["DO_NOT_DISTURB", "IDLE"][tries % 2];
        let answer = rest.set_custom_status(user, custom).await;
        assert!(answer.status == 200 || answer.code() == "rate_limited", "{answer:?}");
        answer.status
    };
    // Fewer than a user may publish with the connect, so all of them are in the log at once.
    for number in 0..LIMIT * 3 / 4 {
        assert_eq!(set(&rests[number % 3]).await, 200);
    }
    Cluster::agree(&nodes, user, Status::Idle).await;
    let mut answers = Vec::new();
    for rest in &rests {
        let mut of_node = Vec::new();
        // A few more than are left: what another node had on the way when this one wrote was not counted. A node that counted its
        // own alone would take all of these.
        for _ in 0..LIMIT / 4 + 4 {
            of_node.push(set(rest).await);
        }
        answers.push(of_node);
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_statuses_are_counted_over_all_nodes() {
    let cluster = Cluster::start(&[]).await;
    for attempt in 0.. {
        let user = format!("ada-{attempt}");
        let _connection = cluster.a.socket(&user).await;
        let setting = Stopwatch::start();
        let answers = set_on_all(&cluster, &user).await;
        // Else the first ones count no more, on a busy machine.
        if setting.elapsed() < COUNTED_FOR {
            let refused = answers.iter().all(|of_node| of_node.last() == Some(&429));
            assert!(refused, "{answers:?}");
            return;
        }
        assert!(attempt < 5, "the machine is too slow");
    }
}
