//! Many users connect as fast as they are let in, each with a token. Half of them have a custom status that is to be restored.

use anyhow::{Result, ensure};
use memchr::memmem;

use super::{Metric, Quantity, Sample, Scale, Side, Target, Workload, percentile};
use crate::clock::Stopwatch;
use crate::generator::{Client, Generator, Input, request};
use crate::measurement::{self, Measurement};
use crate::record::{self, Kind, Status};

pub(super) const STORM: Workload = Workload {
    name: "storm",
    about: "5,000 users connect, 200 at a time, until each is greeted; half have a stored custom status",
    metrics: &[
        Metric::new("connects", "/s", Quantity::Rate, Target::RatioMin(0.65)),
        Metric::new("CPU per connect", "µs", Quantity::Cpu, Target::RatioMax(2.0)),
        Metric::new("p99 of a connect", "ms", Quantity::Latency, Target::Max(25.0)),
        Metric::new("p50 of a connect", "ms", Quantity::Latency, Target::None),
        Metric::new(
            "greeted without what is stored",
            "",
            Quantity::Conflated,
            Target::Max(0.0),
        ),
    ],
    connections: USERS,
    measure,
};

const USERS: usize = 5_000;
const UNDER_WAY: usize = 200;

struct Storm {
    clock: Stopwatch,
    /// By connection: seconds at which it began, and whether the user has a custom status.
    begun: Vec<f64>,
    took: Vec<f64>,
    wrong: usize,
    /// Users for whom the database did not answer in time.
    degraded: usize,
    has_stored: bool,
}

impl Client for Storm {
    fn on_input(&mut self, _: &mut Generator, connection: usize, input: Input<'_>) -> Result<()> {
        let Input::Text(text) = input else {
            anyhow::bail!("a user was disconnected");
        };
        if Kind::of(text) != Kind::Welcome {
            return Ok(());
        }
        self.took
            .push(self.clock.elapsed().as_secs_f64() - self.begun[connection]);
        if memmem::find(text, b"\"degraded\":true").is_some() {
            self.degraded += 1;
            return Ok(());
        }
        let is_stored = self.has_stored && connection.is_multiple_of(2);
        let status = if is_stored {
            Status::DoNotDisturb
        } else {
            Status::Online
        };
        let greeted = record::records(text).next();
        self.wrong += usize::from(greeted.is_none_or(|seen| seen.status != status));
        Ok(())
    }
}

fn measure(side: Side<'_>, scale: Scale) -> Result<Sample> {
    let users = scale.of(USERS);
    let mut server = side.server()?;
    let has_stored = matches!(side, Side::Daemon(_));
    if let Side::Daemon(build) = side {
        super::calls::set_custom_statuses(&server, (0..users).step_by(2), "DO_NOT_DISTURB")?;
        // They are to come from the disk, not from what is left in memory.
        server = server.restarted(&build.presenced)?;
    }
    let requests: Vec<Vec<u8>> = (0..users)
        .map(|user| request::upgrade(&server, user))
        .collect::<Result<_>>()?;
    let mut generator = Generator::new()?;
    measurement::rest(&server, &mut generator, &mut ())?;
    let mut storm = Storm {
        clock: Stopwatch::start(),
        begun: Vec::with_capacity(users),
        took: Vec::with_capacity(users),
        wrong: 0,
        degraded: 0,
        has_stored,
    };
    let measurement = Measurement::begin(&server)?;
    for request in &requests {
        storm.begun.push(storm.clock.elapsed().as_secs_f64());
        generator.open(server.address(), request)?;
        generator.run(&mut storm, |storm| storm.begun.len() - storm.took.len() < UNDER_WAY)?;
    }
    generator.run(&mut storm, |storm| storm.took.len() == users)?;
    let measured = measurement.end()?;
    // The first writes of newcomers are put off: they are part of what a connect costs.
    let cpu = measured.cpu(&mut generator, &mut storm)?;
    ensure!(
        storm.wrong == 0,
        "{} users were greeted with another status",
        storm.wrong
    );
    Ok(Sample {
        values: vec![
            users as f64 / measured.seconds(),
            cpu * 1e6 / users as f64,
            percentile(&mut storm.took, 99) * 1e3,
            percentile(&mut storm.took, 50) * 1e3,
            storm.degraded as f64,
        ],
        conditions: measured.conditions,
    })
}
