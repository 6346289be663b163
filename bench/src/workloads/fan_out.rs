//! One user changes before many watchers: at an even rate, in bursts, and as fast as the server takes the changes. The changes are
//! reports of activity, so no disk is involved.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::audience::{Arrival, Audience};
use super::{Metric, Quantity, Sample, Scale, Side, Target, Workload, percentile};
use crate::generator::{Generator, request};
use crate::measurement::{self, Measurement};
use crate::server::Server;

pub(super) const PACED: Workload = Workload {
    name: "fan-out",
    about: "one user changes 20 times a second before 2,000 watchers",
    metrics: &[
        Metric::new("CPU per delivery", "µs", Quantity::Cpu, Target::RatioMax(1.10)),
        Metric::new("p99 of a delivery", "ms", Quantity::Latency, Target::RatioMax(1.15)).growing(1.0),
        Metric::new("p50 of a delivery", "ms", Quantity::Latency, Target::None).growing(1.0),
        Metric::new("bytes per delivery", "B", Quantity::Conflated, Target::None),
    ],
    connections: WATCHERS,
    measure: paced,
};

pub(super) const BURSTS: Workload = Workload {
    name: "fan-out-bursts",
    about: "one user changes ten times at once before 2,000 watchers; again when all have the last change",
    metrics: &[
        Metric::new("CPU per delivery", "µs", Quantity::Cpu, Target::RatioMax(0.23)),
        Metric::new("deliveries", "/s", Quantity::Rate, Target::None),
        Metric::new("changes per frame", "", Quantity::Conflated, Target::None),
    ],
    connections: WATCHERS,
    measure: bursts,
};

pub(super) const FLAT_OUT: Workload = Workload {
    name: "fan-out-flat-out",
    about: "one user changes before 2,000 watchers as fast as the server takes the changes, which nobody waits for",
    metrics: &[
        Metric::new("CPU per delivery", "µs", Quantity::Cpu, Target::RatioMax(0.23)),
        Metric::new("deliveries", "/s", Quantity::Rate, Target::None),
        Metric::new("changes", "/s", Quantity::Rate, Target::None).growing(-1.0),
        Metric::new("changes per frame", "", Quantity::Conflated, Target::None),
        Metric::new("CPU per frame", "µs", Quantity::Cpu, Target::None),
        Metric::new("longest time without a change", "ms", Quantity::Latency, Target::None).growing(1.0),
    ],
    connections: WATCHERS,
    measure: flat_out,
};

const WATCHERS: usize = 2_000;
const CHANGES_PER_SECOND: u32 = 20;
/// Three seconds of them.
const CHANGES: usize = 60;
const BURST: usize = 10;
/// How many changes are on their way to the server at a time when it is never to wait for one.
const AHEAD: usize = 16;
const PERIOD: Duration = Duration::from_secs(2);

/// The watchers, and the connection of the user that they watch.
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) generator: Generator,
    pub(super) audience: Audience,
    target: usize,
    sent: usize,
}

impl Stage {
    fn set(side: Side<'_>, watchers: usize) -> Result<Self> {
        Self::on(side.server()?, watchers)
    }

    /// Lets the watchers and the user connect, and waits until the server is quiet.
    pub(super) fn on(server: Server, watchers: usize) -> Result<Self> {
        let mut generator = Generator::new()?;
        let mut audience = Audience::gather(&mut generator, &server, watchers, 1)?;
        let target = generator.open(server.address(), &request::upgrade(&server, 0)?)?;
        generator.run(&mut audience, |audience| audience.greeted == 1)?;
        let mut stage = Self {
            server,
            generator,
            audience,
            target,
            sent: 0,
        };
        stage.change()?;
        stage.finish()?;
        measurement::rest(&stage.server, &mut stage.generator, &mut stage.audience)?;
        stage.audience.arrivals.clear();
        Ok(stage)
    }

    /// Sends the next change.
    pub(super) fn change(&mut self) -> Result<()> {
        let idle = if self.sent.is_multiple_of(2) {
            ",\"idle\":true"
        } else {
            ""
        };
        let text = format!("{{\"type\":\"activity\",\"id\":{}{idle}}}", self.sent);
        self.sent += 1;
        self.generator.send(self.target, &text)
    }

    /// How many changes the server has not answered.
    fn unanswered(&self) -> usize {
        self.sent - self.audience.acknowledged.len()
    }

    /// Waits until every watcher has the last change or a newer one.
    pub(super) fn finish(&mut self) -> Result<()> {
        let sent = self.sent;
        self.generator.run(&mut self.audience, |audience| {
            let last = audience.acknowledged.last().copied().unwrap_or(u64::MAX);
            audience.acknowledged.len() == sent && audience.told_of(0).all(|told| told.revision >= last)
        })
    }
}

