//! Runs workloads in rounds: against the floor, or of one build against another.

use anyhow::{Context as _, Result};

use crate::table::Row;
use crate::workloads::{Build, Scale, Side, Workload};

/// Measures the floor and the daemon in each round, one after the other.
pub(crate) fn against_floor(workload: &'static Workload, build: &Build, rounds: u8, scale: Scale) -> Result<Vec<Row>> {
    let mut rows = rows(workload);
    for _ in 0..rounds {
        let floor = measure(workload, Side::Floor(build), scale).context("the floor")?;
        let daemon = measure(workload, Side::Daemon(build), scale)?;
        add(&mut rows, floor, daemon);
    }
    Ok(rows)
}

/// Measures two builds in each round, in turns first.
pub(crate) fn against_each_other(
    workload: &'static Workload,
    [base, other]: [&Build; 2],
    rounds: u8,
    scale: Scale,
) -> Result<Vec<Row>> {
    let mut rows = rows(workload);
    for round in 0..rounds {
        let first = if round.is_multiple_of(2) { base } else { other };
        let second = if round.is_multiple_of(2) { other } else { base };
        let first = measure(workload, Side::Daemon(first), scale)?;
        let second = measure(workload, Side::Daemon(second), scale)?;
        match round.is_multiple_of(2) {
            true => add(&mut rows, first, second),
            false => add(&mut rows, second, first),
        }
    }
    Ok(rows)
}

fn measure(workload: &Workload, side: Side<'_>, scale: Scale) -> Result<Vec<f64>> {
    (workload.measure)(side, scale).with_context(|| format!("{} failed", workload.name))
}

fn rows(workload: &'static Workload) -> Vec<Row> {
    let row = |metric| Row {
        workload: workload.name,
        metric,
        base: Vec::new(),
        measured: Vec::new(),
    };
    workload.metrics.iter().map(row).collect()
}

fn add(rows: &mut [Row], base: Vec<f64>, measured: Vec<f64>) {
    // A side for which a workload has no figure gives none.
    rows.iter_mut().zip(base).for_each(|(row, value)| row.base.push(value));
    rows.iter_mut()
        .zip(measured)
        .for_each(|(row, value)| row.measured.push(value));
}
