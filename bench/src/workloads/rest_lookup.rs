//! Reads of one record over REST, beside a handler of the same HTTP library that answers with the same bytes.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::calls::{self, Answered};
use super::{Build, Metric, Scale, Side, Target, Workload};
use crate::clock::Stopwatch;
use crate::generator::{Generator, request};
use crate::server::Server;
use crate::user::{self, User};

pub(super) const REST_LOOKUP: Workload = Workload {
    name: "rest-lookup",
    about: "16 callers read the record of a present user over REST",
    metrics: &[
        Metric::new("answers", "/s", Target::RatioMin(0.80)),
        Metric::new("CPU per answer", "µs", Target::None),
        Metric::new("bytes per answer", "B", Target::None),
    ],
    connections: CALLERS,
    measure,
};

const CALLERS: usize = 16;
const PERIOD: Duration = Duration::from_secs(2);
const USER: User = 0;

fn measure(side: Side<'_>, scale: Scale) -> Result<Vec<f64>> {
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
    super::idle::Crowd::gather(&mut generator, &server, 1, 0)?;
    call(&server)
}

/// Reads for so long: what came of it, and the server's CPU in seconds.
fn read(server: &Server, callers: usize, period: Duration) -> Result<(Answered, f64)> {
    let call = request::rest(server, &format!("GET /api/presence/{}", user::id(USER)), None, "");
    let (before, begun) = (server.usage()?, Stopwatch::start());
    let mut is_first = true;
    let next = |_: &Answered| (std::mem::take(&mut is_first) || begun.elapsed() < period).then(|| call.clone());
    let answered = calls::run(server, callers, next)?;
    Ok((answered, server.usage()?.cpu.saturating_sub(before.cpu).as_secs_f64()))
}

fn figures((answered, cpu): (Answered, f64)) -> Result<Vec<f64>> {
    ensure!(answered.calls > 0, "nothing was answered");
    let calls = answered.calls as f64;
    let (head, body) = &answered.last;
    Ok(vec![
        calls / answered.seconds,
        cpu * 1e6 / calls,
        (head.len() + body.len()) as f64,
    ])
}
