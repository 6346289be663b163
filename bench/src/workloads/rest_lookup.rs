//! Reads of one record over REST, beside a handler of the same HTTP library that answers with the same bytes.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::calls::{self, Answered};
use super::{Build, Metric, Quantity, Sample, Scale, Side, Target, Workload};
use crate::clock::Stopwatch;
use crate::generator::{Generator, request};
use crate::measurement::Measured;
use crate::server::Server;
use crate::user::{self, User};

pub(super) const REST_LOOKUP: Workload = Workload {
    name: "rest-lookup",
    about: "16 callers read the record of a present user over REST",
    metrics: &[
        Metric::new("answers", "/s", Quantity::Rate, Target::RatioMin(0.80)),
        Metric::new("CPU per answer", "µs", Quantity::Cpu, Target::None),
        Metric::new("bytes per answer", "B", Quantity::Exact, Target::None),
    ],
    connections: CALLERS,
    measure,
};

const CALLERS: usize = 16;
const PERIOD: Duration = Duration::from_secs(2);
const USER: User = 0;

fn measure(side: Side<'_>, scale: Scale) -> Result<Sample> {
    let callers = scale.of(CALLERS);
    match side {
        Side::Daemon(build) => on_daemon(build, |server| read(server, callers, PERIOD)).and_then(figures),
        Side::Floor(build) => {
            let answered = on_daemon(build, |server| read(server, 1, Duration::ZERO))?;
            let (mut answer, body) = answered.0.last;
            answer.extend(body);
            let file = tempfile::NamedTempFile::new()?;
            std::fs::write(file.path(), answer)?;
            let path = file.path().to_string_lossy();
            figures(read(&Server::floor(&["floor-http", &path])?, callers, PERIOD)?)
        }
    }
}

/// Calls a daemon on which the user is present.
fn on_daemon<T>(build: &Build, call: impl FnOnce(&Server) -> Result<T>) -> Result<T> {
    let server = Server::daemon(&build.presenced)?;
    let mut generator = Generator::new()?;
    super::idle::Crowd::gather(&mut generator, &server, 1, 0, 1)?;
    call(&server)
}

/// The request that is measured.
pub(super) fn lookup(server: &Server) -> Vec<u8> {
    request::rest(server, &format!("GET /api/presence/{}", user::id(USER)), None, "")
}

/// Reads for so long.
fn read(server: &Server, callers: usize, period: Duration) -> Result<(Answered, Measured, f64)> {
    let call = lookup(server);
    let mut begun = None;
    let next = |_: &Answered| {
        let is_first = begun.is_none();
        let begun: Stopwatch = *begun.get_or_insert_with(Stopwatch::start);
        (is_first || begun.elapsed() < period).then(|| call.clone())
    };
    calls::measure(server, callers, next)
}

fn figures((answered, measured, cpu): (Answered, Measured, f64)) -> Result<Sample> {
    ensure!(answered.calls > 0, "nothing was answered");
    let calls = answered.calls as f64;
    let (head, body) = &answered.last;
    Ok(Sample {
        values: vec![
            calls / measured.seconds(),
            cpu * 1e6 / calls,
            (head.len() + body.len()) as f64,
        ],
        conditions: measured.conditions,
    })
}
