//! The dashboard on a node of a cluster: a panel or a line of it as the screen has room, and what is wrong with it.

use presence_tests::cluster::Cluster;
use presence_tests::connection_load::join_all;
use presence_tests::{Daemon, Terminal, wait_until};

/// Long enough for every node to be known, short enough to wait for a node that is silent.
const LEASE: [&str; 2] = ["--lease", "5s"];

/// The servers with their versions, as the dashboard shows them once the node has looked at both.
async fn versions(node: &Daemon) -> [String; 2] {
    let rest = node.rest();
    wait_until("the node has looked at its servers", async || {
        let stats = rest.stats().await;
        let redis = stats.cluster?.redis.first()?.info.as_ref()?.version.clone();
        let postgres = stats.store.server?.version;
        let postgres = postgres.split(' ').next()?;
        Some([format!("redis {redis}"), format!("postgres {postgres}")])
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_all_nodes_and_servers_of_a_cluster() {
    let cluster = Cluster::start(&LEASE).await;
    let terminal = Terminal::of(&cluster.b, 120, 40).await;
    terminal.line("presencectl watch");
    let versions = versions(&cluster.b).await;
    let has_all = |screen: &str| {
        let parts = ["Cluster 3 nodes", "NODE", "● live"];
        let mut parts = parts.into_iter().chain(versions.iter().map(String::as_str));
        parts.all(|part| screen.contains(part))
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
        .until("the node ticks again", |screen| {
            screen.contains("3 nodes, lag") && !screen.contains("silent")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_shows_its_progress_as_a_bar_that_leaves_no_trace() {
    let cluster = Cluster::start(&["--drain-rate", "2", "--restart-grace", "60s"]).await;
    let names: Vec<String> = (0..20).map(|number| format!("user-{number}")).collect();
    let sockets = join_all(names.iter().map(|name| cluster.a.socket(name))).await;
    wait_until("B knows of the connections", async || {
        let nodes = cluster.b.rest().nodes().await.nodes;
        nodes
            .into_iter()
            .find(|node| node.name == "a" && node.connections == 20)
    })
    .await;
    let terminal = Terminal::of(&cluster.b, 80, 24).await;
    terminal.line("presencectl drain a");
    let moved = |screen: &str| {
        let line = screen.lines().find_map(|line| line.strip_prefix("draining ["))?;
        let (bar, count) = line.split_once("] ")?;
        let count = count.trim().strip_suffix(" of 20 moved")?;
        Some((bar.matches('=').count(), count.parse::<usize>().ok()?))
    };
    let is_between = |screen: &str| moved(screen).is_some_and(|(_, count)| (1..20).contains(&count));
    let early = terminal.until("some have moved", is_between).await;
    let (bar, before) = moved(&early).unwrap();
    assert!(bar <= 30 * before / 20 && bar + 2 >= 30 * before / 20, "{early}");
    terminal
        .until("more have moved, in the same line", |screen| {
            screen.matches("draining [").count() == 1 && moved(screen).is_some_and(|(_, count)| count > before)
        })
        .await;
    let done = terminal.shows("a is drained: 20 connections moved in ").await;
    assert!(!done.contains("draining ["), "{done}");
    assert!(
        !done.contains("connections left"),
        "lines are for what is no terminal: {done}"
    );
    terminal.prompt().await;
    drop(sockets);
}
