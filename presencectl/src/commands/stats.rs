//! `stats`: the daemon's statistics.

use std::time::Duration;

use presence::wire::rest::{ClusterStats, NodeStats, Stats};

use super::Session;
use crate::failure::Failure;
use crate::output::escape::escape;
use crate::output::number::bytes;
use crate::output::{Cell, Column, HumanOutput, Report, TypedRows, time};

const COLUMNS: [Column; 2] = [Column::needed("STATISTIC", "name"), Column::needed("VALUE", "value")];

pub(super) async fn run(session: &mut Session) -> Result<(), Failure> {
    let stats = session.rest()?.stats().await?;
    let report = Report {
        document: &stats,
        items: std::slice::from_ref(&stats),
        rows: rows(&stats),
        human: HumanOutput::Table {
            above: above(&stats),
            below: String::new(),
        },
    };
    session.output.show(stats.now, &report)
}

fn above(stats: &Stats) -> String {
    let store = match (&stats.store.writable, &stats.store.error) {
        (true, _) => format!("{}, writable", escape(&stats.store.kind)),
        (false, why) => format!(
            "{}, NOT WRITABLE: {}",
            escape(&stats.store.kind),
            escape(why.as_deref().unwrap_or("no error reported"))
        ),
    };
    let cluster = stats.cluster.as_ref().map(above_of_cluster).unwrap_or_default();
    format!(
        "presenced {} on {}, schema {}, up {}\nstore: {store}\n{cluster}\n",
        escape(&stats.version),
        escape(&stats.node),
        stats.schema_version,
        time::length(Duration::from_secs(stats.uptime_seconds)),
    )
}

/// A line of the nodes, and one of each server of Redis.
fn above_of_cluster(cluster: &ClusterStats) -> String {
    let reached = match cluster.stale_partitions {
        0 => String::new(),
        stale => format!(
            ", {stale} OF {} PARTITIONS STALE: records may be out of date",
            cluster.partitions
        ),
    };
    let nodes = match cluster.nodes.len() {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
    };
    let mut text = format!("cluster: {nodes}{reached}; users and reports are those of all nodes\n");
    for server in &cluster.redis {
        let state = match (server.reachable, &server.info) {
            (true, Some(info)) => format!(
                "{} {}, {} used",
                escape(&info.kind),
                escape(&info.version),
                bytes(info.used_memory)
            ),
            (true, None) => "reachable".to_owned(),
            (false, _) => format!(
                "UNREACHABLE: {}",
                escape(server.error.as_deref().unwrap_or("no answer"))
            ),
        };
        text.push_str(&format!("redis: {}, {state}\n", escape(&server.address)));
    }
    text
}

fn rows(stats: &Stats) -> TypedRows {
    let mut rows = TypedRows::new(&COLUMNS);
    let of_cluster = [
        ("users ONLINE", stats.users.online),
        ("users IDLE", stats.users.idle),
        ("users DO_NOT_DISTURB", stats.users.do_not_disturb),
        ("reports", stats.sessions.reports),
    ];
    let of_node = [
        ("connections", stats.sessions.connections),
        ("observers", stats.sessions.observers),
        ("users in grace period", stats.sessions.in_grace),
        ("watchers", stats.sessions.watchers),
        ("watches", stats.sessions.watches),
    ];
    let limits = [
        ("pending writes", stats.store.pending_writes),
        ("maximum connections", stats.limits.max_connections),
        ("maximum open files", stats.limits.open_files),
    ];
    let rates = [
        ("changes per second", stats.rates.changes_per_second),
        ("deliveries per second", stats.rates.deliveries_per_second),
        ("connects per second", stats.rates.connects_per_second),
    ];
    let lags = [
        ("delivery lag (ms)", stats.rates.delivery_lag_seconds * 1000.0),
        (
            "maximum delivery lag (ms)",
            stats.rates.delivery_lag_max_seconds * 1000.0,
        ),
    ];
    let stalls = [
        ("last stall (s)", stats.stalls.last_seconds),
        ("longest stall (s)", stats.stalls.longest_seconds),
    ];
    let number = |(name, value): (&str, u64)| vec![Cell::Text(name.to_owned()), Cell::Number(value)];
    for row in of_cluster.map(number) {
        rows.push(row);
    }
    for (name, value) in of_node {
        // What beside the nodes of a cluster could be taken for that of all.
        let place = if stats.cluster.is_some() { ", this node" } else { "" };
        rows.push(vec![Cell::Text(format!("{name}{place}")), Cell::Number(value)]);
    }
    for (name, value) in rates.into_iter().chain(lags) {
        rows.push(vec![Cell::Text(name.to_owned()), Cell::Decimal(value)]);
    }
    rows.push(number(("stalls", stats.stalls.count)));
    for (name, value) in stalls {
        rows.push(vec![Cell::Text(name.to_owned()), Cell::Decimal(value)]);
    }
    for row in limits.map(number) {
        rows.push(row);
    }
    if let Some(cluster) = &stats.cluster {
        push_cluster(&mut rows, cluster);
    }
    rows
}

