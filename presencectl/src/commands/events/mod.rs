//! `events`: the change stream as lines. Survives lost connections: it says so, reconnects with growing jittered delays,
//! resumes where it was, and prints what it missed. What is a change is decided in `changes`, how it looks in `lines`.

mod changes;
mod lines;

use std::io::{self, Write};
use std::time::Duration;

use presence::UserId;
use presence::wire::close;
use presence::wire::server::ServerMessage;
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::Session;
use crate::chance::Chance;
use crate::cli;
use crate::client::backoff::Backoff;
use crate::client::discover::{Credential, Finder, Target};
use crate::client::messages;
use crate::client::stream::{ConnectError, Identity, Incoming, Lost, Stream};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::output::escape::scrub;
use changes::{Changes, Scope};

/// How often a closed stdout is looked for: without it, a reader that left is noticed only by the next change.
const LOOK_AT_STDOUT: Duration = Duration::from_secs(1);
/// On top of two pings, how long the server may be silent before the connection counts as lost.
const SILENCE_SPARE: Duration = Duration::from_secs(15);

/// Prints changes until the reader goes away, or for ever.
pub(super) async fn run(session: &mut Session, args: &cli::Events) -> Result<(), Failure> {
    let target = session.target()?;
    let (stream, silence) = attach(&target).await.map_err(|error| error.failure(&target))?;
    lines::header(&mut session.output)?;
    let mut follower = Follower {
        finder: session.finder.clone(),
        users: args.user.clone(),
        changes: Changes::new(if args.user.is_empty() {
            Scope::Everyone
        } else {
            Scope::Named
        }),
        cursor: None,
        unanswered: 0,
        asked_delay: None,
    };
    let output = &mut session.output;
    tokio::select! {
        ended = follower.run(stream, silence, output) => ended,
        () = reader_is_gone() => Err(Failure::PipeClosed),
    }
}

/// Connects as an observer. A token would make the watcher itself appear as present.
async fn attach(target: &Target) -> Result<(Stream, Duration), ConnectError> {
    if matches!(target.credential, Credential::Token { .. }) {
        return Err(ConnectError::Refused {
            status: 403,
            detail: "events needs the daemon's secret: with a token, whoever listens would be shown as present".into(),
        });
    }
    let (stream, welcome) = Stream::connect(target, &Identity::Observer).await?;
    Ok((stream, welcome.ping.saturating_mul(2) + SILENCE_SPARE))
}

/// What lives longer than one connection.
struct Follower {
    finder: Finder,
    users: Vec<UserId>,
    changes: Changes,
    /// Where to resume: everything up to it was printed.
    cursor: Option<String>,
    /// Watch requests without their whole snapshot. Until it is 0 a cursor covers only part of the users.
    unanswered: usize,
    /// What the server asked for when it said goodbye.
    asked_delay: Option<Duration>,
}

impl Follower {
    async fn run(&mut self, stream: Stream, silence: Duration, output: &mut Output) -> Result<(), Failure> {
        let mut chance = Chance::new();
        let mut backoff = Backoff::default();
        let mut connected = Some((stream, silence));
        loop {
            let lost = match connected.take() {
                Some((stream, silence)) => {
                    let lost = self.follow(stream, silence, output).await?;
                    if self.unanswered == 0 {
                        backoff.reset();
                    }
                    stop_if_told(&lost)?;
                    format!("lost the daemon: {}", lost.why)
                }
                None => match self.attach_again().await? {
                    Ok(connection) => {
                        tell("the daemon is back");
                        connected = Some(connection);
                        continue;
                    }
                    Err(why) => format!("the daemon is not back yet: {why}"),
                },
            };
            let delay = backoff.next(self.asked_delay.take(), &mut chance);
            tell(&format!("{lost}; trying again in {:.1} s", delay.as_secs_f64()));
            sleep(delay).await;
        }
    }

