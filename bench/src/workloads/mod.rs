//! The workloads: each is a name, the figures that come of it with what they must reach, and a function that measures one side.
//! What both sides are sent, and what counts as an answer, is the same.

mod audience;
mod calls;
mod come_and_go;
mod durable_writes;
mod fan_out;
mod get;
mod idle;
mod listing;
mod mesh;
mod rest_lookup;
mod storm;

use std::path::PathBuf;

use anyhow::Result;

use crate::server::Server;

/// The programs that are measured.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    pub(crate) presenced: PathBuf,
    pub(crate) presencectl: PathBuf,
}

/// What is measured: the daemon, or the floor of a workload.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side<'a> {
    Daemon(&'a Build),
    /// Beside a build, from which the floor of REST takes the bytes of its answer.
    Floor(&'a Build),
}

impl Side<'_> {
    /// Starts the daemon, or the server that writes the same bytes.
    fn server(self) -> Result<Server> {
        match self {
            Self::Daemon(build) => Server::daemon(&build.presenced),
            Self::Floor(_) => Server::floor(&["floor"]),
        }
    }
}

/// How many times its usual size a workload has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale(pub(crate) f64);

impl Scale {
    /// A number of connections or users at this size, at least one.
    pub(crate) fn of(self, count: usize) -> usize {
        ((count as f64 * self.0) as usize).max(1)
    }
}

/// A figure of a workload.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) target: Target,
}

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// It is for information.
    None,
    /// At most so many times the floor's.
    RatioMax(f64),
    /// At least so many times the floor's.
    RatioMin(f64),
    Max(f64),
}

impl Metric {
    const fn new(name: &'static str, unit: &'static str, target: Target) -> Self {
        Self { name, unit, target }
    }
}

/// Measures one side: a value for each metric.
type Measure = fn(Side<'_>, Scale) -> Result<Vec<f64>>;

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// One line about it.
    pub(crate) about: &'static str,
    pub(crate) metrics: &'static [Metric],
    /// How many connections it has open at its usual size.
    pub(crate) connections: usize,
    pub(crate) measure: Measure,
}

pub(crate) const ALL: &[Workload] = &[
    idle::WATCHING_NOBODY,
    idle::WATCHING,
    fan_out::PACED,
    fan_out::BURSTS,
    mesh::MESH,
    storm::STORM,
    come_and_go::COME_AND_GO,
    rest_lookup::REST_LOOKUP,
    durable_writes::ONE_CALLER,
    durable_writes::MANY_CALLERS,
    get::GET,
    listing::LISTING,
    idle::CPU,
];

/// The value below which so many of a hundred lie. The values need not be sorted; 0 if there are none.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let at = values.len() * percent / 100;
    values
        .get(at.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}

#[test]
fn a_percentile_is_one_of_the_values() {
    let mut values: Vec<f64> = (0..200).rev().map(f64::from).collect();
    assert_eq!(
        (percentile(&mut values, 50), percentile(&mut values, 99)),
        (100.0, 198.0)
    );
    assert_eq!((percentile(&mut [3.0], 99), percentile(&mut [], 99)), (3.0, 0.0));
}