fn push_cluster(rows: &mut TypedRows, cluster: &ClusterStats) {
    let connections = cluster.nodes.iter().map(|node| node.connections).sum();
    let used = cluster.redis.iter().filter_map(|server| server.info.as_ref());
    let counts = [
        ("cluster nodes", cluster.nodes.len() as u64),
        ("cluster connections", connections),
        ("stale partitions", cluster.stale_partitions),
        ("Redis memory (bytes)", used.map(|info| info.used_memory).sum()),
    ];
    for (name, value) in counts {
        rows.push(vec![Cell::Text(name.to_owned()), Cell::Number(value)]);
    }
    let longest = |of: fn(&NodeStats) -> Option<f64>| cluster.nodes.iter().filter_map(of).fold(0.0, f64::max);
    let ages = [
        ("oldest last tick (s)", longest(|node| node.last_tick_seconds)),
        ("longest node lag (ms)", longest(|node| node.lag_seconds) * 1000.0),
    ];
    for (name, value) in ages {
        rows.push(vec![Cell::Text(name.to_owned()), Cell::Decimal(value)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> serde_json::Value {
        let node = |name: &str, connections: u64, tick: f64, lag: f64| {
            serde_json::json!({
                "name": name, "incarnation": "00", "address": null, "version": "0.1.0",
                "connections": connections, "lastTickSeconds": tick, "lagSeconds": lag,
            })
        };
        let redis = |address: &str, reachable: bool| {
            serde_json::json!({
                "address": address, "reachable": reachable, "answerSeconds": 0.001, "tls": false, "public": false,
                "error": (!reachable).then_some("refused"),
                "info": {
                    "kind": "redis", "version": "7.0.15", "redisVersion": "7.0.15", "role": "master", "uptimeSeconds": 1,
                    "usedMemory": 1024, "maxMemory": 0, "evictionPolicy": "noeviction",
                },
            })
        };
        serde_json::json!({
            "partitions": 16, "stalePartitions": 5, "leaseSeconds": 15.0,
            "nodes": [node("a", 7, 1.5, 0.002), node("b", 8, 2.5, 0.001)],
            "redis": [redis("10.0.0.1:6379", true), redis("10.0.0.2:6379", false)],
        })
    }

    #[test]
    fn the_cluster_has_lines_above_and_rows_below() {
        let cluster: ClusterStats = serde_json::from_value(cluster()).unwrap();
        assert_eq!(
            above_of_cluster(&cluster),
            "cluster: 2 nodes, 5 OF 16 PARTITIONS STALE: records may be out of date; users and reports are those of all nodes\n\
             redis: 10.0.0.1:6379, redis 7.0.15, 1 KiB used\nredis: 10.0.0.2:6379, UNREACHABLE: refused\n"
        );
        let (mut rows, mut csv) = (TypedRows::new(&COLUMNS), Vec::new());
        push_cluster(&mut rows, &cluster);
        rows.write_csv_rows(&mut csv).unwrap();
        assert_eq!(
            String::from_utf8(csv).unwrap(),
            "cluster nodes,2\ncluster connections,15\nstale partitions,5\nRedis memory (bytes),2048\n\
             oldest last tick (s),2.5\nlongest node lag (ms),2.0\n"
        );
    }

    #[test]
    fn each_figure_is_in_a_row_of_its_own() {
        let stats = serde_json::json!({
            "now": "2026-11-23T05:39:11.000Z",
            "node": "here",
            "version": "0.1.0",
            "schemaVersion": 1,
            "uptimeSeconds": 2,
            "users": {"ONLINE": 3, "IDLE": 4, "DO_NOT_DISTURB": 5},
            "sessions": {
                "connections": 6, "observers": 7, "reports": 8, "inGrace": 9, "watchers": 10, "watches": 11,
            },
            "rates": {
                "changesPerSecond": 12.5, "deliveriesPerSecond": 13.5, "connectsPerSecond": 14.5,
                "deliveryLagSeconds": 0.015, "deliveryLagMaxSeconds": 0.016,
            },
            "store": {"kind": "sqlite", "writable": true, "pendingWrites": 17},
            "stalls": {"count": 18, "lastAt": "2026-11-23T05:39:00.000Z", "lastSeconds": 19.5, "longestSeconds": 20.5},
            "limits": {"maxConnections": 21, "openFiles": 22},
        });
        let mut csv = Vec::new();
        rows(&serde_json::from_value(stats).unwrap())
            .write_csv_rows(&mut csv)
            .unwrap();
        assert_eq!(
            String::from_utf8(csv).unwrap(),
            "users ONLINE,3
users IDLE,4
users DO_NOT_DISTURB,5
reports,8
connections,6
observers,7
users in grace period,9
watchers,10
watches,11
changes per second,12.5
deliveries per second,13.5
connects per second,14.5
delivery lag (ms),15.0
maximum delivery lag (ms),16.0
stalls,18
last stall (s),19.5
longest stall (s),20.5
pending writes,17
maximum connections,21
maximum open files,22
"
        );
    }
}
