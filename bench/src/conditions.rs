//! Under which conditions a side of a workload was measured: how busy the server and the generator were, and what else the cores
//! did. They decide what a figure is worth.

use std::time::Duration;

use anyhow::Result;

use crate::clock::Stopwatch;
use crate::cores::{self, CoreTimes};
use crate::usage;

/// Other work on one of the cores, in shares of the measured time, from which on a run is disturbed. What the kernel does for
/// nobody (interrupts, wakeups) is other work too, and comes to 2 to 5 %.
pub(crate) const DISTURBED_FROM: f64 = 0.10;
/// A generator that is as busy as this is the limit of what it measures, unless the server is.
const SATURATED_FROM: f64 = 0.90;

/// Seconds of what happened in the measured time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Conditions {
    pub(crate) measured: f64,
    /// The CPU of the server.
    pub(crate) server: f64,
    /// The CPU of the generator, and of programs that it runs.
    pub(crate) generator: f64,
    /// What else the core of the server did, and that of the generator. Time that the host took is part of it.
    pub(crate) others: [f64; 2],
    pub(crate) stolen: f64,
}

impl Conditions {
    pub(crate) fn server_share(&self) -> f64 {
        share(self.server, self.measured)
    }

    pub(crate) fn generator_share(&self) -> f64 {
        share(self.generator, self.measured)
    }

    /// How much of the measured time the core of the server, and that of the generator, did something else.
    pub(crate) fn others_shares(&self) -> [f64; 2] {
        self.others.map(|others| share(others, self.measured))
    }

    /// Whether other work has distorted the figures.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.others_shares().iter().any(|share| *share >= DISTURBED_FROM)
    }

    /// Whether the generator was at its limit, and the server was not.
    pub(crate) fn is_limited_by_generator(&self) -> bool {
        self.generator_share() >= SATURATED_FROM && self.server_share() < SATURATED_FROM
    }

    /// These with the share of other work of a longer time around them: the kernel counts that too coarsely for a short one.
    pub(crate) fn with_others_of(self, longer: Self) -> Self {
        Self {
            others: longer.others_shares().map(|share| share * self.measured),
            stolen: share(longer.stolen, longer.measured) * self.measured,
            ..self
        }
    }

    /// These and others, one after the other.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            measured: self.measured + other.measured,
            server: self.server + other.server,
            generator: self.generator + other.generator,
            others: [self.others[0] + other.others[0], self.others[1] + other.others[1]],
            stolen: self.stolen + other.stolen,
        }
    }
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Everything that is read at both ends of what is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    clock: Stopwatch,
    pub(crate) server: Duration,
    generator: Duration,
    cores: [CoreTimes; 2],
}

impl Reading {
    /// What a server has used until now, if there is one.
    pub(crate) fn take(server: Option<u32>) -> Result<Self> {
        Ok(Self {
            cores: cores::read()?,
            server: server.map_or(Ok(Duration::ZERO), usage::cpu)?,
            generator: usage::own_cpu()?,
            clock: Stopwatch::start(),
        })
    }

    /// The conditions from this reading to a later one.
    pub(crate) fn until(self, later: Self) -> Conditions {
        let measured = later.clock.since(self.clock);
        let server = later.server.saturating_sub(self.server);
        let generator = later.generator.saturating_sub(self.generator);
        let others = |core: usize, own: Duration| {
            let idle = later.cores[core].idle.saturating_sub(self.cores[core].idle);
            // The ticks at both ends may be wrong by one.
            let busy = measured.saturating_sub(idle).saturating_sub(usage::TICK);
            busy.saturating_sub(own).as_secs_f64()
        };
        let stolen = |core: usize| later.cores[core].stolen.saturating_sub(self.cores[core].stolen);
        Conditions {
            measured: measured.as_secs_f64(),
            server: server.as_secs_f64(),
            generator: generator.as_secs_f64(),
            others: [others(0, server), others(1, generator)],
            stolen: (stolen(0) + stolen(1)).as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Conditions = Conditions {
        measured: 2.0,
        server: 1.0,
        generator: 1.9,
        others: [0.02, 0.1],
        stolen: 0.0,
    };

    #[test]
    fn a_saturated_generator_is_the_limit_unless_the_server_is_saturated_too() {
        assert!(QUIET.is_limited_by_generator());
        let saturated = Conditions { server: 1.9, ..QUIET };
        assert!(!saturated.is_limited_by_generator());
        let patient = Conditions {
            generator: 1.7,
            ..QUIET
        };
        assert!(!patient.is_limited_by_generator());
    }

    #[test]
    fn other_work_on_either_core_disturbs_a_run() {
        assert!(!QUIET.is_disturbed());
        for others in [[0.3, 0.0], [0.0, 0.3]] {
            assert!(Conditions { others, ..QUIET }.is_disturbed());
        }
        let long = QUIET.and(Conditions {
            others: [0.3, 0.0],
            ..QUIET
        });
        assert!(!long.is_disturbed(), "0.32 of 4 s");
        let short = Conditions {
            measured: 0.02,
            ..QUIET
        };
        let others = short.with_others_of(QUIET).others;
        assert!(
            (others[1] - 0.001).abs() < 1e-9,
            "a twentieth of it, as of the longer: {others:?}"
        );
    }

    #[test]
    fn others_are_what_a_core_did_beside_idling_and_its_own_program() {
        let clock = Stopwatch::start();
        let times = |idle| CoreTimes {
            idle: Duration::from_millis(idle),
            stolen: Duration::from_millis(idle / 10),
        };
        let reading = |seconds, idle, cpu| Reading {
            clock: clock.plus(Duration::from_secs(seconds)),
            server: Duration::from_millis(cpu),
            generator: Duration::from_millis(cpu * 2),
            cores: [times(idle), times(idle)],
        };
        let conditions = reading(0, 500, 100).until(reading(1, 700, 300));
        let expected = Conditions {
            measured: 1.0,
            server: 0.2,
            generator: 0.4,
            others: [0.59, 0.39],
            stolen: 0.04,
        };
        assert_eq!(conditions, expected);
    }
}
