//! The cluster, on screens of every size.

use presence::wire::rest::{ClusterStats, NodeStats, Persistence, PostgresInfo, RedisInfo, RedisStats};

use super::*;

fn node(name: &str, connections: u64, tick: f64) -> NodeStats {
    NodeStats {
        name: name.to_owned(),
        incarnation: format!("{name:0>16}"),
        version: Some("0.1.0".to_owned()),
        connections,
        last_tick_seconds: Some(tick),
        lag_seconds: Some(0.003_1),
        ..NodeStats::default()
    }
}

fn redis() -> RedisStats {
    RedisStats {
        address: "10.0.0.9:6379".to_owned(),
        reachable: true,
        error: None,
        answer_seconds: 0.000_8,
        tls: false,
        public: false,
        needs_password: Some(true),
        denied: Vec::new(),
        info: Some(RedisInfo {
            kind: "redis".to_owned(),
            version: "7.0.15".to_owned(),
            redis_version: "7.0.15".to_owned(),
            role: "master".to_owned(),
            used_memory: 12 << 20,
            max_memory: 100 << 20,
            eviction_policy: "noeviction".to_owned(),
            persistence: Some(Persistence::Aof),
            ..RedisInfo::default()
        }),
    }
}

fn cluster() -> ClusterStats {
    ClusterStats {
        partitions: 16,
        stale_partitions: 0,
        lease_seconds: 15.0,
        nodes: vec![
            node("node-a", 812, 1.2),
            node("node-b", 1_790, 2.9),
            node("node-c", 805, 0.4),
        ],
        redis: vec![redis()],
    }
}

fn answer(model: &mut Model, cluster: ClusterStats) {
    let mut stats = stats();
    stats.cluster = Some(cluster);
    stats.store.kind = "postgres".to_owned();
    stats.store.server = Some(PostgresInfo {
        version: "15.14 (Debian 15.14-0+deb12u1)".to_owned(),
        fsync: Some(true),
        ..PostgresInfo::default()
    });
    send(model, Message::Response(Response::Stats(Ok(Box::new(stats)))));
}

fn shown(model: &Model) -> String {
    text(&frame(model, &Theme::rich()))
}

#[test]
fn the_cluster_is_drawn_in_every_layout_that_has_room() {
    for (width, height) in [(200, 60), (120, 40), (80, 40), (80, 24), (120, 24)] {
        let mut model = crowd(width, height);
        answer(&mut model, cluster());
        let shown = shown(&model);
        check(&format!("cluster-{width}x{height}"), &shown);
        assert!(shown.contains("3 nodes") && shown.contains("postgres 15.14"), "{shown}");
    }
    for (width, height) in [(40, 10), (30, 3), (1, 1)] {
        let mut model = crowd(width, height);
        answer(&mut model, cluster());
        assert!(!shown(&model).contains("nodes"), "{width}x{height}");
    }
}

#[test]
fn the_cluster_leaves_room_for_a_detail() {
    for (width, height) in [(120, 40), (120, 30), (110, 32), (200, 50), (80, 40)] {
        let mut model = crowd(width, height);
        answer(&mut model, cluster());
        model.detail = Some(crate::tui::model::Detail::new(user("ann")));
        let shown = shown(&model);
        assert!(shown.contains("3 nodes") && shown.contains("Detail"), "{shown}");
        let has_panel = width >= 110;
        assert_eq!(shown.contains("node-a "), has_panel, "{width}x{height}: {shown}");
        if (width, height) == (120, 40) {
            check("cluster-detail-120x40", &shown);
            assert!(["node-b", "node-c"].iter().all(|node| shown.contains(node)), "{shown}");
        }
    }
}

#[test]
fn a_daemon_alone_has_nothing_of_a_cluster() {
    for (width, height) in [(200, 60), (120, 40), (80, 24)] {
        let shown = shown(&crowd(width, height)).to_lowercase();
        assert!(!shown.contains("cluster") && !shown.contains("redis"), "{shown}");
    }
}

#[test]
fn problems_of_the_cluster_are_drawn_first() {
    let mut troubled = cluster();
    troubled.stale_partitions = 5;
    troubled.nodes[1].last_tick_seconds = Some(11.0);
    troubled.nodes[2].version = Some("0.2.0".to_owned());
    troubled.redis[0].reachable = false;
    for (width, height) in [(120, 40), (80, 24)] {
        let mut model = crowd(width, height);
        answer(&mut model, troubled.clone());
        let shown = shown(&model);
        check(&format!("cluster-trouble-{width}x{height}"), &shown);
        let parts = ["REDIS UNREACHABLE", "5/16 partitions stale"];
        assert!(parts.iter().all(|part| shown.contains(part)), "{shown}");
    }
    let mut evicting = cluster();
    if let Some(info) = &mut evicting.redis[0].info {
        info.eviction_policy = "allkeys-lru".to_owned();
        info.used_memory = 90 << 20;
    }
    let mut model = crowd(120, 40);
    answer(&mut model, evicting.clone());
    assert!(
        shown(&model).contains("evicts keys 7.0.15, 90 MiB (90 %)"),
        "{}",
        shown(&model)
    );
    let mut model = crowd(80, 24);
    answer(&mut model, evicting);
    assert!(
        shown(&model).contains("redis evicts keys · redis nearly full · 3 nodes"),
        "{}",
        shown(&model)
    );
}

#[test]
fn a_node_that_drains_is_marked() {
    let mut draining = cluster();
    draining.nodes[1].draining = true;
    for (width, height) in [(120, 40), (80, 40)] {
        let mut model = crowd(width, height);
        answer(&mut model, draining.clone());
        let shown = shown(&model);
        let line = shown.lines().find(|line| line.contains("draining")).expect("a line");
        assert!(line.contains("0.1.0") && line.contains("no"), "{shown}");
    }
}

#[test]
fn a_cluster_of_many_nodes_shows_those_first_that_need_attention() {
    let mut many = cluster();
    many.nodes = (0..30)
        .map(|number| node(&format!("node-{number:02}"), 5, 1.0))
        .collect();
    many.nodes[25].last_tick_seconds = Some(12.0);
    let mut model = crowd(120, 40);
    answer(&mut model, many);
    let shown = shown(&model);
    let line = shown.lines().find(|line| line.contains("node-25")).expect("shown");
    assert!(line.contains("12.0 s"), "{shown}");
    assert!(shown.contains(" more ") && shown.contains("Stream"), "{shown}");
}

#[test]
fn names_and_versions_of_hostile_nodes_are_escaped() {
    let mut hostile = cluster();
    hostile.nodes[0].name = format!("evil\u{1b}[2J{}", "x".repeat(250));
    hostile.nodes[1].version = Some("\u{202e}0.1\n".to_owned());
    hostile.redis[0].address = "host\u{7}:1".to_owned();
    for (width, height) in [(200, 60), (120, 40), (80, 40), (80, 24)] {
        let mut model = crowd(width, height);
        answer(&mut model, hostile.clone());
        let shown = shown(&model);
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown}");
    }
}
