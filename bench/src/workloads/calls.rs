//! Calls over REST: so many callers, each with a connection that is kept, and the next call when the last one was answered.

use anyhow::{Result, ensure};

use crate::generator::{Client, Generator, Input, request};
use crate::measurement::{self, Measured, Measurement};
use crate::server::Server;
use crate::user::User;

/// How many callers prepare a workload.
const PREPARING: usize = 64;

/// What came of calls.
pub(super) struct Answered {
    pub(super) calls: usize,
    /// The last answer: head and body.
    pub(super) last: (Vec<u8>, Vec<u8>),
}

struct Callers<F> {
    /// The next call; none when there are no more.
    next: F,
    under_way: usize,
    answered: Answered,
}

impl<F: FnMut(&Answered) -> Option<Vec<u8>>> Callers<F> {
    fn call(&mut self, generator: &mut Generator, connection: usize) -> Result<()> {
        if let Some(call) = (self.next)(&self.answered) {
            self.under_way += 1;
            generator.write(connection, &call)?;
        }
        Ok(())
    }
}

impl<F: FnMut(&Answered) -> Option<Vec<u8>>> Client for Callers<F> {
    fn on_input(&mut self, generator: &mut Generator, connection: usize, input: Input<'_>) -> Result<()> {
        let Input::Response { head, body } = input else {
            anyhow::bail!("the server closed a connection");
        };
        let is_ok = head.starts_with(b"HTTP/1.1 200 ");
        ensure!(
            is_ok,
            "{}{}",
            String::from_utf8_lossy(head),
            String::from_utf8_lossy(body)
        );
        self.under_way -= 1;
        self.answered.calls += 1;
        for (kept, answer) in [(&mut self.answered.last.0, head), (&mut self.answered.last.1, body)] {
            kept.clear();
            kept.extend_from_slice(answer);
        }
        self.call(generator, connection)
    }
}

/// Calls until there is no next call.
pub(super) fn run(server: &Server, callers: usize, next: impl FnMut(&Answered) -> Option<Vec<u8>>) -> Result<Answered> {
    let mut generator = Generator::new()?;
    let mut calling = Callers {
        next,
        under_way: 0,
        answered: Answered {
            calls: 0,
            last: (Vec::new(), Vec::new()),
        },
    };
    for _ in 0..callers {
        let connection = generator.open_http(server.address())?;
        calling.call(&mut generator, connection)?;
    }
    // Each round of answers has a deadline of its own: there may be many.
    while calling.under_way > 0 {
        let answered = calling.answered.calls;
        generator.run(&mut calling, |calling| calling.answered.calls > answered)?;
    }
    Ok(calling.answered)
}

/// Calls a server that is quiet before: what was answered, how long it took, and seconds of the server's CPU until it is quiet.
pub(super) fn measure(
    server: &Server,
    callers: usize,
    next: impl FnMut(&Answered) -> Option<Vec<u8>>,
) -> Result<(Answered, Measured, f64)> {
    let mut idle = Generator::new()?;
    measurement::rest(server, &mut idle, &mut ())?;
    let measurement = Measurement::begin(server)?;
    let answered = run(server, callers, next)?;
    let measured = measurement.end()?;
    let cpu = measured.cpu(&mut idle, &mut ())?;
    Ok((answered, measured, cpu))
}

/// Sets the custom status of these users.
pub(super) fn set_custom_statuses(
    server: &Server,
    mut users: impl Iterator<Item = User>,
    custom_status: &str,
) -> Result<()> {
    let body = format!("{{\"customStatus\":\"{custom_status}\"}}");
    let call = |user| request::rest(server, "PUT /api/user/custom-status", Some(user), &body);
    run(server, PREPARING, |_| users.next().map(call)).map(drop)
}
