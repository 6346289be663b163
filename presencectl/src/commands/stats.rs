//! `stats`: the daemon's statistics.

use std::time::Duration;

use presence::wire::rest::Stats;

use super::Session;
use crate::failure::Failure;
use crate::output::escape::escape;
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
    format!(
        "presenced {} on {}, schema {}, up {}\nstore: {store}\n\n",
        escape(&stats.version),
        escape(&stats.node),
        stats.schema_version,
        time::length(Duration::from_secs(stats.uptime_seconds)),
    )
}

fn rows(stats: &Stats) -> TypedRows {
    let mut rows = TypedRows::new(&COLUMNS);
    let counts = [
        ("users ONLINE", stats.users.online),
        ("users IDLE", stats.users.idle),
        ("users DO_NOT_DISTURB", stats.users.do_not_disturb),
        ("connections", stats.sessions.connections),
        ("observers", stats.sessions.observers),
        ("reports", stats.sessions.reports),
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
    for row in counts.map(number) {
        rows.push(row);
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
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

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
connections,6
observers,7
reports,8
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
