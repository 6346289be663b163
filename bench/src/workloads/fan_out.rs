//! One user changes before many watchers: at an even rate, and in bursts as fast as they are taken. The changes are reports of
//! activity, so no disk is involved.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::audience::{Arrival, Audience};
use super::{Metric, Scale, Side, Target, Workload, percentile};
use crate::generator::{Generator, request};
use crate::server::Server;

pub(super) const PACED: Workload = Workload {
    name: "fan-out",
    about: "one user changes 20 times a second before 2,000 watchers",
    metrics: &[
        Metric::new("CPU per delivery", "µs", Target::RatioMax(1.10)),
        Metric::new("p99 of a delivery", "ms", Target::RatioMax(1.15)),
        Metric::new("p50 of a delivery", "ms", Target::None),
        Metric::new("bytes per delivery", "B", Target::None),
    ],
    connections: WATCHERS,
    measure: paced,
};

pub(super) const BURSTS: Workload = Workload {
    name: "fan-out-bursts",
    about: "one user changes ten times at once before 2,000 watchers; again when all have the last change",
    metrics: &[
        Metric::new("CPU per delivery", "µs", Target::RatioMax(0.23)),
        Metric::new("deliveries", "/s", Target::None),
    ],
    connections: WATCHERS,
    measure: bursts,
};

const WATCHERS: usize = 2_000;
const CHANGES_PER_SECOND: u32 = 20;
/// Three seconds of them.
const CHANGES: usize = 60;
const BURST: usize = 10;
const BURSTING: Duration = Duration::from_secs(2);
/// What connects have left to be written is on disk then.
const SETTLED: Duration = Duration::from_millis(500);

/// The watchers, and the connection of the user that they watch.
struct Stage {
    server: Server,
    generator: Generator,
    audience: Audience,
    target: usize,
    sent: usize,
}

impl Stage {
    fn set(side: Side<'_>, watchers: usize) -> Result<Self> {
        let server = side.server()?;
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
        stage.generator.run_for(&mut stage.audience, SETTLED)?;
        stage.audience.arrivals.clear();
        Ok(stage)
    }

    /// Sends the next change.
    fn change(&mut self) -> Result<()> {
        let idle = if self.sent.is_multiple_of(2) {
            ",\"idle\":true"
        } else {
            ""
        };
        let text = format!("{{\"type\":\"activity\",\"id\":{}{idle}}}", self.sent);
        self.sent += 1;
        self.generator.send(self.target, &text)
    }

    /// Waits until every watcher has the last change or a newer one.
    fn finish(&mut self) -> Result<()> {
        let sent = self.sent;
        self.generator.run(&mut self.audience, |audience| {
            let last = audience.acknowledged.last().copied().unwrap_or(u64::MAX);
            audience.acknowledged.len() == sent && audience.told_of(0).all(|told| told.revision >= last)
        })
    }
}

fn paced(side: Side<'_>, scale: Scale) -> Result<Vec<f64>> {
    let watchers = scale.of(WATCHERS);
    let mut stage = Stage::set(side, watchers)?;
    let (first, before, received) = (stage.sent, stage.server.usage()?, stage.generator.received());
    let begun = stage.audience.now();
    let mut sent = Vec::new();
    for change in 0..CHANGES {
        let due = begun + change as f64 / f64::from(CHANGES_PER_SECOND);
        while stage.audience.now() < due {
            let left = Duration::from_secs_f64((due - stage.audience.now()).max(0.0));
            stage.generator.poll(&mut stage.audience, left)?;
        }
        sent.push(stage.audience.now());
        stage.change()?;
    }
    stage.finish()?;
    let cpu = stage.server.usage()?.cpu.saturating_sub(before.cpu);
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
    Ok(vec![
        cpu.as_secs_f64() * 1e6 / deliveries,
        percentile(&mut times, 99) * 1e3,
        percentile(&mut times, 50) * 1e3,
        (stage.generator.received() - received) as f64 / deliveries,
    ])
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

fn bursts(side: Side<'_>, scale: Scale) -> Result<Vec<f64>> {
    let watchers = scale.of(WATCHERS);
    let mut stage = Stage::set(side, watchers)?;
    let (first, before, begun) = (stage.sent, stage.server.usage()?, stage.audience.now());
    while stage.audience.now() - begun < BURSTING.as_secs_f64() {
        for _ in 0..BURST {
            stage.change()?;
        }
        stage.finish()?;
        stage.audience.arrivals.clear();
    }
    let took = stage.audience.now() - begun;
    let cpu = stage.server.usage()?.cpu.saturating_sub(before.cpu);
    let deliveries = ((stage.sent - first) * watchers) as f64;
    Ok(vec![cpu.as_secs_f64() * 1e6 / deliveries, deliveries / took])
}

#[test]
fn a_change_has_arrived_when_it_or_a_newer_one_has() {
    let arrival = |watcher, revision, at| Arrival { watcher, revision, at };
    let changes = [(0.0, 10), (1.0, 20), (2.0, 30)];
    // The first watcher was told of two changes at once.
    let arrivals = vec![
        arrival(0, 20, 1.5),
        arrival(1, 10, 0.5),
        arrival(0, 30, 2.5),
        arrival(1, 20, 1.25),
        arrival(1, 30, 3.0),
    ];
    assert_eq!(latencies(&changes, arrivals), [1.5, 0.5, 0.5, 0.5, 0.25, 1.0]);
}
