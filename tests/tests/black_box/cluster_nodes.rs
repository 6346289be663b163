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
    let answer = a.rest().nodes().await;
    assert_eq!(answer.node, "a");
    for (node, daemon) in answer.nodes.iter().zip([a, b, c]) {
        assert_eq!(node.address, Some(daemon.address().to_string()), "{node:?}");
        assert_eq!(node.version.as_deref(), Some(env!("CARGO_PKG_VERSION")), "{node:?}");
        let silent = node.last_tick_seconds.unwrap();
        assert!((0.0..15.0).contains(&silent), "ticks come every 3 s: {node:?}");
        assert!(node.lag_seconds.unwrap() < 2.0, "{node:?}");
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
