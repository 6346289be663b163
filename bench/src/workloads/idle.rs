//! Connections that do nothing: what each holds of the server's memory.

use std::time::Duration;

use anyhow::Result;

use super::{Metric, Quantity, Sample, Scale, Side, Target, Workload};
use crate::conditions::Conditions;
use crate::generator::{Client, Generator, Input, request};
use crate::measurement::{self, Measurement};
use crate::record::Kind;
use crate::server::Server;

pub(super) const WATCHING_NOBODY: Workload = Workload {
    name: "idle",
    about: "10,000 idle connections that watch nobody",
    metrics: &[Metric::new(
        "memory of a connection",
        "KiB",
        Quantity::Exact,
        Target::Max(2.0),
    )],
    connections: CONNECTIONS,
    measure: |side, scale| measure(side, scale, 0),
};

pub(super) const WATCHING: Workload = Workload {
    name: "idle-watching",
    about: "10,000 idle connections that watch 50 users each",
    metrics: &[Metric::new(
        "memory of a connection",
        "KiB",
        Quantity::Exact,
        Target::Max(3.0),
    )],
    connections: CONNECTIONS,
    measure: |side, scale| measure(side, scale, WATCHED),
};

pub(super) const CPU: Workload = Workload {
    name: "idle-cpu",
    about: "10,000 idle connections that watch nobody, for 75 s: three rounds of keepalive, one of times written",
    metrics: &[Metric::new("CPU", "% of a core", Quantity::Cpu, Target::Max(0.5)).growing(1.0)],
    connections: CONNECTIONS,
    measure: cpu,
};

const CONNECTIONS: usize = 10_000;
const WATCHED: usize = 50;
const HANDSHAKES: usize = 64;
/// The least that is a whole number of all periods of an idle daemon: a ping of each connection (25 s), the heartbeat on disk
/// (1 s), and last seen of each user on disk (with the first answer to a ping after 45 to 59 s: after 50 or 75 s).
const IDLE: Duration = Duration::from_secs(75);

/// Connections, each of a user of its own, that are ready when they were greeted and have the snapshot of whom they watch.
pub(super) struct Crowd {
    connections: usize,
    watched: usize,
    ready: usize,
}

impl Crowd {
    /// Connects them all, so many at a time.
    pub(super) fn gather(
        generator: &mut Generator,
        server: &Server,
        connections: usize,
        watched: usize,
        under_way: usize,
    ) -> Result<Self> {
        let mut crowd = Self {
            connections,
            watched,
            ready: 0,
        };
        for user in 0..connections {
            generator.open(server.address(), &request::upgrade(server, user)?)?;
            generator.run(&mut crowd, |crowd| crowd.ready + under_way > user)?;
        }
        generator.run(&mut crowd, |crowd| crowd.ready == connections)?;
        Ok(crowd)
    }
}

impl Client for Crowd {
    fn on_input(&mut self, generator: &mut Generator, connection: usize, input: Input<'_>) -> Result<()> {
        let Input::Text(text) = input else {
            anyhow::bail!("a connection was closed");
        };
        match Kind::of(text) {
            Kind::Welcome if self.watched > 0 => {
                let users = (1..=self.watched).map(|step| (connection + step) % self.connections);
                generator.send(connection, &request::watch(users))?;
            }
            Kind::Welcome | Kind::Snapshot { is_done: true } => self.ready += 1,
            _ => {}
        }
        Ok(())
    }
}

fn measure(side: Side<'_>, scale: Scale, watched: usize) -> Result<Sample> {
    let connections = scale.of(CONNECTIONS);
    let server = side.server()?;
    // What the first connection alone brings along is not memory of each.
    let mut first = Generator::new()?;
    Crowd::gather(&mut first, &server, 1, 0, 1)?;
    drop(first);
    let empty = server.resident()?;
    let mut generator = Generator::new()?;
    let measurement = Measurement::begin(&server)?;
    let mut crowd = Crowd::gather(&mut generator, &server, connections, watched, HANDSHAKES)?;
    let conditions = measurement.end()?.conditions;
    measurement::rest(&server, &mut generator, &mut crowd)?;
    let used = server.resident()?.saturating_sub(empty);
    Ok(Sample {
        values: vec![used as f64 / 1024.0 / connections as f64],
        conditions,
    })
}

/// The floor has no keepalive, and nothing to do.
fn cpu(side: Side<'_>, scale: Scale) -> Result<Sample> {
    let Side::Daemon(_) = side else {
        return Ok(Sample {
            values: Vec::new(),
            conditions: Conditions::default(),
        });
    };
    let server = side.server()?;
    let mut generator = Generator::new()?;
    let mut crowd = Crowd::gather(&mut generator, &server, scale.of(CONNECTIONS), 0, HANDSHAKES)?;
    measurement::rest(&server, &mut generator, &mut crowd)?;
    let measurement = Measurement::begin(&server)?;
    generator.run_for(&mut crowd, IDLE)?;
    let conditions = measurement.end()?.conditions;
    Ok(Sample {
        values: vec![conditions.server_share() * 100.0],
        conditions,
    })
}