    /// Looks for the daemon anew, because it may have come back elsewhere. Only what time won't mend is a failure.
    async fn attach_again(&self) -> Result<Result<(Stream, Duration), String>, Failure> {
        let target = match self.finder.find() {
            Ok(target) => target,
            Err(failure) if failure.exit() == Some(Exit::Unreachable) => return Ok(Err(failure.to_string())),
            Err(failure) => return Err(failure),
        };
        match attach(&target).await {
            Ok(connection) => Ok(Ok(connection)),
            Err(error @ ConnectError::Refused { status: 401 | 403, .. }) => Err(error.failure(&target)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Prints until the connection is over, and says how it ended.
    async fn follow(&mut self, mut stream: Stream, silence: Duration, output: &mut Output) -> Result<Lost, Failure> {
        let since = self.cursor.as_deref();
        let requests = match self.users.is_empty() {
            true => vec![messages::watch_all(since)],
            false => messages::watch(self.users.iter().map(UserId::as_str), since),
        };
        self.unanswered = requests.len();
        self.changes.begin_snapshot();
        for request in requests {
            if let Err(lost) = stream.send(request).await {
                return Ok(lost);
            }
        }
        loop {
            match timeout(silence, stream.next()).await {
                Err(_) => {
                    return Ok(Lost {
                        code: None,
                        why: format!("it has been silent for {} s", silence.as_secs()),
                    });
                }
                Ok(Err(lost)) => return Ok(lost),
                Ok(Ok(Incoming::Nothing)) => {}
                Ok(Ok(Incoming::Message(message))) => self.on_message(*message, output)?,
            }
        }
    }

    fn on_message(&mut self, message: ServerMessage, output: &mut Output) -> Result<(), Failure> {
        match message {
            ServerMessage::Snapshot {
                cursor,
                now,
                users,
                resumed,
                done,
                ..
            } => {
                lines::print(output, &self.changes.on_snapshot(users, resumed, now))?;
                if done {
                    self.unanswered = self.unanswered.saturating_sub(1);
                    lines::print(output, &self.changes.end_snapshot(resumed, now))?;
                    self.reached(cursor);
                }
            }
            ServerMessage::Presence { cursor, now, users } => {
                lines::print(output, &self.changes.on_presence(users, now))?;
                self.reached(cursor);
            }
            ServerMessage::Goodbye { reconnect_after_ms, .. } => {
                self.asked_delay = reconnect_after_ms.map(Duration::from_millis);
            }
            ServerMessage::Error { code, message, .. } => {
                let code = serde_json::to_value(code)
                    .ok()
                    .and_then(|code| code.as_str().map(str::to_owned))
                    .unwrap_or_default();
                return Err(Failure::refused(format_args!("{message} ({code})")));
            }
            ServerMessage::Welcome { .. } | ServerMessage::Ok { .. } | ServerMessage::Pong { .. } => {}
        }
        Ok(())
    }

    fn reached(&mut self, cursor: String) {
        if self.unanswered == 0 {
            self.cursor = Some(cursor);
        }
    }
}

/// Some close codes say not to come back.
fn stop_if_told(lost: &Lost) -> Result<(), Failure> {
    let advice = match lost.code {
        Some(close::KICKED | close::FORGOTTEN) => "an operator ended it; start it again if it is still wanted",
        Some(close::ABUSIVE) => "the server takes this for abuse: is this presencectl of another version?",
        _ => return Ok(()),
    };
    Err(Failure::refused(&lost.why).next(advice))
}

fn tell(text: &str) {
    // Who closed stderr does not want to know.
    let _ = writeln!(io::stderr(), "presencectl: {}", scrub(text));
}

/// Returns once nobody reads stdout any more.
async fn reader_is_gone() {
    let mut look = interval(LOOK_AT_STDOUT);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let stdout = io::stdout();
        let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        if rustix::event::poll(&mut polled, Some(&at_once)).is_ok() && polled[0].revents().contains(PollFlags::ERR) {
            return;
        }
    }
}
