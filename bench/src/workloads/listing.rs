//! Many users are present by reports: all of them are read in pages, and by an observer that watches all.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use memchr::memmem;

use super::calls::{self, Answered};
use super::{Build, Metric, Quantity, Sample, Scale, Side, Target, Workload};
use crate::generator::{Client, Generator, Input, request};
use crate::measurement::{self, Measurement};
use crate::record::{self, Kind, Status};
use crate::server::Server;
use crate::user::User;

pub(super) const LISTING: Workload = Workload {
    name: "listing",
    about: "100,000 users are present by reports: pages of 1,000 of all of them, then watchAll",
    metrics: &[
        Metric::new("pages", "/s", Quantity::Rate, Target::None),
        Metric::new("CPU per page", "µs", Quantity::Cpu, Target::None),
        Metric::new("bytes per page", "B", Quantity::Exact, Target::None),
        Metric::new("watchAll until done", "ms", Quantity::Time, Target::None).growing(1.0),
        Metric::new("CPU of watchAll", "ms", Quantity::Cpu, Target::None).growing(1.0),
        Metric::new("bytes of watchAll", "B", Quantity::Exact, Target::None).growing(1.0),
        Metric::new("CPU per report", "µs", Quantity::Cpu, Target::None),
    ],
    connections: CALLERS,
    measure,
};

const USERS: usize = 100_000;
pub(super) const PAGE: usize = 1_000;
/// How many callers make the users present.
const CALLERS: usize = 64;

fn measure(side: Side<'_>, scale: Scale) -> Result<Sample> {
    let users = scale.of(USERS).max(PAGE);
    match side {
        Side::Daemon(build) => daemon(build, users),
        Side::Floor(_) => floor(users),
    }
}

fn daemon(build: &Build, users: usize) -> Result<Sample> {
    let server = Server::daemon(&build.presenced)?;
    let reporting = report(&server, 0..users, CALLERS)?;
    let mut sample = pages(&server, users)?.and(watch_all(&server, users)?);
    sample.values.push(reporting * 1e6 / users as f64);
    Ok(sample)
}

fn floor(users: usize) -> Result<Sample> {
    let records: Vec<Vec<u8>> = (0..PAGE)
        .map(|user| record::encode_internal(user, Status::Online))
        .collect();
    let body = record::encode_page(records.iter().map(Vec::as_slice));
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-store\r\n\r\n".to_vec();
    answer.extend(body);
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), answer)?;
    let pages = pages(&Server::floor(&["floor-http", &file.path().to_string_lossy()])?, users)?;
    Ok(pages.and(watch_all(&Server::floor(&["floor", &users.to_string()])?, users)?))
}

/// Makes users present, so many at a time: seconds of the server's CPU.
pub(super) fn report(server: &Server, mut users: Range<User>, callers: usize) -> Result<f64> {
    let call = |user: User| {
        let body = r#"{"status":"ONLINE","updateLastActive":true}"#;
        request::rest(server, "PUT /api/user/realtime", Some(user), body)
    };
    calls::measure(server, callers, |_| users.next().map(call)).map(|(_, _, cpu)| cpu)
}

/// Reads all pages, one after the other: how many a second, microseconds of CPU each, bytes each.
pub(super) fn pages(server: &Server, users: usize) -> Result<Sample> {
    let pages = users / PAGE;
    let mut bytes = 0;
    let next = |answered: &Answered| {
        bytes += answered.last.1.len();
        (answered.calls < pages).then(|| {
            let from = cursor(&answered.last.1).map_or(String::new(), |cursor| format!("&cursor={cursor}"));
            request::rest(server, &format!("GET /api/presence?limit={PAGE}{from}"), None, "")
        })
    };
    let (answered, measured, cpu) = calls::measure(server, 1, next)?;
    let last = record::records(&answered.last.1).last().context("an empty page")?;
    ensure!(
        last.user == users - 1 || bytes == pages * answered.last.1.len(),
        "the last page has the last user"
    );
    let pages = pages as f64;
    Ok(Sample {
        values: vec![pages / measured.seconds(), cpu * 1e6 / pages, bytes as f64 / pages],
        conditions: measured.conditions,
    })
}

/// Where the next page begins.
fn cursor(body: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"\"next\":\"";
    let rest = &body[memmem::find(body, NAME)? + NAME.len()..];
    let end = memchr::memchr(b'"', rest)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

/// An observer that watches all.
#[derive(Default)]
struct Observer {
    users: usize,
    is_done: bool,
}

impl Client for Observer {
    fn on_input(&mut self, generator: &mut Generator, connection: usize, input: Input<'_>) -> Result<()> {
        let Input::Text(text) = input else {
            anyhow::bail!("the observer was disconnected");
        };
        match Kind::of(text) {
            Kind::Welcome => generator.send(connection, "{\"type\":\"watchAll\",\"id\":1}"),
            Kind::Snapshot { is_done } => {
                self.users += record::records(text).count();
                self.is_done = is_done;
                Ok(())
            }
            _ => anyhow::bail!("the observer was told {}", String::from_utf8_lossy(text)),
        }
    }
}

/// Watches all: milliseconds until the snapshot is whole, of CPU, and bytes.
fn watch_all(server: &Server, users: usize) -> Result<Sample> {
    let mut generator = Generator::new()?;
    let mut observer = Observer::default();
    measurement::rest(server, &mut generator, &mut ())?;
    let measurement = Measurement::begin(server)?;
    generator.open(server.address(), &request::upgrade_observer(server))?;
    generator.run(&mut observer, |observer| observer.is_done)?;
    let measured = measurement.end()?;
    let cpu = measured.cpu(&mut generator, &mut observer)?;
    ensure!(
        observer.users == users,
        "the snapshot has {} of {users} users",
        observer.users
    );
    Ok(Sample {
        values: vec![measured.seconds() * 1e3, cpu * 1e3, generator.received() as f64],
        conditions: measured.conditions,
    })
}

#[test]
fn the_next_page_begins_where_the_last_one_says() {
    assert_eq!(
        cursor(&record::encode_page(std::iter::empty())).as_deref(),
        Some("752d303030393939")
    );
    assert_eq!(cursor(br#"{"users":[],"next":null}"#), None);
}
