//! One measurement: from when a server is quiet, over the load, to when it is quiet again. So work that is put off until after
//! the load (writes behind, above all) is in the CPU of what caused it.

use std::time::Duration;

use anyhow::Result;

use crate::clock::Stopwatch;
use crate::conditions::{Conditions, Reading};
use crate::generator::{Client, Generator};
use crate::server::Server;
use crate::usage;

/// A server is quiet when it has used less than this share of so long.
const QUIET_BELOW: f64 = 0.02;
const QUIET_FOR: Duration = Duration::from_millis(300);
/// A server that is never quiet has a load of its own: it is measured all the same.
const QUIET_WITHIN: Duration = Duration::from_secs(5);

/// A measurement under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measurement {
    process: Option<u32>,
    before: Reading,
}

/// The load is over; what the server does about it may be not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    process: Option<u32>,
    before: Duration,
    pub(crate) conditions: Conditions,
}

impl Measurement {
    /// Begins with a server that is quiet: [`rest`] waits for that.
    pub(crate) fn begin(server: &Server) -> Result<Self> {
        Self::of(Some(server.process()))
    }

    /// Begins a measurement of something that is no server.
    pub(crate) fn without_server() -> Result<Self> {
        Self::of(None)
    }

    fn of(process: Option<u32>) -> Result<Self> {
        Ok(Self {
            process,
            before: Reading::take(process)?,
        })
    }

    pub(crate) fn end(self) -> Result<Measured> {
        Ok(Measured {
            process: self.process,
            before: self.before.server,
            conditions: self.before.until(Reading::take(self.process)?),
        })
    }
}

impl Measured {
    /// Seconds of the load.
    pub(crate) fn seconds(&self) -> f64 {
        self.conditions.measured
    }

    /// Seconds of the server's CPU, until it is quiet. What comes in meanwhile is handled.
    pub(crate) fn cpu(&self, generator: &mut Generator, client: &mut impl Client) -> Result<f64> {
        let Some(process) = self.process else {
            return Ok(0.0);
        };
        rest_of(process, generator, client)?;
        Ok(usage::cpu(process)?.saturating_sub(self.before).as_secs_f64())
    }
}

/// Waits until a server is quiet, and handles what comes in meanwhile.
pub(crate) fn rest(server: &Server, generator: &mut Generator, client: &mut impl Client) -> Result<()> {
    rest_of(server.process(), generator, client)
}

fn rest_of(process: u32, generator: &mut Generator, client: &mut impl Client) -> Result<()> {
    let begun = Stopwatch::start();
    loop {
        let before = usage::cpu(process)?;
        generator.run_for(client, QUIET_FOR)?;
        let used = usage::cpu(process)?.saturating_sub(before);
        if used < QUIET_FOR.mul_f64(QUIET_BELOW) || begun.elapsed() >= QUIET_WITHIN {
            return Ok(());
        }
    }
}
