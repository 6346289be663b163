//! The dashboard on a node of a cluster: a panel or a line of it as the screen has room, and what is wrong with it.

use presence_tests::Terminal;
use presence_tests::cluster::Cluster;

/// Long enough for every node to be known, short enough to wait for a node that is silent.
const LEASE: [&str; 2] = ["--lease", "5s"];

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_all_nodes_and_servers_of_a_cluster() {
    let cluster = Cluster::start(&LEASE).await;
    let terminal = Terminal::of(&cluster.b, 120, 40).await;
    terminal.line("presencectl watch");
    let has_all = |screen: &str| {
        let parts = ["Cluster 3 nodes", "redis 7", "postgres 1", "NODE", "● live"];
        parts.iter().all(|part| screen.contains(part))
    };
    let screen = terminal.until("the panel has all nodes", has_all).await;
    for name in ["a ", "b ", "c "] {
        let row = format!("│ {name}");
        assert!(screen.contains(&row), "{screen}");
    }
    terminal.resize(80, 24);
    let line = |screen: &str| screen.contains("│ 3 nodes, lag") && !screen.contains("Cluster");
    terminal.until("a small screen has a line of it", line).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stands_still_is_marked_in_the_dashboard() {
    let cluster = Cluster::start(&["--lease", "20s"]).await;
    let terminal = Terminal::of(&cluster.a, 80, 24).await;
    terminal.line("presencectl watch");
    terminal
        .until("the nodes are known", |screen| screen.contains("3 nodes, lag"))
        .await;
    cluster.c.process().stop();
    terminal
        .until("the node is silent", |screen| {
            screen.contains("1 node silent") && screen.contains("a node is silent")
        })
        .await;
    cluster.c.process().resume();
    terminal
        .until("the node ticks again", |screen| !screen.contains("silent"))
        .await;
}
