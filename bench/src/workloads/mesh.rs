//! Everybody connects at once and watches everybody: how long until each has seen all others present.

use anyhow::Result;

use super::{Metric, Quantity, Sample, Scale, Side, Target, Workload};
use crate::conditions::Conditions;
use crate::generator::{Client, Generator, Input, request};
use crate::measurement::{self, Measured, Measurement};
use crate::median::median;
use crate::record::{self, Kind, Status};
use crate::server::Server;
use crate::user::User;

pub(super) const MESH: Workload = Workload {
    name: "mesh",
    about: "300 users connect at once and each watches all 300, until everyone has seen everyone",
    metrics: &[
        Metric::new(
            "everyone has seen everyone",
            "ms",
            Quantity::Time,
            Target::RatioMax(4.0),
        )
        .growing(2.0),
        Metric::new("CPU", "ms", Quantity::Cpu, Target::None).growing(2.0),
        Metric::new("CPU per pair", "µs", Quantity::Cpu, Target::None),
    ],
    connections: USERS,
    measure,
};

const USERS: usize = 300;
/// With other users each, because the first are known then. The median counts.
const REPETITIONS: usize = 5;

struct Mesh {
    /// The numbers of the first connection and of the first user.
    first_connection: usize,
    first_user: User,
    users: usize,
    /// By connection and user: whether the one has seen the other present.
    seen: Vec<bool>,
    missing: usize,
    watch: String,
}

impl Client for Mesh {
    fn on_input(&mut self, generator: &mut Generator, connection: usize, input: Input<'_>) -> Result<()> {
        let Input::Text(text) = input else {
            anyhow::bail!("a user was disconnected");
        };
        if Kind::of(text) == Kind::Welcome {
            return generator.send(connection, &self.watch);
        }
        let row = (connection - self.first_connection) * self.users;
        for seen in record::records(text).filter(|seen| seen.status == Status::Online) {
            let is_seen = &mut self.seen[row + seen.user - self.first_user];
            self.missing -= usize::from(!std::mem::replace(is_seen, true));
        }
        Ok(())
    }
}

fn measure(side: Side<'_>, scale: Scale) -> Result<Sample> {
    let server = side.server()?;
    let mut generator = Generator::new()?;
    let (mut times, mut cpu, mut conditions) = (Vec::new(), Vec::new(), Conditions::default());
    let users = scale.of(USERS);
    let all = Measurement::begin(&server)?;
    for repetition in 0..REPETITIONS {
        let (measured, used) = meet(&server, &mut generator, repetition * users, users)?;
        part(&mut generator, repetition * users, users)?;
        times.push(measured.seconds() * 1e3);
        cpu.push(used * 1e3);
        conditions = conditions.and(measured.conditions);
    }
    let cpu = median(&cpu);
    Ok(Sample {
        values: vec![median(&times), cpu, cpu * 1e3 / (users * users) as f64],
        conditions: conditions.with_others_of(all.end()?.conditions),
    })
}

/// Lets new users meet: how long it took, and seconds of the server's CPU.
pub(super) fn meet(server: &Server, generator: &mut Generator, first: usize, users: usize) -> Result<(Measured, f64)> {
    let requests: Vec<Vec<u8>> = (first..first + users)
        .map(|user| request::upgrade(server, user))
        .collect::<Result<_>>()?;
    let mut mesh = Mesh {
        first_connection: first,
        first_user: first,
        users,
        seen: vec![false; users * users],
        missing: users * users,
        watch: request::watch(first..first + users),
    };
    measurement::rest(server, generator, &mut ())?;
    let measurement = Measurement::begin(server)?;
    for request in &requests {
        generator.open(server.address(), request)?;
    }
    generator.run(&mut mesh, |mesh| mesh.missing == 0)?;
    let measured = measurement.end()?;
    let cpu = measured.cpu(generator, &mut mesh)?;
    Ok((measured, cpu))
}

/// Lets users sign out, so that they are not in the way of the next ones.
pub(super) fn part(generator: &mut Generator, first: usize, users: usize) -> Result<()> {
    for connection in first..first + users {
        generator.close(connection)?;
    }
    let mut closing = Closing { left: users };
    generator.run(&mut closing, |closing| closing.left == 0)
}

/// Waits for the end of all connections.
struct Closing {
    left: usize,
}

impl Client for Closing {
    fn on_input(&mut self, _: &mut Generator, _: usize, input: Input<'_>) -> Result<()> {
        self.left -= usize::from(matches!(input, Input::Closed));
        Ok(())
    }
}
