//! Load on three nodes that share one PostgreSQL and one Redis: what a change costs and how long it takes, very many users who
//! are present, and a node that dies with very many sessions. `scripts/measure` has the figures of a release build, with more.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use presence_tests::bare_node::BareNode;
use presence_tests::clean_up::CleanUp;
use presence_tests::cluster_cost::{Cpu, RedisBytes};
use presence_tests::cluster_load::ClusterLoad;
use presence_tests::cluster_phase::Phase;
use presence_tests::many_users::{list_all, watch_all};
use presence_tests::postgres_server::PostgresServer;
use presence_tests::process::raise_file_limit;
use presence_tests::redis_server::RedisServer;
use presence_tests::report_load::make_present_on_all;
use presence_tests::wait::timed;
use presence_tests::{Cluster, file_lock};

/// The longest that anybody may have to wait for a node; a debug build takes some ten times as long for everything.
const STALL_MAX: Duration = Duration::from_millis(if cfg!(debug_assertions) { 400 } else { 100 });

/// On a Redis of its own, of which each command is of this cluster.
async fn start() -> Cluster {
    raise_file_limit();
    let redis = Arc::new(RedisServer::start(&[]));
    Cluster::start_with_defaults(PostgresServer::shared(), redis).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_other_nodes_as_fast_as_its_own() {
    let _lock = file_lock::heavy().await;
    let cluster = start().await;
    let mut load = ClusterLoad::start(&cluster.nodes(), 3_000, 20).await;
    let mut ratios = Vec::new();
    for _ in 0..3 {
        let phase = Phase::run(&cluster, &mut load, 60, Duration::from_secs(8)).await;
        let deliveries = &phase.deliveries;
        let all = deliveries.same_node.len() + deliveries.other_nodes.len();
        assert!(
            all >= phase.changes * 19,
            "{all} deliveries of {} changes",
            phase.changes
        );
        ratios.push(phase.ratio());
    }
    ratios.sort_by(f64::total_cmp);
    println!("p99 on other nodes, three times: {ratios:.2?} x");
    // The median: a node that stands still for a moment delays more of what goes between nodes than of what stays on one.
    assert!(ratios[1] <= 2.0, "{ratios:.2?} x");
    let bytes = RedisBytes::of(&cluster).of_users() / 3_000;
    assert!(bytes <= 250, "{bytes} bytes of Redis a user");
}

/// Of three measurements the median: what else the machine does in one of them does not count.
async fn cost_of_change(cluster: &Cluster, load: &mut ClusterLoad) -> Cpu {
    let mut costs = Vec::new();
    for _ in 0..3 {
        let phase = Phase::run(cluster, load, 50, Duration::from_secs(3)).await;
        costs.push(phase.each_change);
    }
    Cpu::median(&costs)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_costs_the_same_however_many_are_present() {
    let _lock = file_lock::heavy().await;
    let cluster = start().await;
    let mut load = ClusterLoad::start(&cluster.nodes(), 100, 5).await;
    let few = cost_of_change(&cluster, &mut load).await;
    make_present_on_all(&cluster.nodes(), 0..5_000).await;
    let many = cost_of_change(&cluster, &mut load).await;
    assert!(
        few.redis > Duration::ZERO && few.nodes > Duration::ZERO,
        "changes cost something: {few:?}"
    );
    let (redis, nodes) = (
        many.redis.as_secs_f64() / few.redis.as_secs_f64(),
        many.nodes.as_secs_f64() / few.nodes.as_secs_f64(),
    );
    println!("with 51 times as many users {redis:.2} x of Redis, {nodes:.2} x of the nodes");
    // What other work on the machine does to the caches is in these figures, a pass over all users would be 51 times.
    assert!(redis <= 2.0 && nodes <= 2.0, "{redis:.2} x, {nodes:.2} x");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_users_are_listed_watched_and_found_by_a_start_in_time() {
    let _lock = file_lock::heavy().await;
    const USERS: usize = 10_000;
    let mut cluster = start().await;
    make_present_on_all(&cluster.nodes(), 0..USERS).await;
    let listed = list_all(&cluster.b).await;
    assert_eq!(listed.users, USERS);
    let (watched, took) = watch_all(&cluster.b).await;
    assert_eq!(watched, USERS);
    cluster.c.kill();
    let ((), started) = timed(cluster.c.start_again()).await;
    assert_eq!(list_all(&cluster.c).await.users, USERS, "a node that accepts has all");
    println!(
        "longest page {:.1?}, watchAll {took:.1?}, start {started:.1?}",
        listed.longest
    );
    assert!(listed.longest < Duration::from_secs(1), "{:?}", listed.longest);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(started < Duration::from_secs(10), "{started:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_node_with_very_many_sessions_is_cleaned_up_in_time() {
    let _lock = file_lock::heavy().await;
    const SESSIONS: usize = if cfg!(debug_assertions) { 10_000 } else { 30_000 };
    let cluster = start().await;
    let program = Path::new(env!("CARGO_BIN_EXE_measure"));
    let node = BareNode::start(program, &cluster, SESSIONS).await;
    let clean_up = CleanUp::of(&cluster, node, SESSIONS).await;
    println!("{clean_up}");
    // In CPU time, so that other work on the machine does not count: a node must be done within 10 s of the grace period, and
    // must not keep anybody waiting. `scripts/measure dead-node` judges by the clock.
    let cpu = clean_up.cpu.nodes / 3;
    assert!(cpu < Duration::from_secs(10), "{cpu:?} of a node");
    assert!(clean_up.answer.own_cpu < STALL_MAX, "{:?}", clean_up.answer);
    let redis = clean_up.cpu.redis / SESSIONS as u32;
    assert!(redis < Duration::from_micros(200), "{redis:?} of Redis a session");
}
