//! Connections that do nothing: what each holds of the server's memory.

use std::time::Duration;

use anyhow::Result;

use super::{Metric, Scale, Side, Target, Workload};
use crate::generator::{Client, Generator, Input, request};
use crate::record::Kind;
use crate::server::Server;

pub(super) const WATCHING_NOBODY: Workload = Workload {
    name: "idle",
    about: "10,000 idle connections that watch nobody",
    metrics: &[Metric::new("memory of a connection", "KiB", Target::Max(2.0))],
    connections: CONNECTIONS,
    measure: |side, scale| measure(side, scale, 0),
};

pub(super) const WATCHING: Workload = Workload {
    name: "idle-watching",
    about: "10,000 idle connections that watch 50 users each",
    metrics: &[Metric::new("memory of a connection", "KiB", Target::Max(3.0))],
    connections: CONNECTIONS,
    measure: |side, scale| measure(side, scale, WATCHED),
};

pub(super) const CPU: Workload = Workload {
    name: "idle-cpu",
    about: "10,000 idle connections that watch nobody, for as long as a round of keepalive takes",
    metrics: &[Metric::new("CPU", "% of a core", Target::Max(0.5))],
    connections: CONNECTIONS,
    measure: cpu,
};

const CONNECTIONS: usize = 10_000;
const WATCHED: usize = 50;
const HANDSHAKES: usize = 64;
/// What connects have left to be written is on disk then, and threads that were busy with it wait again.
const SETTLED: Duration = Duration::from_secs(1);
/// Every connection is pinged once: the interval of the daemon's pings.
const IDLE: Duration = Duration::from_secs(25);

/// Connections, each of a user of its own, that are ready when they were greeted and have the snapshot of whom they watch.
pub(super) struct Crowd {
    connections: usize,
    watched: usize,
    ready: usize,
}

impl Crowd {
    /// Connects them all.
    pub(super) fn gather(
        generator: &mut Generator,
        server: &Server,
        connections: usize,
        watched: usize,
    ) -> Result<Self> {
        let mut crowd = Self {
            connections,
            watched,
            ready: 0,
        };
        for user in 0..connections {
            generator.open(server.address(), &request::upgrade(server, user)?)?;
            generator.run(&mut crowd, |crowd| crowd.ready + HANDSHAKES > user)?;
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

fn measure(side: Side<'_>, scale: Scale, watched: usize) -> Result<Vec<f64>> {
    let connections = scale.of(CONNECTIONS);
    let server = side.server()?;
    // What the first connection alone brings along is not memory of each.
    let mut first = Generator::new()?;
    Crowd::gather(&mut first, &server, 1, 0)?;
    drop(first);
    let empty = server.usage()?.resident;
    let mut generator = Generator::new()?;
    let mut crowd = Crowd::gather(&mut generator, &server, connections, watched)?;
    generator.run_for(&mut crowd, SETTLED)?;
    let used = server.usage()?.resident.saturating_sub(empty);
    Ok(vec![used as f64 / 1024.0 / connections as f64])
}

/// The floor has no keepalive, and nothing to do.
fn cpu(side: Side<'_>, scale: Scale) -> Result<Vec<f64>> {
    let Side::Daemon(_) = side else {
        return Ok(Vec::new());
    };
    let server = side.server()?;
    let mut generator = Generator::new()?;
    let mut crowd = Crowd::gather(&mut generator, &server, scale.of(CONNECTIONS), 0)?;
    generator.run_for(&mut crowd, SETTLED)?;
    let before = server.usage()?.cpu;
    generator.run_for(&mut crowd, IDLE)?;
    let used = server.usage()?.cpu.saturating_sub(before);
    Ok(vec![used.as_secs_f64() / IDLE.as_secs_f64() * 100.0])
}
