//! `events`: prints the change stream, one line per change. Lost connections are reported and resumed by
//! `client::follower`. What counts as a change is decided in `change_tracker`, its text in `lines`.

mod change_tracker;
mod lines;

use std::io::{self, Write};
use std::time::Duration;

use presence::wire::record::Update;
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use super::{Session, never_seen};
use crate::cli;
use crate::client::follower::{Connection, Follower, FollowerEvent};
use crate::failure::Failure;
use crate::output::Output;
use crate::output::escape::{quote, scrub};
use change_tracker::{ChangeTracker, Scope};

/// How often stdout is checked: otherwise a closed pipe is noticed only at the next change.
const STDOUT_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Prints changes until the reader closes the pipe.
pub(super) async fn run(session: &mut Session, args: &cli::Events) -> Result<(), Failure> {
    let target = session.target()?;
    let first = Connection::open(&target)
        .await
        .map_err(|error| error.failure(&target))?;
    lines::header(&mut session.output)?;
    let mut tracker = ChangeTracker::new(if args.user.is_empty() {
        Scope::Everyone
    } else {
        Scope::Named
    });
    let mut follower = Follower::new(session.finder.clone(), args.user.clone());
    let (output, never) = (&mut session.output, Notify::new());
    tokio::select! {
        ended = follower.follow(Some(first), &never, async |event| print(&mut tracker, event, output)) => ended,
        () = stdout_closed() => Err(Failure::PipeClosed),
    }
}

fn print(tracker: &mut ChangeTracker, event: FollowerEvent, output: &mut Output) -> Result<(), Failure> {
    match event {
        FollowerEvent::Connected { is_reconnect, .. } => {
            if is_reconnect {
                report("reconnected to the daemon");
            }
            tracker.begin_snapshot();
        }
        FollowerEvent::Snapshot {
            now,
            users,
            resumed,
            done,
        } => {
            if !tracker.is_started() {
                report_unseen(&users);
            }
            lines::print(output, &tracker.on_snapshot(users, resumed, now))?;
            if done {
                lines::print(output, &tracker.end_snapshot(resumed, now))?;
            }
        }
        FollowerEvent::Changed { now, users } => lines::print(output, &tracker.on_presence(users, now))?,
        FollowerEvent::Stale(true) => {
            report("the daemon can't reach Redis, or Redis is full: what follows may be out of date");
        }
        FollowerEvent::Stale(false) => report("nothing is out of date any more"),
        FollowerEvent::Lost { why, retry_in } => {
            report(&format!("{why}; retrying in {:.1} s", retry_in.as_secs_f64()));
        }
    }
    Ok(())
}

/// An id that was mistyped would be waited for in silence.
fn report_unseen(users: &[Update]) {
    for update in users {
        match update {
            Update::Record(record) if never_seen::is_empty(record) => {
                report(&format!("{} was never seen; waiting", quote(record.user_id.as_str())));
            }
            _ => {}
        }
    }
}

fn report(text: &str) {
    // Nothing to report to if stderr is closed.
    let _ = writeln!(io::stderr(), "presencectl: {}", scrub(text));
}

/// Returns when stdout has no reader.
async fn stdout_closed() {
    let mut look = interval(STDOUT_CHECK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let stdout = io::stdout();
        let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
        let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
        if rustix::event::poll(&mut polled, Some(&no_wait)).is_ok() && polled[0].revents().contains(PollFlags::ERR) {
            return;
        }
    }
}
