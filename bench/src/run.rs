//! Runs workloads in rounds: against the floor, or of one build against another.

use anyhow::{Context as _, Result};

use crate::figure::{self, Row};
use crate::workloads::{Build, Sample, Scale, Side, Workload};

/// All workloads at one size.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) scale: Scale,
    pub(crate) rows: Vec<Row>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// A workload that was not measured at this size.
#[derive(Debug, Clone)]
pub(crate) struct LeftOut {
    pub(crate) workload: &'static str,
    pub(crate) reason: String,
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sides<'a> {
    Floor(&'a Build),
    /// Two builds, in turns first.
    Builds([&'a Build; 2]),
}

/// Measures a workload in rounds.
pub(crate) fn measure(workload: &'static Workload, sides: Sides<'_>, rounds: u8, scale: Scale) -> Result<Vec<Row>> {
    let mut rows = figure::rows(workload.name, workload.metrics, scale);
    for round in 0..rounds {
        let (base, measured) = match sides {
            Sides::Floor(build) => (Side::Floor(build), Side::Daemon(build)),
            Sides::Builds([base, other]) => (Side::Daemon(base), Side::Daemon(other)),
        };
        let is_first = matches!(sides, Sides::Floor(_)) || round.is_multiple_of(2);
        let (base, measured) = if is_first {
            let base = sample(workload, base, scale)?;
            (base, sample(workload, measured, scale)?)
        } else {
            let measured = sample(workload, measured, scale)?;
            (sample(workload, base, scale)?, measured)
        };
        figure::add(&mut rows, &base, &measured);
    }
    Ok(rows)
}

fn sample(workload: &Workload, side: Side<'_>, scale: Scale) -> Result<Sample> {
    let of = if matches!(side, Side::Floor(_)) {
        "the floor of "
    } else {
        ""
    };
    (workload.measure)(side, scale).with_context(|| format!("{of}{} failed", workload.name))
}

/// The size at which a workload can be measured, if it is to have this one: the largest that fits, as long as that is larger than
/// the last one that was measured.
pub(crate) fn fitting(
    workload: &Workload,
    scale: Scale,
    last: Option<Scale>,
    connections_max: usize,
) -> Result<Scale, LeftOut> {
    /// Smaller steps say nothing about growth.
    const STEP_MIN: f64 = 1.25;
    if scale.of(workload.connections) <= connections_max {
        return Ok(scale);
    }
    let largest = Scale((connections_max as f64 / workload.connections as f64 * 1_000.0).floor() / 1_000.0);
    let is_step = last.is_none_or(|last| largest.0 >= last.0 * STEP_MIN);
    if is_step && largest.0 > 0.0 {
        return Ok(largest);
    }
    Err(LeftOut {
        workload: workload.name,
        reason: format!(
            "{} × needs {} connections, and the open files that are allowed are enough for {connections_max}",
            scale.0,
            scale.of(workload.connections)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::ALL;

    #[test]
    fn a_size_that_does_not_fit_becomes_the_largest_that_does_once() {
        let idle = ALL.iter().find(|workload| workload.name == "idle").unwrap();
        assert_eq!(idle.connections, 10_000);
        let fit = |scale, last, max| fitting(idle, Scale(scale), last, max).map_err(|left_out| left_out.workload);
        assert_eq!(fit(1.0, None, 19_872), Ok(Scale(1.0)));
        assert_eq!(fit(2.0, Some(Scale(1.0)), 19_872), Ok(Scale(1.987)));
        assert_eq!(fit(4.0, Some(Scale(1.987)), 19_872), Err("idle"));
        assert_eq!(fit(2.0, Some(Scale(1.0)), 11_000), Err("idle"));
        assert_eq!(fit(1.0, None, 5_000), Ok(Scale(0.5)));
    }
}
