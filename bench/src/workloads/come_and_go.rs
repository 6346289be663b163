//! Users connect and sign out before many watchers, who all watch all of them.

use std::time::Duration;

use anyhow::Result;

use super::audience::Audience;
use super::{Metric, Scale, Side, Target, Workload};
use crate::generator::{Generator, request};
use crate::record::Status;

pub(super) const COME_AND_GO: Workload = Workload {
    name: "come-and-go",
    about: "250 users come and go before 2,000 watchers of them all, 50 transitions a second",
    metrics: &[
        Metric::new("CPU per delivery", "µs", Target::RatioMax(1.15)),
        Metric::new("lost", "", Target::Max(0.0)),
        Metric::new("bytes per delivery", "B", Target::None),
    ],
    connections: WATCHERS + TARGETS,
    measure,
};

const WATCHERS: usize = 2_000;
const TARGETS: usize = 250;
const PER_SECOND: u32 = 50;
/// Four seconds of them.
const TRANSITIONS: usize = 200;
/// How long the last transitions may take to all watchers before they are lost.
const LATEST: Duration = Duration::from_secs(10);
const SETTLED: Duration = Duration::from_millis(500);

fn measure(side: Side<'_>, scale: Scale) -> Result<Vec<f64>> {
    let watchers = scale.of(WATCHERS);
    let server = side.server()?;
    let mut generator = Generator::new()?;
    let mut audience = Audience::gather(&mut generator, &server, watchers, TARGETS)?;
    // The connection of each user who is present: every second one at first.
    let mut present: Vec<Option<usize>> = vec![None; TARGETS];
    for user in (0..TARGETS).step_by(2) {
        present[user] = Some(generator.open(server.address(), &request::upgrade(&server, user)?)?);
    }
    generator.run(&mut audience, |audience| audience.greeted == TARGETS.div_ceil(2))?;
    generator.run_for(&mut audience, SETTLED)?;

    let (before, received, begun) = (server.usage()?, generator.received(), audience.now());
    for transition in 0..TRANSITIONS {
        let due = begun + transition as f64 / f64::from(PER_SECOND);
        while audience.now() < due {
            let left = Duration::from_secs_f64((due - audience.now()).max(0.0));
            generator.poll(&mut audience, left)?;
        }
        // One goes, the next one comes.
        let user = transition % TARGETS;
        present[user] = match present[user] {
            Some(connection) => generator.close(connection).map(|()| None)?,
            None => Some(generator.open(server.address(), &request::upgrade(&server, user)?)?),
        };
    }
    let last = audience.now();
    let mut missing = missing(&audience, &present);
    while missing > 0 && audience.now() - last < LATEST.as_secs_f64() {
        generator.poll(&mut audience, Duration::from_millis(10))?;
        missing = self::missing(&audience, &present);
    }
    let cpu = server.usage()?.cpu.saturating_sub(before.cpu);
    let deliveries = (TRANSITIONS * watchers) as f64;
    Ok(vec![
        cpu.as_secs_f64() * 1e6 / deliveries,
        missing as f64,
        (generator.received() - received) as f64 / deliveries,
    ])
}

/// How many pairs of watcher and user there are where the watcher was told last what is not so.
fn missing(audience: &Audience, present: &[Option<usize>]) -> usize {
    let wrong = present.iter().enumerate().map(|(user, connection)| {
        let status = if connection.is_some() {
            Status::Online
        } else {
            Status::Offline
        };
        audience.told_of(user).filter(|told| told.status != status).count()
    });
    wrong.sum()
}
