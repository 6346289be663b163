//! The connection to the daemon: the change stream, and the dashboard's requests over REST. Everything received is parsed
//! here, off the thread that draws. The channel to that thread is bounded, so a slow terminal makes the daemon conflate
//! instead of growing this process.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use presence::UserId;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::{Notify, RwLock};
use tokio::task::JoinHandle;

use super::effect::Effect;
use super::event_loop::Input;
use super::export;
use super::message::{Message, Response, StreamEvent};
use crate::client::discover::{Finder, Target};
use crate::client::follower::{Connection, Follower, FollowerEvent};
use crate::client::rest::Rest;
use crate::clock;
use crate::failure::Failure;
use crate::output::escape::quote;

/// After a restart of the daemon the screen is to be current within two seconds: one to reconnect, the other for the
/// snapshot.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Requests that are repeated. Only the latest of each kind matters: an older one may hang on a daemon that is gone.
#[derive(Debug, Clone, Copy)]
enum Poll {
    Stats,
    Records,
    Explain,
}

impl Poll {
    const COUNT: usize = 3;

    const fn of(request: &Effect) -> Option<Self> {
        match request {
            Effect::FetchStats => Some(Self::Stats),
            Effect::FetchRecords(_) => Some(Self::Records),
            Effect::FetchExplanation(_) => Some(Self::Explain),
            _ => None,
        }
    }
}

/// The dashboard's client of one daemon.
pub(crate) struct Backend {
    finder: Finder,
    inputs: Sender<Input>,
    /// Replaced on each connect: a restarted daemon may have another address.
    rest: RwLock<Arc<Rest>>,
    retry_now: Notify,
}

impl Backend {
    /// # Errors
    /// When the HTTP client can't be built.
    pub(crate) fn new(finder: Finder, target: Target, inputs: Sender<Input>) -> Result<Self, Failure> {
        Ok(Self {
            finder,
            inputs,
            rest: RwLock::new(Arc::new(Rest::new(target)?)),
            retry_now: Notify::new(),
        })
    }

    /// Follows the stream and carries out requests until the dashboard is closed.
    pub(crate) async fn serve(self: Arc<Self>, first: Connection, requests: Receiver<Effect>) {
        tokio::join!(self.follow(first), self.carry_out(requests));
    }

    /// Follows the stream; after a permanent failure it waits for the operator to ask for a reconnect.
    async fn follow(&self, first: Connection) {
        let mut follower = Follower::new(self.finder.clone(), Vec::new()).retrying_within(MAX_RETRY_DELAY);
        let mut next = Some(first);
        loop {
            let following = follower.follow(next.take(), &self.retry_now, async |event| self.on_event(event).await);
            let Err(failure) = following.await else { return };
            let (why, advice) = failure.parts();
            // A reconnect that was requested while attempts were still being made does not count for later.
            tokio::select! {
                biased;
                () = self.retry_now.notified() => {}
                () = std::future::ready(()) => {}
            }
            self.send(Message::Stream(StreamEvent::Ended { why, next: advice }))
                .await;
            if self.inputs.is_closed() {
                return;
            }
            self.retry_now.notified().await;
        }
    }

    async fn on_event(&self, event: FollowerEvent) -> Result<(), Failure> {
        let event = match event {
            FollowerEvent::Connected {
                target, node, version, ..
            } => {
                let server = target.server.display();
                *self.rest.write().await = Arc::new(Rest::new(*target)?);
                StreamEvent::Connected { server, node, version }
            }
            FollowerEvent::Snapshot {
                now,
                users,
                resumed,
                done,
            } => StreamEvent::Snapshot {
                now,
                users,
                resumed,
                done,
            },
            FollowerEvent::Changed { now, users } => StreamEvent::Changed { now, users },
            FollowerEvent::Stale(is_stale) => StreamEvent::Stale(is_stale),
            FollowerEvent::Lost { why, retry_in } => StreamEvent::Lost { why, retry_in },
        };
        self.send(Message::Stream(event)).await;
        Ok(())
    }

