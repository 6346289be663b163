//! Waves of connections: what is left of the daemon's memory when all of them have ended, with the same users in each wave, and
//! with others.

use std::time::Duration;

use anyhow::Result;

use super::idle::Crowd;
use super::{Metric, Quantity, Sample, Scale, Side, Target, Workload};
use crate::conditions::Conditions;
use crate::generator::{Client, Generator, Input, request};
use crate::measurement::Measurement;
use crate::record::Kind;
use crate::server::Server;

pub(super) const WAVES: Workload = Workload {
    name: "waves",
    about: "5,000 users connect and sign out, 50 times; the same with other users each time: memory, 26 s after that",
    metrics: &[
        Metric::new("memory before", "MiB", Quantity::Exact, Target::None),
        Metric::new("more after 1 wave", "MiB", Quantity::Exact, Target::None),
        Metric::new("more after 10", "MiB", Quantity::Exact, Target::None),
        Metric::new("more after 50", "MiB", Quantity::Exact, Target::None),
        Metric::new("more after 50 of others", "MiB", Quantity::Exact, Target::None),
    ],
    connections: USERS,
    measure,
};

const USERS: usize = 5_000;
const UNDER_WAY: usize = 200;
const WAVES_COUNT: usize = 50;
/// After how many waves memory is read where the users are the same.
const READ_AFTER: [usize; 3] = [1, 10, WAVES_COUNT];
/// What is kept of who has gone is kept for a ping interval (25 s) at most, by the wheel, but for the changes of the last hour. Pages
/// go back to the system half a second later.
const KEPT_FOR: Duration = Duration::from_secs(26);

/// One wave: all users are greeted, then all sign out.
#[derive(Default)]
struct Wave {
    greeted: usize,
    closed: usize,
}

impl Client for Wave {
    fn on_input(&mut self, _: &mut Generator, _: usize, input: Input<'_>) -> Result<()> {
        match input {
            Input::Text(text) if Kind::of(text) == Kind::Welcome => self.greeted += 1,
            Input::Closed => self.closed += 1,
            _ => {}
        }
        Ok(())
    }
}

impl Wave {
    /// Of so many users from this one on.
    fn pass(server: &Server, first: usize, users: usize) -> Result<()> {
        let requests: Vec<Vec<u8>> = (first..first + users)
            .map(|user| request::upgrade(server, user))
            .collect::<Result<_>>()?;
        let (mut wave, mut generator) = (Self::default(), Generator::new()?);
        for (begun, request) in requests.iter().enumerate() {
            generator.open(server.address(), request)?;
            generator.run(&mut wave, |wave| begun < wave.greeted + UNDER_WAY)?;
        }
        generator.run(&mut wave, |wave| wave.greeted == users)?;
        for connection in 0..users {
            generator.close(connection)?;
        }
        generator.run(&mut wave, |wave| wave.closed == users)
    }
}

/// The floor keeps nothing of anybody.
fn measure(side: Side<'_>, scale: Scale) -> Result<Sample> {
    let Side::Daemon(_) = side else {
        return Ok(Sample {
            values: Vec::new(),
            conditions: Conditions::default(),
        });
    };
    let users = scale.of(USERS);
    let same = waves(&side.server()?, users, &READ_AFTER, |_| 0)?;
    let others = waves(&side.server()?, users, &[WAVES_COUNT], |wave| wave * users)?;
    let more_of_others = others.values[1];
    let mut sample = same;
    sample.values.push(more_of_others);
    sample.conditions = sample.conditions.and(others.conditions);
    Ok(sample)
}

/// The memory before all waves, and by how much it is more after some of them. `first` is the first user of a wave.
fn waves(server: &Server, users: usize, read_after: &[usize], first: impl Fn(usize) -> usize) -> Result<Sample> {
    // What the first connection alone brings along does not come with waves.
    Crowd::gather(&mut Generator::new()?, server, 1, 0, 1)?;
    let before = settled(server)?;
    let measurement = Measurement::begin(server)?;
    let mut values = vec![mebibytes(before)];
    for wave in 0..WAVES_COUNT {
        Wave::pass(server, first(wave), users)?;
        if read_after.contains(&(wave + 1)) {
            values.push(mebibytes(settled(server)?) - mebibytes(before));
        }
    }
    let conditions = measurement.end()?.conditions;
    Ok(Sample { values, conditions })
}

/// The memory when nothing is kept of those who have gone.
fn settled(server: &Server) -> Result<u64> {
    Generator::new()?.run_for(&mut (), KEPT_FOR)?;
    server.resident()
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
