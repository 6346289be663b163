//! Nodes that are drained, by their name or because they stop: clients move to the other nodes, and no watcher on any node sees
//! one of them OFFLINE.

use std::sync::Arc;
use std::time::Duration;

use presence::Status;
use presence::wire::rest::NodeStats;
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::connection_load::join_all;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::presencectl::run;
use presence_tests::redis_server::RedisServer;
use presence_tests::wait::timed;
use presence_tests::websocket::{HandshakeError, HandshakeHeaders};
use presence_tests::{Daemon, Socket, wait_until};
use reqwest::Method;
use serde_json::Value;

/// Timers long enough that nobody becomes OFFLINE by them while a test runs.
const PATIENT: [&str; 4] = ["--restart-grace", "60s", "--drain-rate", "100"];

/// Users of a node with a connection each.
async fn users_of(node: &Daemon, names: &[String]) -> Vec<Socket> {
    join_all(names.iter().map(|name| node.socket(name))).await
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

/// Nodes that all know that the others take clients.
async fn started(flags: &[&str]) -> Cluster {
    let cluster = Cluster::start(flags).await;
    know_each_other(&cluster).await;
    cluster
}

async fn know_each_other(cluster: &Cluster) {
    for node in cluster.nodes() {
        wait_until("the nodes know that all of them take clients", async || {
            let nodes = node.rest().nodes().await.nodes;
            (nodes.iter().filter(|node| node.capacity > 0).count() == 3).then_some(())
        })
        .await;
    }
}

/// What a node says of the node of that name.
async fn seen(from: &Daemon, name: &str) -> Option<NodeStats> {
    let nodes = from.rest().nodes().await.nodes;
    nodes.into_iter().find(|node| node.name == name)
}

/// Waits until a node knows that the node of that name has so many connections.
async fn knows_connections(from: &Daemon, name: &str, count: u64) -> NodeStats {
    wait_until("the connections are known", async || {
        seen(from, name).await.filter(|node| node.connections == count)
    })
    .await
}

async fn put_drain(at: &Daemon, node: &str, method: Method) -> presence_tests::rest::Answer {
    let rest = at.rest();
    presence_tests::rest::send(rest.internal(method, &format!("/api/nodes/{node}/drain"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_moves_its_clients_and_takes_no_new_ones() {
    let cluster = started(&PATIENT).await;
    let [a, b, c] = cluster.nodes();
    let moving = names("mover-", 20);
    let mut sockets = users_of(a, &moving).await;
    for user in &moving {
        Cluster::agree(&[a, b, c], user, Status::Online).await;
    }
    let mut observers = Cluster::observers(&[b, c]).await;
    knows_connections(c, "a", 20).await;

    // C is asked for A.
    let drained = run(c, &["drain", "a", "-o", "json"]);
    let moved = async {
        let mut moved = Vec::new();
        for (socket, user) in sockets.iter_mut().zip(&moving) {
            let (code, reason, after) = socket.goodbye().await;
            assert_eq!((code, reason.as_str(), after), (1012, "restart", Some(500)));
            moved.push(b.socket(user).await);
        }
        moved
    };
    let (drained, moved) = tokio::join!(drained, moved);
    assert_eq!(drained.code, 0, "{drained:?}");
    let document = drained.json();
    assert_eq!(
        (&document["node"], &document["connections"], &document["moved"]),
        (&Value::from("a"), &Value::from(0), &Value::from(20)),
        "{drained:?}"
    );

    let readiness = a.rest().get("/readyz").await;
    assert_eq!(readiness.status, 503);
    let late = Socket::connect(a.address(), HandshakeHeaders::user("late")).await;
    let refused = HandshakeError::Http(503, "draining".to_owned());
    assert_eq!(late.err(), Some(refused), "no new clients");
    assert_eq!(seen(a, "a").await.map(|node| node.draining), Some(true));
    assert_eq!(seen(c, "a").await.map(|node| node.draining), Some(true));
    let listed = run(b, &["nodes"]).await;
    assert!(listed.out.contains("DRAINING"), "{listed:?}");
    for user in &moving {
        c.rest().set_custom_status(user, "IDLE").await;
        observers.told_only(user, Status::Online, Status::Idle).await;
        let record = Cluster::agree(&[a, b, c], user, Status::Idle).await;
        assert_eq!(record.nodes, Some(vec!["b".to_owned()]), "{record:?}");
    }

    let cancelled = run(b, &["drain", "a", "--cancel"]).await;
    assert_eq!((cancelled.code, cancelled.out.as_str()), (0, "a takes clients again\n"));
    assert_eq!(a.rest().get("/readyz").await.status, 200);
    let _late = a.socket("late").await;
    drop(moved);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_goes_at_its_rate_and_its_progress_is_seen_elsewhere() {
    let cluster = started(&["--restart-grace", "60s", "--drain-rate", "10"]).await;
    let [a, b, _] = cluster.nodes();
    let mut sockets = users_of(a, &names("slow-", 30)).await;
    let known = knows_connections(b, "a", 30).await;
    assert!(known.capacity > 0, "{known:?}");
    let asked = Stopwatch::start();
    let goodbyes = tokio::spawn(async move {
        let goodbyes = sockets.iter_mut().map(async |socket| {
            socket.goodbye().await;
            asked.elapsed()
        });
        join_all(goodbyes).await
    });
    put_drain(b, "a", Method::PUT).await.ok::<Value>();
    let between = wait_until("some are gone and some are left", async || {
        let node = seen(b, "a").await?;
        (node.draining && (1..30).contains(&node.connections)).then_some(node.connections)
    })
    .await;
    wait_until("more are gone", async || {
        seen(b, "a").await.filter(|node| node.connections < between)
    })
    .await;
    wait_until("all are gone", async || {
        seen(b, "a").await.filter(|node| node.connections == 0)
    })
    .await;
    wait_until("the log says so", async || {
        a.log().contains("drained: no client is left").then_some(())
    })
    .await;
    // Ten a second: the thirtieth goes 2.9 s after the first at the earliest, which goes after the drain was asked for: a busy test
    // may read it late.
    let told = goodbyes.await.unwrap();
    let last = *told.iter().max().unwrap();
    assert!(last >= Duration::from_millis(2_900), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_that_can_not_be_is_refused_and_says_why() {
    let cluster = started(&["--max-connections", "40"]).await;
    let [a, b, _] = cluster.nodes();
    put_drain(b, "nobody", Method::PUT).await.rejected(404, "unknown_node");
    let unknown = run(b, &["drain", "nobody"]).await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(unknown.err.contains("the nodes are: a, b, c"), "{unknown:?}");

    put_drain(b, "c", Method::PUT).await.ok::<Value>();
    put_drain(b, "b", Method::PUT).await.ok::<Value>();
    wait_until("A knows that the others drain", async || {
        let others = (seen(a, "b").await?, seen(a, "c").await?);
        (others.0.draining && others.1.draining).then_some(())
    })
    .await;
    put_drain(a, "a", Method::PUT).await.rejected(409, "no_other_node");
    let last = run(a, &["drain", "a"]).await;
    assert_eq!(last.code, 1, "refused, not asked: {last:?}");
    assert!(last.err.contains("no other node takes clients"), "{last:?}");
    put_drain(a, "c", Method::DELETE).await.ok::<Value>();

    // C alone takes clients, and has room for 40.
    let sockets = users_of(a, &names("many-", 30)).await;
    let more = users_of(&cluster.c, &names("more-", 20)).await;
    wait_until("all know of the connections", async || {
        seen(a, "c").await.filter(|node| node.connections >= 20)
    })
    .await;
    let asked = run(a, &["drain", "a"]).await;
    assert_eq!(asked.code, 2, "{asked:?}");
    assert!(asked.err.contains("--yes"), "{asked:?}");
    assert_eq!(seen(a, "a").await.map(|node| node.draining), Some(false));
    let forced = run(a, &["drain", "a", "--yes", "--no-wait"]).await;
    assert_eq!(forced.code, 0, "{forced:?}");
    assert!(forced.err.contains("the other nodes take"), "{forced:?}");
    assert_eq!(seen(a, "a").await.map(|node| node.draining), Some(true));
    wait_until("the log says so", async || {
        let warning = "the other nodes have room for fewer clients";
        a.log().contains(warning).then_some(())
    })
    .await;
    drop((sockets, more));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_is_not_drained() {
    let daemon = Daemon::start(&[]).await;
    let nodes = daemon.rest().nodes().await;
    let own = put_drain(&daemon, &nodes.node, Method::PUT).await;
    own.rejected(409, "no_other_node");
    put_drain(&daemon, "other", Method::PUT)
        .await
        .rejected(404, "unknown_node");
}

/// The delay of each goodbye, of connections that all end because their node moves its clients.
async fn delays(sockets: &mut [Socket]) -> Vec<u64> {
    let goodbyes = sockets.iter_mut().map(async |socket| {
        let (code, reason, after) = socket.goodbye().await;
        assert_eq!((code, reason.as_str()), (1012, "restart"));
        after.unwrap()
    });
    join_all(goodbyes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_moves_some_clients_and_tells_the_others_when_to_come() {
    let mut cluster = started(&["--restart-grace", "60s", "--drain-rate", "10"]).await;
    let users = names("stop-", 60);
    let mut sockets = users_of(&cluster.a, &users).await;
    for user in [&users[0], &users[59]] {
        Cluster::agree(&cluster.nodes(), user, Status::Online).await;
    }
    let mut observers = Cluster::observers(&[&cluster.b, &cluster.c]).await;
    let clock = Stopwatch::start();
    cluster.a.process().terminate();
    let (delays, status) = tokio::join!(delays(&mut sockets), cluster.a.ended());
    assert_eq!(status.code(), Some(0));
    assert!(clock.elapsed() < Duration::from_secs(10), "{:?}", clock.elapsed());
    // One after the other for 2.5 s; those who are left come back as if they were moved at the rate.
    let moved = delays.iter().filter(|after| **after == 500).count();
    assert!((1..=30).contains(&moved), "{moved} moved: {delays:?}");
    let latest = delays.iter().max();
    assert!(latest.is_some_and(|after| (1_500..6_500).contains(after)), "{delays:?}");
    let _back = users_of(&cluster.b, &users).await;
    for user in &users {
        cluster.c.rest().set_custom_status(user, "IDLE").await;
        observers.told_only(user, Status::Online, Status::Idle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_moving_and_nothing_else() {
    let mut cluster = started(&["--restart-grace", "60s", "--drain-rate", "1"]).await;
    let mut sockets = users_of(&cluster.a, &names("twice-", 20)).await;
    cluster.a.process().terminate();
    wait_until("the moving has begun", async || {
        cluster.a.log().contains("clients move to other nodes").then_some(())
    })
    .await;
    cluster.a.process().terminate();
    let ended = wait_until("the moving has ended", async || {
        cluster.a.log().contains("told to come back later").then_some(())
    });
    let ((), took) = timed(ended).await;
    let (delays, status) = tokio::join!(delays(&mut sockets), cluster.a.ended());
    assert_eq!((status.code(), delays.len()), (Some(0), 20));
    // By itself it ends after 2.5 s.
    assert!(took < Duration::from_secs(1), "{took:?}: {}", cluster.a.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_and_its_cancel_may_be_repeated_with_a_long_lease() {
    // The next regular tick of a node would come after the answer is due.
    let cluster = started(&["--lease", "300s"]).await;
    let [a, b, _] = cluster.nodes();
    for method in [Method::DELETE, Method::PUT, Method::PUT, Method::DELETE, Method::DELETE] {
        put_drain(b, "a", method.clone()).await.ok::<Value>();
        let is_wanted = method == Method::PUT;
        assert_eq!(
            seen(a, "a").await.map(|node| node.draining),
            Some(is_wanted),
            "{method}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_goes_on_while_redis_is_away_and_none_begins() {
    let redis = Arc::new(RedisServer::start(&[]));
    let flags = ["--restart-grace", "60s", "--grace", "60s", "--drain-rate", "5"];
    let cluster = Cluster::start_on(PostgresServer::shared(), Arc::clone(&redis), &flags).await;
    know_each_other(&cluster).await;
    let nodes = cluster.nodes();
    let [a, b, c] = nodes;
    let users = names("away-", 30);
    let mut sockets = users_of(a, &users).await;
    for user in [&users[0], &users[29]] {
        Cluster::agree(&nodes, user, Status::Online).await;
    }
    let mut observers = Cluster::observers(&[b, c]).await;
    put_drain(b, "a", Method::PUT).await.ok::<Value>();
    redis.kill();
    let moved = async {
        let moved = sockets.iter_mut().zip(&users).map(async |(socket, user)| {
            assert_eq!(socket.goodbye().await.0, 1012);
            c.socket(user).await
        });
        join_all(moved).await
    };
    let moved = moved.await;
    wait_until("all clients are gone from A", async || {
        seen(a, "a").await.filter(|node| node.connections == 0 && node.draining)
    })
    .await;
    wait_until("B knows that Redis is away", async || {
        let answer = put_drain(b, "c", Method::PUT).await;
        (answer.status == 503 && answer.code() == "cluster_unavailable").then_some(())
    })
    .await;
    let refused = run(b, &["drain", "c", "--yes"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");

    redis.start_again();
    for user in &users {
        Cluster::agree(&nodes, user, Status::Online).await;
    }
    for user in [&users[0], &users[29]] {
        c.rest().set_custom_status(user, "IDLE").await;
        observers.told_only(user, Status::Online, Status::Idle).await;
    }
    assert_eq!(seen(c, "c").await.map(|node| node.draining), Some(false));
    drop(moved);
}
