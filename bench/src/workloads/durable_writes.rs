//! Custom statuses, each on disk before it is answered, beside what the disk can do: a block of a page written and synchronized,
//! one after the other.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use anyhow::Result;

use super::{Metric, Side, Target, Workload};
use crate::clock::Stopwatch;
use crate::generator::{Client, Generator, Input, request};
use crate::record::Kind;
use crate::server::Server;

pub(super) const ONE_CALLER: Workload = Workload {
    name: "durable-writes-1",
    about: "one user sets its custom status, again when it was answered",
    metrics: &[
        Metric::new("durable writes", "/s", Target::None),
        Metric::new("CPU per write", "µs", Target::None),
    ],
    connections: 1,
    measure: |side, _| measure(side, 1),
};

pub(super) const MANY_CALLERS: Workload = Workload {
    name: "durable-writes-64",
    about: "64 users set their custom statuses, again when they were answered",
    metrics: &[
        Metric::new("durable writes", "/s", Target::RatioMin(RATIO_MIN)),
        Metric::new("CPU per write", "µs", Target::None),
    ],
    connections: CALLERS,
    measure: |side, scale| measure(side, scale.of(CALLERS)),
};

const CALLERS: usize = 64;
/// 50,000 a second are asked for where commits of one row reach 5,000; such a commit takes twice as long as a synchronized write
/// of its page alone (5,000 and 10,000 a second on the same disk).
const RATIO_MIN: f64 = 5.0;
const PERIOD: Duration = Duration::from_secs(2);
/// The page of the database.
const PAGE_BYTES: usize = 4_096;
/// So many pages are written in turn, as a log is that begins anew.
const PAGES: u64 = 1_000;

/// Users who set their custom status again whenever it was answered.
struct Setters {
    clock: Stopwatch,
    greeted: usize,
    is_over: bool,
    answered: usize,
    under_way: usize,
}

impl Setters {
    fn set(&mut self, generator: &mut Generator, connection: usize) -> Result<()> {
        // A change each time.
        let custom_status = if self.answered.is_multiple_of(2) {
            "IDLE"
        } else {
            "ONLINE"
        };
        self.under_way += 1;
        let text = format!("{{\"type\":\"setStatus\",\"customStatus\":\"{custom_status}\"}}");
        generator.send(connection, &text)
    }
}

impl Client for Setters {
    fn on_input(&mut self, generator: &mut Generator, connection: usize, input: Input<'_>) -> Result<()> {
        let Input::Text(text) = input else {
            anyhow::bail!("a user was disconnected");
        };
        match Kind::of(text) {
            Kind::Welcome => self.greeted += 1,
            Kind::Ok => {
                self.under_way -= 1;
                self.answered += 1;
                self.is_over |= self.clock.elapsed() >= PERIOD;
                if !self.is_over {
                    self.set(generator, connection)?;
                }
            }
            Kind::Presence => {}
            _ => anyhow::bail!("a user was told {}", String::from_utf8_lossy(text)),
        }
        Ok(())
    }
}

fn measure(side: Side<'_>, callers: usize) -> Result<Vec<f64>> {
    let Side::Daemon(build) = side else {
        return Ok(vec![synchronized_writes()?]);
    };
    let server = Server::daemon(&build.presenced)?;
    let mut generator = Generator::new()?;
    let mut setters = Setters {
        clock: Stopwatch::start(),
        greeted: 0,
        is_over: false,
        answered: 0,
        under_way: 0,
    };
    for user in 0..callers {
        generator.open(server.address(), &request::upgrade(&server, user)?)?;
    }
    generator.run(&mut setters, |setters| setters.greeted == callers)?;
    let before = server.usage()?;
    setters.clock = Stopwatch::start();
    for connection in 0..callers {
        setters.set(&mut generator, connection)?;
    }
    generator.run(&mut setters, |setters| setters.under_way == 0)?;
    let (writes, seconds) = (setters.answered as f64, setters.clock.elapsed().as_secs_f64());
    let cpu = server.usage()?.cpu.saturating_sub(before.cpu);
    Ok(vec![writes / seconds, cpu.as_secs_f64() * 1e6 / writes])
}

/// How many pages a second are on disk, one after the other, where the daemon has its data.
fn synchronized_writes() -> Result<f64> {
    let file = tempfile::tempfile()?;
    let page = [0x5a; PAGE_BYTES];
    // Every page has its place on the disk before: else each would cost a commit of the file system's journal.
    for number in 0..PAGES {
        file.write_all_at(&page, number * PAGE_BYTES as u64)?;
    }
    file.sync_all()?;
    let begun = Stopwatch::start();
    let mut written = 0_u64;
    while begun.elapsed() < PERIOD {
        file.write_all_at(&page, written % PAGES * PAGE_BYTES as u64)?;
        file.sync_data()?;
        written += 1;
    }
    Ok(written as f64 / begun.elapsed().as_secs_f64())
}
