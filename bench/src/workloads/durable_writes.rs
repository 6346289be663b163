//! Custom statuses, each on disk before it is answered, beside what the disk can do: a block of a page written and synchronized,
//! one after the other. Each write is a change of what others see of the user: the answer shows it, with a newer revision.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Metric, Quantity, Sample, Side, Target, Workload};
use crate::clock::Stopwatch;
use crate::generator::{Client, Generator, Input, request};
use crate::measurement::{self, Measurement};
use crate::record::{self, Kind, Status};
use crate::server::Server;

pub(super) const ONE_CALLER: Workload = Workload {
    name: "durable-writes-1",
    about: "one user changes its custom status, again when it was answered",
    metrics: &[
        Metric::new("durable writes", "/s", Quantity::Rate, Target::None),
        Metric::new("CPU per write", "µs", Quantity::Cpu, Target::None),
    ],
    connections: 1,
    measure: |side, _| measure(side, 1),
};

pub(super) const MANY_CALLERS: Workload = Workload {
    name: "durable-writes-64",
    about: "64 users change their custom statuses, again when they were answered",
    metrics: &[
        Metric::new("durable writes", "/s", Quantity::Rate, Target::RatioMin(RATIO_MIN)),
        Metric::new("CPU per write", "µs", Quantity::Cpu, Target::None),
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

/// Users who change their custom status whenever the last change was answered.
pub(super) struct Setters {
    /// By connection: what the user is shown as.
    shown: Vec<Shown>,
    greeted: usize,
    answered: usize,
    under_way: usize,
    /// Whether there is another change, after so many answers.
    goes_on: Box<dyn FnMut(usize) -> bool>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Shown {
    status: Status,
    revision: u64,
}

impl Shown {
    /// What the user sets next.
    fn next(self) -> Status {
        match self.status {
            Status::Online => Status::Idle,
            _ => Status::Online,
        }
    }

    /// Takes the answer to a change.
    ///
    /// # Errors
    /// It does not show the change, or nothing was published.
    fn take(&mut self, text: &[u8]) -> Result<()> {
        let seen = record::records(text).next().context("an answer without a record")?;
        let shown = Self {
            status: seen.status,
            revision: seen.revision(),
        };
        ensure!(
            shown.status == self.next() && shown.revision > self.revision,
            "a write changed nothing: {self:?}, then {shown:?}"
        );
        *self = shown;
        Ok(())
    }
}

impl Setters {
    /// Connects so many users.
    pub(super) fn connect(generator: &mut Generator, server: &Server, callers: usize) -> Result<Self> {
        let unknown = Shown {
            status: Status::Online,
            revision: 0,
        };
        let mut setters = Self {
            shown: vec![unknown; callers],
            greeted: 0,
            answered: 0,
            under_way: 0,
            goes_on: Box::new(|_| false),
        };
        for user in 0..callers {
            generator.open(server.address(), &request::upgrade(server, user)?)?;
        }
        generator.run(&mut setters, |setters| setters.greeted == callers)?;
        Ok(setters)
    }

    /// Lets all of them change again and again, as long as it is to go on. How many changes were answered.
    pub(super) fn change(
        &mut self,
        generator: &mut Generator,
        goes_on: impl FnMut(usize) -> bool + 'static,
    ) -> Result<usize> {
        (self.goes_on, self.answered) = (Box::new(goes_on), 0);
        for connection in 0..self.shown.len() {
            self.set(generator, connection)?;
        }
        generator.run(self, |setters| setters.under_way == 0)?;
        Ok(self.answered)
    }

    fn set(&mut self, generator: &mut Generator, connection: usize) -> Result<()> {
        self.under_way += 1;
        let custom_status = self.shown[connection].next().name();
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
                self.shown[connection].take(text)?;
                self.under_way -= 1;
                self.answered += 1;
                if (self.goes_on)(self.answered) {
                    self.set(generator, connection)?;
                }
            }
            Kind::Presence => {}
            _ => anyhow::bail!("a user was told {}", String::from_utf8_lossy(text)),
        }
        Ok(())
    }
}

fn measure(side: Side<'_>, callers: usize) -> Result<Sample> {
    let Side::Daemon(build) = side else {
        return synchronized_writes();
    };
    let server = Server::daemon(&build.presenced)?;
    let mut generator = Generator::new()?;
    let mut setters = Setters::connect(&mut generator, &server, callers)?;
    measurement::rest(&server, &mut generator, &mut setters)?;
    let measurement = Measurement::begin(&server)?;
    let clock = Stopwatch::start();
    let writes = setters.change(&mut generator, move |_| clock.elapsed() < PERIOD)? as f64;
    let measured = measurement.end()?;
    let cpu = measured.cpu(&mut generator, &mut setters)?;
    Ok(Sample {
        values: vec![writes / measured.seconds(), cpu * 1e6 / writes],
        conditions: measured.conditions,
    })
}

/// How many pages a second are on disk, one after the other, where the daemon has its data.
fn synchronized_writes() -> Result<Sample> {
    let file = tempfile::tempfile()?;
    let page = [0x5a; PAGE_BYTES];
    // Every page has its place on the disk before: else each would cost a commit of the file system's journal.
    for number in 0..PAGES {
        file.write_all_at(&page, number * PAGE_BYTES as u64)?;
    }
    file.sync_all()?;
    let measurement = Measurement::without_server()?;
    let begun = Stopwatch::start();
    let mut written = 0_u64;
    while begun.elapsed() < PERIOD {
        file.write_all_at(&page, written % PAGES * PAGE_BYTES as u64)?;
        file.sync_data()?;
        written += 1;
    }
    let measured = measurement.end()?;
    Ok(Sample {
        values: vec![written as f64 / measured.seconds()],
        conditions: measured.conditions,
    })
}

#[test]
fn an_answer_that_shows_no_change_is_an_error() {
    let mut shown = Shown {
        status: Status::Online,
        revision: 5,
    };
    let answer = |status, revision| record::encode_ok("1", &record::encode(3, status, revision));
    assert!(shown.take(&answer(Status::Online, 6)).is_err(), "the same status again");
    assert!(shown.take(&answer(Status::Idle, 5)).is_err(), "nothing was published");
    shown.take(&answer(Status::Idle, 6)).unwrap();
    assert_eq!(shown.next(), Status::Online);
    shown.take(&answer(Status::Online, 7)).unwrap();
    assert_eq!(shown.next(), Status::Idle);
}