fn paced(side: Side<'_>, scale: Scale) -> Result<Sample> {
    let watchers = scale.of(WATCHERS);
    let mut stage = Stage::set(side, watchers)?;
    let (first, received) = (stage.sent, stage.generator.received());
    let measurement = Measurement::begin(&stage.server)?;
    let begun = stage.audience.now();
    let mut sent = Vec::new();
    for change in 0..CHANGES {
        let due = begun + change as f64 / f64::from(CHANGES_PER_SECOND);
        stage.audience.wait_until(&mut stage.generator, due)?;
        sent.push(stage.audience.now());
        stage.change()?;
    }
    stage.finish()?;
    let measured = measurement.end()?;
    let cpu = measured.cpu(&mut stage.generator, &mut stage.audience)?;
    let deliveries = (CHANGES * watchers) as f64;
    let changes: Vec<(f64, u64)> = sent
        .into_iter()
        .zip(stage.audience.acknowledged.split_off(first))
        .collect();
    let mut times = latencies(&changes, std::mem::take(&mut stage.audience.arrivals));
    ensure!(
        times.len() == CHANGES * watchers,
        "every change arrived at every watcher"
    );
    Ok(Sample {
        values: vec![
            cpu * 1e6 / deliveries,
            percentile(&mut times, 99) * 1e3,
            percentile(&mut times, 50) * 1e3,
            (stage.generator.received() - received) as f64 / deliveries,
        ],
        conditions: measured.conditions,
    })
}

/// How long each change took to each watcher: until it or a newer one arrived.
fn latencies(changes: &[(f64, u64)], mut arrivals: Vec<Arrival>) -> Vec<f64> {
    // Stable: those of one watcher stay in order of time.
    arrivals.sort_by_key(|arrival| arrival.watcher);
    let mut times = Vec::new();
    for of_one in arrivals.chunk_by(|one, next| one.watcher == next.watcher) {
        let mut rest = of_one.iter();
        let mut arrival = rest.next();
        for (sent, revision) in changes {
            while arrival.is_some_and(|arrival| arrival.revision < *revision) {
                arrival = rest.next();
            }
            times.extend(arrival.map(|arrival| arrival.at - sent));
        }
    }
    times
}

fn bursts(side: Side<'_>, scale: Scale) -> Result<Sample> {
    let watchers = scale.of(WATCHERS);
    let mut stage = Stage::set(side, watchers)?;
    let (first, told) = (stage.sent, stage.audience.told_count);
    let measurement = Measurement::begin(&stage.server)?;
    let begun = stage.audience.now();
    while stage.audience.now() - begun < PERIOD.as_secs_f64() {
        for _ in 0..BURST {
            stage.change()?;
        }
        stage.finish()?;
        stage.audience.arrivals.clear();
    }
    let measured = measurement.end()?;
    let cpu = measured.cpu(&mut stage.generator, &mut stage.audience)?;
    let deliveries = ((stage.sent - first) * watchers) as f64;
    Ok(Sample {
        values: vec![
            cpu * 1e6 / deliveries,
            deliveries / measured.seconds(),
            deliveries / (stage.audience.told_count - told) as f64,
        ],
        conditions: measured.conditions,
    })
}

fn flat_out(side: Side<'_>, scale: Scale) -> Result<Sample> {
    let watchers = scale.of(WATCHERS);
    let mut stage = Stage::set(side, watchers)?;
    let first = stage.sent;
    let measurement = Measurement::begin(&stage.server)?;
    let begun = stage.audience.now();
    while stage.audience.now() - begun < PERIOD.as_secs_f64() {
        while stage.unanswered() < AHEAD {
            stage.change()?;
        }
        stage.generator.poll(&mut stage.audience, PERIOD)?;
    }
    stage.finish()?;
    let measured = measurement.end()?;
    let cpu = measured.cpu(&mut stage.generator, &mut stage.audience)?;
    let changes = (stage.sent - first) as f64;
    let (deliveries, arrivals) = (changes * watchers as f64, std::mem::take(&mut stage.audience.arrivals));
    let frames = arrivals.len() as f64;
    Ok(Sample {
        values: vec![
            cpu * 1e6 / deliveries,
            deliveries / measured.seconds(),
            changes / measured.seconds(),
            deliveries / frames,
            cpu * 1e6 / frames,
            longest_silence(begun, arrivals) * 1e3,
        ],
        conditions: measured.conditions,
    })
}

/// The longest that any watcher was told nothing.
fn longest_silence(begun: f64, mut arrivals: Vec<Arrival>) -> f64 {
    arrivals.sort_by_key(|arrival| arrival.watcher);
    let of_each = arrivals.chunk_by(|one, next| one.watcher == next.watcher);
    let silences = of_each.flat_map(|of_one| {
        let before = std::iter::once(begun).chain(of_one.iter().map(|arrival| arrival.at));
        of_one.iter().zip(before).map(|(arrival, before)| arrival.at - before)
    });
    silences.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first watcher was told of two changes at once.
    fn arrivals() -> Vec<Arrival> {
        let arrival = |watcher, revision, at| Arrival { watcher, revision, at };
        vec![
            arrival(0, 20, 1.5),
            arrival(1, 10, 0.5),
            arrival(0, 30, 2.5),
            arrival(1, 20, 1.25),
            arrival(1, 30, 3.0),
        ]
    }

    #[test]
    fn a_change_has_arrived_when_it_or_a_newer_one_has() {
        let changes = [(0.0, 10), (1.0, 20), (2.0, 30)];
        assert_eq!(latencies(&changes, arrivals()), [1.5, 0.5, 0.5, 0.5, 0.25, 1.0]);
    }

    #[test]
    fn the_longest_silence_is_that_of_one_watcher() {
        assert_eq!(longest_silence(0.0, arrivals()), 1.75);
        assert_eq!(longest_silence(-1.0, arrivals()), 2.5);
    }
}
