//! What an operator sees of the nodes of a cluster: `GET /api/nodes`, the statistics, and `presencectl nodes`.

use presence_tests::cluster::Cluster;
use presence_tests::presencectl::run;
use presence_tests::{Daemon, wait_until};

/// A lease short enough to wait for.
const QUICK: [&str; 4] = ["--lease", "2s", "--node-grace", "2s"];

/// The names of the nodes as one of them lists them.
async fn names(node: &Daemon) -> Vec<String> {
    let nodes = node.rest().nodes().await.nodes;
    nodes.into_iter().map(|node| node.name).collect()
}

/// Waits until these nodes list these names.
async fn listed(nodes: &[&Daemon], expected: &[&str]) {
    wait_until(&format!("the nodes list {expected:?}"), async || {
        for node in nodes {
            if names(node).await != expected {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_lists_all_nodes_with_their_figures() {
    let cluster = Cluster::start(&[]).await;
    let [a, b, c] = cluster.nodes();
    listed(&[a, b, c], &["a", "b", "c"]).await;
    let _socket = a.socket("alice").await;
    // A node that was kept waiting by the machine lags for a moment.
    let answer = wait_until("the nodes keep up", async || {
        let answer = a.rest().nodes().await;
        let keeps_up = |lag: Option<f64>| lag.is_some_and(|lag| lag < 2.0);
        answer
            .nodes
            .iter()
            .all(|node| keeps_up(node.lag_seconds))
            .then_some(answer)
    })
    .await;
    assert_eq!((answer.node.as_str(), answer.nodes.len()), ("a", 3));
    for (node, daemon) in answer.nodes.iter().zip([a, b, c]) {
        assert_eq!(node.address, Some(daemon.address().to_string()), "{node:?}");
        assert_eq!(node.version.as_deref(), Some(env!("CARGO_PKG_VERSION")), "{node:?}");
        let silent = node.last_tick_seconds.unwrap();
        assert!((0.0..15.0).contains(&silent), "ticks come every 3 s: {node:?}");
    }
    assert_eq!(answer.nodes[0].connections, 1, "its own at once: {answer:?}");
    let cluster = b.rest().stats().await.cluster.expect("a cluster");
    assert_eq!((cluster.stale_partitions, cluster.lease_seconds), (0, 15.0));
    let names: Vec<&str> = cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stopped_or_died_is_listed_no_more() {
    let mut cluster = Cluster::start(&QUICK).await;
    listed(&cluster.nodes(), &["a", "b", "c"]).await;
    cluster.c.kill();
    listed(&[&cluster.a, &cluster.b], &["a", "b"]).await;
    cluster.c.start_again().await;
    listed(&cluster.nodes(), &["a", "b", "c"]).await;
    cluster.b.terminate().await;
    listed(&[&cluster.a, &cluster.c], &["a", "c"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presencectl_nodes_prints_the_nodes() {
    let cluster = Cluster::start(&[]).await;
    listed(&[&cluster.b], &["a", "b", "c"]).await;
    let table = run(&cluster.b, &["nodes"]).await;
    assert_eq!(table.code, 0, "{table:?}");
    let last = table.out.lines().last();
    assert_eq!(last, Some("3 nodes, as b sees them"), "{table:?}");
    for (line, name) in table.out.lines().skip(1).zip(["a ", "b ", "c "]) {
        assert!(
            line.starts_with(name) && line.contains(env!("CARGO_PKG_VERSION")),
            "{table:?}"
        );
    }
    let json = run(&cluster.b, &["nodes", "-o", "json"]).await.json();
    assert_eq!((&json["node"], &json["nodes"][2]["name"]), (&"b".into(), &"c".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_on_all_addresses_is_named_until_it_advertises_one() {
    let cluster = Cluster::start(&[]).await;
    let mut d = cluster.start_listening_on("0.0.0.0:0", "d", &["--insecure"]).await;
    listed(&[&cluster.a, &cluster.b, &d], &["a", "b", "c", "d"]).await;
    let address = async |of: &Daemon| of.rest().nodes().await.nodes.remove(3).address.unwrap();
    assert!(address(&cluster.a).await.starts_with("0.0.0.0:"));
    wait_until("the log says so", async || {
        d.log().contains("--advertise http://HOST:PORT").then_some(())
    })
    .await;
    let doctor = run(&cluster.b, &["doctor"]).await;
    assert!(
        doctor.out.contains("the other nodes can't reach d (0.0.0.0:") && doctor.out.contains("--advertise"),
        "{doctor:?}"
    );
    d.terminate().await;
    listed(&[&cluster.a, &cluster.b], &["a", "b", "c"]).await;

    let flags = ["--insecure", "--advertise", "http://Node-D.internal:7420"];
    let d = cluster.start_listening_on("0.0.0.0:0", "d", &flags).await;
    listed(&[&cluster.a, &cluster.b, &d], &["a", "b", "c", "d"]).await;
    for node in [&cluster.a, &d] {
        assert_eq!(address(node).await, "node-d.internal:7420");
    }
    let table = run(&cluster.b, &["nodes"]).await;
    assert!(table.out.contains("node-d.internal:7420"), "{table:?}");
    wait_until("doctor says that no host has this name", async || {
        let doctor = run(&cluster.b, &["doctor"]).await;
        assert!(!doctor.out.contains("the other nodes can't reach d"), "{doctor:?}");
        let named = ["b does not reach every node over HTTP:", "node-d.internal:7420"];
        named.iter().all(|part| doctor.out.contains(part)).then_some(())
    })
    .await;
    assert!(!d.log().contains("--advertise http"), "{}", d.log());
}
