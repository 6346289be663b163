//! Paths whose instructions are counted: what the daemon executes for one operation, with what it puts off until later. The loads
//! are small ones of the workloads, with few operations at a time: the daemon runs some fifty times slower meanwhile, and is to do
//! nothing that it does only when it can't keep up.

use std::time::Duration;

use anyhow::Result;

use super::durable_writes::Setters;
use super::fan_out::Stage;
use super::idle::Crowd;
use super::{calls, listing, mesh, rest_lookup};
use crate::clock::Stopwatch;
use crate::generator::{Client, Generator};
use crate::measurement;
use crate::server::Server;

/// A path that operations of one kind take.
pub(crate) struct HotPath {
    pub(crate) name: &'static str,
    /// What one operation is.
    pub(crate) about: &'static str,
    /// Instructions of a daemon for an operation.
    pub(crate) count: fn(Server) -> Result<f64>,
}

pub(crate) const HOT_PATHS: &[HotPath] = &[
    HotPath {
        name: "connect",
        about: "a user who is not known connects, with a token",
        count: connect,
    },
    HotPath {
        name: "mesh",
        about: "one of 24 users who connect at once sees another one",
        count: meet,
    },
    HotPath {
        name: "delivery",
        about: "a change is delivered to one of 300 watchers",
        count: deliver,
    },
    HotPath {
        name: "durable-write",
        about: "one of 8 users changes its custom status",
        count: write,
    },
    HotPath {
        name: "rest-lookup",
        about: "a record is read over REST",
        count: look_up,
    },
    HotPath {
        name: "report",
        about: "a user who is not known is reported as present over REST",
        count: report,
    },
    HotPath {
        name: "page",
        about: "a page of 1,000 records is read over REST",
        count: read_pages,
    },
];

/// How many operations of a path are under way at a time: the daemon answers them within its time limits.
const UNDER_WAY: usize = 8;
/// Over so long a daemon is watched that has nothing to do: two of its heartbeats.
const IDLE: Duration = Duration::from_secs(2);

/// What a daemon executes for a load, without what it executes anyway: its timers go on, the longer the load takes the more.
struct Count {
    begun: Stopwatch,
    idle_per_second: f64,
}

impl Count {
    /// Waits until a server is quiet, and watches it with nothing to do.
    fn begin(server: &Server, generator: &mut Generator, client: &mut impl Client) -> Result<Self> {
        measurement::rest(server, generator, client)?;
        server.instructions()?;
        let idle = Stopwatch::start();
        generator.run_for(client, IDLE)?;
        let executed = server.instructions()?;
        let begun = Stopwatch::start();
        Ok(Self {
            begun,
            idle_per_second: executed as f64 / begun.since(idle).as_secs_f64(),
        })
    }

    /// Instructions of the load, and of what was put off until after it.
    fn end(self, server: &Server, generator: &mut Generator, client: &mut impl Client) -> Result<f64> {
        measurement::rest(server, generator, client)?;
        let executed = server.instructions()? as f64;
        Ok(self.without_idle(executed, self.begun.elapsed()))
    }

    fn without_idle(&self, executed: f64, period: Duration) -> f64 {
        executed - self.idle_per_second * period.as_secs_f64()
    }
}

fn connect(server: Server) -> Result<f64> {
    const USERS: usize = 300;
    let mut generator = Generator::new()?;
    // What the first connection alone brings along does not count.
    let mut first = Crowd::gather(&mut generator, &server, 1, 0, 1)?;
    let count = Count::begin(&server, &mut generator, &mut first)?;
    let mut generator = Generator::new()?;
    let mut crowd = Crowd::gather(&mut generator, &server, USERS, 0, UNDER_WAY)?;
    Ok(count.end(&server, &mut generator, &mut crowd)? / USERS as f64)
}

fn meet(server: Server) -> Result<f64> {
    const USERS: usize = 24;
    const MEETINGS: usize = 4;
    let mut generator = Generator::new()?;
    mesh::meet(&server, &mut generator, 0, USERS)?;
    mesh::part(&mut generator, 0, USERS)?;
    let mut counted = 0.0;
    for meeting in 1..=MEETINGS {
        let count = Count::begin(&server, &mut generator, &mut ())?;
        mesh::meet(&server, &mut generator, meeting * USERS, USERS)?;
        counted += count.end(&server, &mut generator, &mut ())?;
        mesh::part(&mut generator, meeting * USERS, USERS)?;
    }
    Ok(counted / (MEETINGS * USERS * USERS) as f64)
}

fn deliver(server: Server) -> Result<f64> {
    const WATCHERS: usize = 300;
    const CHANGES: usize = 100;
    let mut stage = Stage::on(server, WATCHERS)?;
    let count = Count::begin(&stage.server, &mut stage.generator, &mut stage.audience)?;
    for _ in 0..CHANGES {
        stage.change()?;
        stage.finish()?;
    }
    let counted = count.end(&stage.server, &mut stage.generator, &mut stage.audience)?;
    Ok(counted / (CHANGES * WATCHERS) as f64)
}

fn write(server: Server) -> Result<f64> {
    const WRITES: usize = 800;
    let mut generator = Generator::new()?;
    let mut setters = Setters::connect(&mut generator, &server, UNDER_WAY)?;
    // The first write of each user makes its row.
    setters.change(&mut generator, |_| false)?;
    let count = Count::begin(&server, &mut generator, &mut setters)?;
    let written = setters.change(&mut generator, |answered| answered + UNDER_WAY <= WRITES)?;
    Ok(count.end(&server, &mut generator, &mut setters)? / written as f64)
}

fn look_up(server: Server) -> Result<f64> {
    const CALLS: usize = 1_000;
    let mut generator = Generator::new()?;
    let mut crowd = Crowd::gather(&mut generator, &server, 1, 0, 1)?;
    let lookup = rest_lookup::lookup(&server);
    let calls = |count: usize| {
        let mut left = count;
        calls::run(&server, 1, |_| {
            let is_left = left > 0;
            left = left.saturating_sub(1);
            is_left.then(|| lookup.clone())
        })
    };
    calls(1)?;
    let count = Count::begin(&server, &mut generator, &mut crowd)?;
    calls(CALLS)?;
    Ok(count.end(&server, &mut generator, &mut crowd)? / CALLS as f64)
}

fn report(server: Server) -> Result<f64> {
    const USERS: usize = 1_000;
    let mut generator = Generator::new()?;
    listing::report(&server, 0..UNDER_WAY, UNDER_WAY)?;
    let count = Count::begin(&server, &mut generator, &mut ())?;
    listing::report(&server, UNDER_WAY..UNDER_WAY + USERS, UNDER_WAY)?;
    Ok(count.end(&server, &mut generator, &mut ())? / USERS as f64)
}

fn read_pages(server: Server) -> Result<f64> {
    const PAGES: usize = 3;
    let users = PAGES * listing::PAGE;
    listing::report(&server, 0..users, UNDER_WAY)?;
    listing::pages(&server, users)?;
    let mut generator = Generator::new()?;
    let count = Count::begin(&server, &mut generator, &mut ())?;
    listing::pages(&server, users)?;
    Ok(count.end(&server, &mut generator, &mut ())? / PAGES as f64)
}

#[test]
fn instructions_of_an_idle_daemon_do_not_count() {
    let count = Count {
        begun: Stopwatch::start(),
        idle_per_second: 300.0,
    };
    assert_eq!(count.without_idle(10_000.0, Duration::from_millis(2_500)), 9_250.0);
}