    /// Runs requests concurrently, so that none waits for another or for the stream; but changes of one user are made in the
    /// order in which they were requested.
    async fn carry_out(self: &Arc<Self>, mut requests: Receiver<Effect>) {
        let mut polls: [Option<JoinHandle<()>>; Poll::COUNT] = [const { None }; Poll::COUNT];
        let mut changes: HashMap<UserId, JoinHandle<()>> = HashMap::new();
        while let Some(request) = requests.recv().await {
            if request == Effect::Reconnect {
                self.retry_now.notify_one();
                continue;
            }
            let (poll, changed) = (Poll::of(&request), changed_user(&request));
            changes.retain(|_, task| !task.is_finished());
            let previous = changed.as_ref().and_then(|user| changes.remove(user));
            let backend = Arc::clone(self);
            let task = tokio::spawn(async move {
                if let Some(previous) = previous {
                    // The previous task has sent its own response.
                    let _ = previous.await;
                }
                if let Some(response) = backend.respond(request).await {
                    backend.send(Message::Response(response)).await;
                }
            });
            match (poll, changed) {
                (Some(poll), _) => {
                    if let Some(older) = polls[poll as usize].replace(task) {
                        older.abort();
                    }
                }
                (None, Some(user)) => drop(changes.insert(user, task)),
                (None, None) => {}
            }
        }
        self.retry_now.notify_one();
    }

    async fn respond(&self, request: Effect) -> Option<Response> {
        let rest = Arc::clone(&*self.rest.read().await);
        Some(match request {
            Effect::FetchStats => return self.fetch_stats(&rest).await,
            Effect::FetchRecords(users) => match rest.query(&users).await {
                Ok(answer) => Response::Records {
                    now: answer.now,
                    records: answer.users,
                },
                // The poll for statistics reports that the daemon does not respond.
                Err(_) => Response::RecordsFailed,
            },
            Effect::FetchExplanation(user) => {
                let result = rest
                    .explain(&user)
                    .await
                    .map(Box::new)
                    .map_err(|failure| failure.to_string());
                Response::Explained { user, result }
            }
            Effect::SetStatus { user, status } => {
                done(&user, rest.set_custom_status(Some(&user), status).await, |record| {
                    format!("custom status set to {}; shown as {}", status.as_str(), record.status)
                })
            }
            Effect::Kick(user) => done(&user, rest.kick(&user).await, |ended| {
                format!("kicked: {} ended", sessions(ended.ended))
            }),
            Effect::Forget(user) => done(&user, rest.forget(&user).await, |ended| {
                format!("forgotten: {} ended", sessions(ended.ended))
            }),
            Effect::Export { what, format, now } => export::write(what, format, now).await,
            Effect::Quit | Effect::Suspend | Effect::Repaint | Effect::Reconnect | Effect::Copy(_) => return None,
        })
    }

    async fn fetch_stats(&self, rest: &Rest) -> Option<Response> {
        let start = clock::instant();
        let stats = rest.stats().await;
        if stats.is_ok() {
            self.send(Message::Response(Response::RoundTrip(start.elapsed()))).await;
        }
        Some(Response::Stats(
            stats.map(Box::new).map_err(|failure| failure.to_string()),
        ))
    }

    async fn send(&self, message: Message) {
        // Fails only after the dashboard was closed.
        let _ = self.inputs.send(Input::Message(message)).await;
    }
}

/// The user that a request changes.
fn changed_user(request: &Effect) -> Option<UserId> {
    match request {
        Effect::SetStatus { user, .. } | Effect::Kick(user) | Effect::Forget(user) => Some(user.clone()),
        _ => None,
    }
}

fn done<T>(user: &UserId, result: Result<T, Failure>, what: impl Fn(T) -> String) -> Response {
    let user = quote(user.as_str());
    match result {
        Ok(answer) => Response::Done(format!("{user}: {}", what(answer))),
        Err(failure) => Response::Failed(format!("{user}: {failure}")),
    }
}

fn sessions(count: u64) -> String {
    match count {
        1 => "1 session".to_owned(),
        count => format!("{count} sessions"),
    }
}
