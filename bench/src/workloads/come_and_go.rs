//! Users connect and sign out before many watchers, who all watch all of them: each of them again and again.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::audience::Audience;
use super::{Metric, Quantity, Sample, Scale, Side, Target, Workload};
use crate::generator::{Generator, request};
use crate::measurement::{self, Measurement};
use crate::record::Status;
use crate::server::Server;

pub(super) const COME_AND_GO: Workload = Workload {
    name: "come-and-go",
    about: "250 users come and go before 2,000 watchers of them all, 50 transitions a second, each user every 5 s",
    metrics: &[
        Metric::new("CPU per delivery", "µs", Quantity::Cpu, Target::RatioMax(1.15)),
        Metric::new("lost", "", Quantity::Conflated, Target::Max(0.0)),
        Metric::new("conflated", "", Quantity::Conflated, Target::None),
        Metric::new("bytes per delivery", "B", Quantity::Conflated, Target::None),
    ],
    connections: WATCHERS + TARGETS,
    measure,
};

const WATCHERS: usize = 2_000;
const TARGETS: usize = 250;
const PER_SECOND: u32 = 50;
/// Each user comes twice and goes twice: 20 s.
const TRANSITIONS: usize = TARGETS * 4;
/// How long the last transitions may take to all watchers before they are lost.
const LATEST: Duration = Duration::from_secs(10);

/// The users who come and go.
struct Targets<'a> {
    server: &'a Server,
    upgrades: Vec<Vec<u8>>,
    /// The connection of each user who is present: every second one at first.
    present: Vec<Option<usize>>,
}

impl<'a> Targets<'a> {
    fn connect(generator: &mut Generator, audience: &mut Audience, server: &'a Server) -> Result<Self> {
        let mut targets = Self {
            server,
            // Tokens are signed before anything is measured.
            upgrades: (0..TARGETS)
                .map(|user| request::upgrade(server, user))
                .collect::<Result<_>>()?,
            present: vec![None; TARGETS],
        };
        for user in (0..TARGETS).step_by(2) {
            targets.present[user] = Some(targets.open(generator, user)?);
        }
        generator.run(audience, |audience| audience.greeted == TARGETS.div_ceil(2))?;
        Ok(targets)
    }

    fn open(&self, generator: &mut Generator, user: usize) -> Result<usize> {
        generator.open(self.server.address(), &self.upgrades[user])
    }

    /// Who is present signs out, who is not connects.
    fn turn(&mut self, generator: &mut Generator, user: usize) -> Result<()> {
        self.present[user] = match self.present[user] {
            Some(connection) => generator.close(connection).map(|()| None)?,
            None => Some(self.open(generator, user)?),
        };
        Ok(())
    }

    /// How many pairs of watcher and user there are where the watcher was told last what is not so.
    fn missing(&self, audience: &Audience) -> usize {
        let wrong = self.present.iter().enumerate().map(|(user, connection)| {
            let status = if connection.is_some() {
                Status::Online
            } else {
                Status::Offline
            };
            audience.told_of(user).filter(|told| told.status != status).count()
        });
        wrong.sum()
    }
}

fn measure(side: Side<'_>, scale: Scale) -> Result<Sample> {
    let watchers = scale.of(WATCHERS);
    let server = side.server()?;
    let mut generator = Generator::new()?;
    let mut audience = Audience::gather(&mut generator, &server, watchers, TARGETS)?;
    let mut targets = Targets::connect(&mut generator, &mut audience, &server)?;
    generator
        .run(&mut audience, |audience| targets.missing(audience) == 0)
        .context("the users who come first were not seen")?;
    measurement::rest(&server, &mut generator, &mut audience)?;

    let (received, told) = (generator.received(), audience.told_count);
    let measurement = Measurement::begin(&server)?;
    let begun = audience.now();
    for transition in 0..TRANSITIONS {
        let due = begun + transition as f64 / f64::from(PER_SECOND);
        audience.wait_until(&mut generator, due)?;
        targets.turn(&mut generator, transition % TARGETS)?;
    }
    let last = audience.now();
    let mut missing = targets.missing(&audience);
    while missing > 0 && audience.now() - last < LATEST.as_secs_f64() {
        generator.poll(&mut audience, Duration::from_millis(10))?;
        missing = targets.missing(&audience);
    }
    let measured = measurement.end()?;
    let cpu = measured.cpu(&mut generator, &mut audience)?;
    let deliveries = TRANSITIONS * watchers;
    Ok(Sample {
        values: vec![
            cpu * 1e6 / deliveries as f64,
            missing as f64,
            deliveries.saturating_sub(audience.told_count - told + missing) as f64,
            (generator.received() - received) as f64 / deliveries as f64,
        ],
        conditions: measured.conditions,
    })
}
