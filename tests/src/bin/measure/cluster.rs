//! Measures three nodes on one PostgreSQL and one Redis: how long a change takes to watchers on the same and on other nodes,
//! what it costs, and whether either grows with the users who are present.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use presence_tests::Cluster;
use presence_tests::clock::Stopwatch;
use presence_tests::cluster_cost::{Cpu, RedisBytes, resident_bytes};
use presence_tests::cluster_load::{ClusterLoad, percentile};
use presence_tests::cluster_phase::Phase;
use presence_tests::postgres_server::{Disk, PostgresServer};
use presence_tests::process::raise_file_limit;
use presence_tests::redis_server::RedisServer;
use presence_tests::report_load::make_present_on_all;

const WATCHED: usize = 20;
const CHANGES_PER_SECOND: [u32; 2] = [100, 400];
const MEASURED: Duration = Duration::from_secs(20);

/// The limit of the 99th percentile on other nodes, as a multiple of that on the same node.
const RATIO_MAX: f64 = 2.0;
/// The limit of what a change costs with all users, as a multiple of what it costs with the clients alone.
const GROWTH_MAX: f64 = 1.25;
/// The limit of a present user's bytes in Redis.
const REDIS_BYTES_MAX: u64 = 250;

/// Starts the servers and three nodes.
pub(crate) async fn start() -> Cluster {
    raise_file_limit();
    println!("build            {}", super::build());
    let (postgres, redis) = (PostgresServer::start(Disk::Synced), RedisServer::start(&[]));
    // The measurement ends with the process, and the server with it.
    let postgres: &'static PostgresServer = Box::leak(Box::new(postgres));
    Cluster::start_with_defaults(postgres, Arc::new(redis)).await
}

/// Measures so many clients, then the same with so many users.
pub(crate) async fn cluster(clients: usize, users: usize) -> ExitCode {
    assert!(
        clients >= 100 && users >= clients,
        "at least 100 clients, and as many users"
    );
    let cluster = start().await;
    let (empty, connecting) = (resident_bytes(&cluster), Stopwatch::start());
    let mut load = ClusterLoad::start(&cluster.nodes(), clients, WATCHED).await;
    println!(
        "clients          {clients} over 3 nodes in {:.1?}, each watching {WATCHED} users",
        connecting.elapsed()
    );
    let each = resident_bytes(&cluster).saturating_sub(empty) / clients as u64;
    println!("a client         {each} bytes of 3 nodes together");
    let mut missed = Vec::new();
    let before = phases(&cluster, &mut load, &mut missed).await;
    let with_clients = resident_bytes(&cluster);

    let (making, cpu) = (Stopwatch::start(), Cpu::of(&cluster));
    let reports = users - clients;
    make_present_on_all(&cluster.nodes(), 0..reports).await;
    let cpu = Cpu::of(&cluster).since(cpu);
    println!(
        "present          {users} users, {:.1?} for the last {reports} by reports",
        making.elapsed()
    );
    println!(
        "a report         {:.1?} of Redis, {:.1?} of 3 nodes together, as fast as it goes",
        cpu.redis.div_f64(reports.max(1) as f64),
        cpu.nodes.div_f64(reports.max(1) as f64)
    );
    let grown = resident_bytes(&cluster).saturating_sub(with_clients);
    println!("a user           {} bytes of a node", grown / reports.max(1) as u64 / 3);
    print_redis(&cluster, users, &mut missed);
    let after = phases(&cluster, &mut load, &mut missed).await;
    compare(&before, &after, &mut missed);
    super::evaluate(&missed)
}

async fn phases(cluster: &Cluster, load: &mut ClusterLoad, missed: &mut Vec<String>) -> Vec<Phase> {
    let mut phases = Vec::new();
    for per_second in CHANGES_PER_SECOND {
        let phase = Phase::run(cluster, load, per_second, MEASURED).await;
        print(&phase, per_second);
        if phase.ratio() > RATIO_MAX {
            missed.push(format!("p99 on other nodes is {:.2} x that on the same", phase.ratio()));
        }
        phases.push(phase);
    }
    phases
}

fn print(phase: &Phase, per_second: u32) {
    let idle = phase.idle.each_second;
    println!(
        "idle CPU         {:.2} % of a core for 3 nodes, {:.2} % for Redis",
        idle.nodes.as_secs_f64() * 100.0,
        idle.redis.as_secs_f64() * 100.0
    );
    println!(
        "changes          {} at {per_second} a second; every watcher has the truth",
        phase.changes
    );
    let named = [
        ("same node", &phase.deliveries.same_node),
        ("other nodes", &phase.deliveries.other_nodes),
    ];
    for (name, times) in named {
        println!(
            "{name:<16} {} deliveries: p50 {:.2?}, p99 {:.2?}, longest {:.2?}",
            times.len(),
            percentile(times, 50),
            percentile(times, 99),
            percentile(times, 100)
        );
    }
    println!("p99              {:.2} x on other nodes", phase.ratio());
    println!(
        "a change         {:.1?} of Redis, {:.1?} of 3 nodes together",
        phase.each_change.redis, phase.each_change.nodes
    );
}

fn print_redis(cluster: &Cluster, users: usize, missed: &mut Vec<String>) {
    let (bytes, count) = (RedisBytes::of(cluster), users as u64);
    let each = bytes.of_users() / count;
    println!(
        "in Redis         {each} bytes a user: {} state, {} online, {} custom-status; {} KiB of log",
        bytes.state / count,
        bytes.online / count,
        bytes.custom_status / count,
        bytes.log / 1024
    );
    if each > REDIS_BYTES_MAX {
        missed.push(format!("{each} bytes a user in Redis, over {REDIS_BYTES_MAX}"));
    }
}

/// Whether a change costs the same, however many users there are.
fn compare(before: &[Phase], after: &[Phase], missed: &mut Vec<String>) {
    for (before, after) in before.iter().zip(after) {
        let ratio = |of: fn(&Phase) -> Duration| of(after).as_secs_f64() / of(before).as_secs_f64();
        let redis = ratio(|phase| phase.each_change.redis);
        let nodes = ratio(|phase| phase.each_change.nodes);
        println!("growth           a change costs {redis:.2} x of Redis, {nodes:.2} x of the nodes");
        if redis.max(nodes) > GROWTH_MAX {
            missed.push(format!("a change costs {:.2} x with more users", redis.max(nodes)));
        }
    }
}
