//! Everybody connects at once and watches everybody: how long until each has seen all others present.

use anyhow::Result;

use super::{Metric, Scale, Side, Target, Workload, percentile};
use crate::clock::Stopwatch;
use crate::generator::{Client, Generator, Input, request};
use crate::record::{self, Kind, Status};
use crate::server::Server;
use crate::user::User;

pub(super) const MESH: Workload = Workload {
    name: "mesh",
    about: "300 users connect at once and each watches all 300, until everyone has seen everyone",
    metrics: &[
        Metric::new("everyone has seen everyone", "ms", Target::RatioMax(4.0)),
        Metric::new("CPU", "ms", Target::None),
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

fn measure(side: Side<'_>, scale: Scale) -> Result<Vec<f64>> {
    let server = side.server()?;
    let mut generator = Generator::new()?;
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    let users = scale.of(USERS);
    for repetition in 0..REPETITIONS {
        let (time, used) = meet(&server, &mut generator, repetition * users, users)?;
        times.push(time);
        cpu.push(used);
    }
    Ok(vec![percentile(&mut times, 50), percentile(&mut cpu, 50)])
}

/// Lets new users meet: milliseconds, and milliseconds of the server's CPU.
fn meet(server: &Server, generator: &mut Generator, first: usize, users: usize) -> Result<(f64, f64)> {
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
    let (before, begun) = (server.usage()?, Stopwatch::start());
    for request in &requests {
        generator.open(server.address(), request)?;
    }
    generator.run(&mut mesh, |mesh| mesh.missing == 0)?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    let cpu = server.usage()?.cpu.saturating_sub(before.cpu);
    // They sign out, so that they are not in the way of the next ones.
    for connection in first..first + users {
        generator.close(connection)?;
    }
    let mut closing = Closing { left: users };
    generator.run(&mut closing, |closing| closing.left == 0)?;
    Ok((took, cpu.as_secs_f64() * 1e3))
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
