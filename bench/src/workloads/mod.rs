//! The workloads: each is a name, the figures that come of it with what they must reach, and a function that measures one side.
//! What both sides are sent, and what counts as an answer, is the same.

mod audience;
mod calls;
mod come_and_go;
mod durable_writes;
mod fan_out;
mod get;
mod hot_paths;
mod idle;
mod listing;
mod mesh;
mod rest_lookup;
mod storm;
mod waves;

use std::path::PathBuf;

use anyhow::Result;

pub(crate) use hot_paths::{HOT_PATHS, HotPath};

use crate::conditions::Conditions;
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
#[derive(Debug, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) quantity: Quantity,
    pub(crate) target: Target,
    /// The exponent with which it grows with the size of the workload, if nothing passes over more than it has to.
    pub(crate) growth: f64,
}

/// What a figure is, which decides what falsifies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// Bytes of memory and of answers: other work on the machine does not change them.
    Exact,
    /// Numbers of changes and their bytes: a server that is kept from delivering conflates them, or is not done in time.
    Conflated,
    /// CPU of the server.
    Cpu,
    /// From the beginning of the load to its end. As long as the generator takes, if that is longer than the server does.
    Time,
    /// How much is done in a second, likewise.
    Rate,
    /// A percentile of many times, in which the generator's own are.
    Latency,
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
    const fn new(name: &'static str, unit: &'static str, quantity: Quantity, target: Target) -> Self {
        Self {
            name,
            unit,
            quantity,
            target,
            growth: 0.0,
        }
    }

    const fn growing(mut self, growth: f64) -> Self {
        self.growth = growth;
        self
    }
}

/// What measuring one side came to.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// A value for each metric; fewer where a side has no such figures.
    pub(crate) values: Vec<f64>,
    pub(crate) conditions: Conditions,
}

impl Sample {
    /// The figures of two parts of a workload, one after the other.
    fn and(mut self, other: Self) -> Self {
        self.values.extend(other.values);
        self.conditions = self.conditions.and(other.conditions);
        self
    }
}

/// Measures one side.
type Measure = fn(Side<'_>, Scale) -> Result<Sample>;

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// One line about it.
    pub(crate) about: &'static str,
    pub(crate) metrics: &'static [Metric],
    /// How many connections a server has open at its usual size, at most.
    pub(crate) connections: usize,
    pub(crate) measure: Measure,
}

pub(crate) const ALL: &[Workload] = &[
    idle::WATCHING_NOBODY,
    idle::WATCHING,
    fan_out::PACED,
    fan_out::BURSTS,
    fan_out::FLAT_OUT,
    mesh::MESH,
    storm::STORM,
    come_and_go::COME_AND_GO,
    rest_lookup::REST_LOOKUP,
    durable_writes::ONE_CALLER,
    durable_writes::MANY_CALLERS,
    get::GET,
    listing::LISTING,
    waves::WAVES,
    idle::CPU,
];

/// The lowest of the values that so many of a hundred don't exceed (nearest rank). The values need not be sorted; 0 if there are
/// none.
fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[test]
fn a_percentile_is_the_lowest_value_that_as_many_do_not_exceed() {
    let to = |last: u32| -> Vec<f64> { (1..=last).rev().map(f64::from).collect() };
    for (last, percent, expected) in [
        (100, 99, 99.0),
        (100, 50, 50.0),
        (100, 100, 100.0),
        (200, 99, 198.0),
        (50, 90, 45.0),
        (5, 50, 3.0),
        (4, 50, 2.0),
        (3, 99, 3.0),
        (1, 50, 1.0),
    ] {
        assert_eq!(percentile(&mut to(last), percent), expected, "{percent} of {last}");
    }
    assert_eq!(percentile(&mut [], 99), 0.0);
}
