//! The result of a simulation: rates, latencies and errors.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use super::PhaseTimes;
use super::counters::Counters;
use super::latency::Percentiles;
use crate::cli::Simulate;
use crate::commands::Session;
use crate::failure::{Exit, Failure};
use crate::output::escape::escape;
use crate::output::{Cell, Column, HumanOutput, Report, TypedRows};

const COLUMNS: [Column; 6] = [
    Column::needed("LATENCY (ms)", "latency"),
    Column::needed("COUNT", "count"),
    Column::needed("P50", "p50Ms"),
    Column::needed("P90", "p90Ms"),
    Column::needed("P99", "p99Ms"),
    Column::needed("MAX", "maxMs"),
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SimulationDocument<'a> {
    ok: bool,
    users: u64,
    watch_per_user: u64,
    arriving_seconds: f64,
    living_seconds: f64,
    attempts: u64,
    connects: u64,
    connects_per_second: f64,
    changes: u64,
    changes_per_second: f64,
    deliveries: u64,
    deliveries_per_second: f64,
    activities: u64,
    reloads: u64,
    crashes: u64,
    leaves: u64,
    restarts: u64,
    postponed: u64,
    resumed: u64,
    not_resumed: u64,
    watches_resumed: u64,
    watches_anew: u64,
    unexpected_offline: u64,
    connect: Percentiles,
    change_to_ack: Percentiles,
    change_to_delivery: Percentiles,
    error_count: u64,
    errors: &'a BTreeMap<String, u64>,
}

/// Prints the result, and fails if there were too many errors.
pub(super) fn show(
    session: &mut Session,
    args: &Simulate,
    counters: &Counters,
    times: PhaseTimes,
) -> Result<(), Failure> {
    let document = SimulationDocument {
        ok: counters.is_good(),
        users: args.users,
        watch_per_user: args.watch_per_user.min(args.users - 1),
        arriving_seconds: times.connecting.as_secs_f64(),
        living_seconds: times.running.as_secs_f64(),
        attempts: counters.attempts,
        connects: counters.connects,
        connects_per_second: per_second(times.arrived, times.connecting),
        changes: times.changes,
        changes_per_second: per_second(times.changes, times.running),
        deliveries: times.deliveries,
        deliveries_per_second: per_second(times.deliveries, times.running),
        activities: counters.activities,
        reloads: counters.reloads,
        crashes: counters.crashes,
        leaves: counters.leaves,
        restarts: counters.restarts,
        postponed: counters.postponed,
        resumed: counters.resumed,
        not_resumed: counters.not_resumed,
        watches_resumed: counters.watches_resumed,
        watches_anew: counters.watches_anew,
        unexpected_offline: counters.unexpected_offline,
        connect: counters.connect.percentiles(),
        change_to_ack: counters.ack.percentiles(),
        change_to_delivery: counters.delivery.percentiles(),
        error_count: counters.error_count(),
        errors: &counters.errors,
    };
    let report = Report {
        items: &[&document],
        rows: rows(&document),
        human: HumanOutput::Table {
            above: above(&document),
            below: below(&document),
        },
        document: &document,
    };
    session.output.show(crate::clock::wall(), &report)?;
    if document.ok {
        Ok(())
    } else {
        Err(Failure::Reported(Exit::Failed))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run fit into 53 bits")]
fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        count as f64 / time.as_secs_f64()
    }
}

fn rows(document: &SimulationDocument<'_>) -> TypedRows {
    let mut rows = TypedRows::new(&COLUMNS);
    for (name, percentiles) in [
        ("connect", document.connect),
        ("change to response", document.change_to_ack),
        ("change to watcher", document.change_to_delivery),
    ] {
        rows.push(vec![
            Cell::Text(name.to_owned()),
            Cell::Number(percentiles.count),
            Cell::Decimal(percentiles.p50_ms),
            Cell::Decimal(percentiles.p90_ms),
            Cell::Decimal(percentiles.p99_ms),
            Cell::Decimal(percentiles.max_ms),
        ]);
    }
    rows
}

fn above(document: &SimulationDocument<'_>) -> String {
    format!(
        "{} users, each watching {} others\n\
         connected in {:.1} s: {:.0} connects per second\n\
         ran for {:.1} s: {} changes ({:.1} per second), {} deliveries ({:.1} per second)\n\
         also: {} activity reports, {} reloads, {} crashes, {} reconnects\n\n",
        document.users,
        document.watch_per_user,
        document.arriving_seconds,
        document.connects_per_second,
        document.living_seconds,
        document.changes,
        document.changes_per_second,
        document.deliveries,
        document.deliveries_per_second,
        document.activities,
        document.reloads,
        document.crashes,
        document.leaves,
    )
}

fn below(document: &SimulationDocument<'_>) -> String {
    let continuity = format!(
        "\n{} of {} reconnects continued their session; shown OFFLINE without having signed out: {}\n",
        document.resumed,
        document.resumed + document.not_resumed,
        document.unexpected_offline
    );
    let waits = match (document.restarts, document.postponed) {
        (0, 0) => String::new(),
        (restarts, postponed) => {
            format!("\n{restarts} connections ended by a restart of the daemon, {postponed} requests told to wait\n")
        }
    };
    if document.error_count == 0 {
        return format!("{continuity}{waits}\nno errors\n");
    }
    let assessment = if document.ok {
        "within the limit of 1 %"
    } else {
        "above the limit of 1 %"
    };
    let total = document.attempts + document.changes;
    let mut text = format!(
        "{continuity}{waits}\n{} of {total} connects and changes failed, {assessment}:\n",
        document.error_count
    );
    for (kind, count) in document.errors {
        let _ = writeln!(text, "  {count:>6}  {}", escape(kind));
    }
    text
}
