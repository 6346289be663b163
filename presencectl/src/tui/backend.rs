//! The way to the daemon: the stream, and the questions and orders of the dashboard over REST. Everything that comes is parsed here,
//! beside the thread that draws; the way to that one is bounded, so a slow terminal makes the daemon conflate and not us grow.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use presence::UserId;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::sync::{Notify, RwLock};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::effect::Effect;
use super::event_loop::{Input, no_response};
use super::export;
use super::message::{Message, Response, StreamEvent};
use crate::client::discover::{Finder, Target};
use crate::client::follow::{Attached, Event, Follower, Impatience};
use crate::client::rest::Rest;
use crate::clock;
use crate::failure::Failure;
use crate::output::escape::quote;

/// After a restart of the daemon all is to be right within two seconds: one to come back in, the other for the whole picture. A daemon that
/// hangs, or a network that is dead, is noticed within eight.
const IMPATIENCE: Impatience = Impatience {
    retry_within: Duration::from_secs(1),
    ask_after: Duration::from_secs(3),
    answer_within: Duration::from_secs(5),
};
/// A question is given up after this: what it asks for would be of the past. Orders are not, for they may have been carried out.
const QUESTION_PATIENCE: Duration = Duration::from_secs(5);

/// What is asked again and again. Of each only the newest is of interest: an older one may hang on a daemon that is gone.
#[derive(Debug, Clone, Copy)]
enum Question {
    Stats,
    Records,
    Explain,
}

impl Question {
    const COUNT: usize = 3;

    const fn of(order: &Effect) -> Option<Self> {
        match order {
            Effect::AskStats => Some(Self::Stats),
            Effect::AskRecords(_) => Some(Self::Records),
            Effect::AskExplain(_) => Some(Self::Explain),
            _ => None,
        }
    }
}

/// One end of the way, on the side of the daemon.
pub(crate) struct Backend {
    finder: Finder,
    inputs: Sender<Input>,
    /// Which daemon is asked: a restarted one may have moved.
    rest: RwLock<Arc<Rest>>,
    retry_now: Notify,
}

impl Backend {
    /// To a daemon that was found.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub(crate) fn new(finder: Finder, target: Target, inputs: Sender<Input>) -> Result<Self, Failure> {
        Ok(Self {
            finder,
            inputs,
            rest: RwLock::new(Arc::new(Rest::new(target)?)),
            retry_now: Notify::new(),
        })
    }

    /// Follows the stream and carries out what is asked for, until the dashboard is gone.
    pub(crate) async fn serve(self: Arc<Self>, first: Attached, orders: Receiver<Effect>) {
        tokio::join!(self.follow(first), self.carry_out(orders));
    }

    /// Follows until it makes no sense any more; then only the operator's word starts it anew.
    async fn follow(&self, first: Attached) {
        let mut follower = Follower::new(self.finder.clone(), Vec::new()).impatient(IMPATIENCE);
        let mut next = Some(first);
        loop {
            let following = follower.follow(next.take(), &self.retry_now, async |event| self.on_event(event).await);
            let Err(failure) = following.await else { return };
            let (why, advice) = failure.parts();
            // What was asked for while it was being tried anyway is no word for later.
            tokio::select! {
                biased;
                () = self.retry_now.notified() => {}
                () = std::future::ready(()) => {}
            }
            self.tell(Message::Stream(StreamEvent::Ended { why, next: advice }))
                .await;
            if self.inputs.is_closed() {
                return;
            }
            self.retry_now.notified().await;
        }
    }

    async fn on_event(&self, event: Event) -> Result<(), Failure> {
        let event = match event {
            Event::Attached {
                target, node, version, ..
            } => {
                let server = target.server.shown();
                *self.rest.write().await = Arc::new(Rest::new(*target)?);
                StreamEvent::Connected { server, node, version }
            }
            Event::Snapshot {
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
            Event::Changed { now, users } => StreamEvent::Changed { now, users },
            Event::Lost { why, retry_in } => StreamEvent::Lost { why, retry_in },
        };
        self.tell(Message::Stream(event)).await;
        Ok(())
    }

    /// Each order beside the others, so that none waits for another or for the stream; but what is to change one user is done in the order
    /// in which it was asked for.
    async fn carry_out(self: &Arc<Self>, mut orders: Receiver<Effect>) {
        let mut asked: [Option<JoinHandle<()>>; Question::COUNT] = [const { None }; Question::COUNT];
        let mut under_way: HashMap<UserId, JoinHandle<()>> = HashMap::new();
        while let Some(order) = orders.recv().await {
            if order == Effect::Reconnect {
                self.retry_now.notify_one();
                continue;
            }
            let (question, changed) = (Question::of(&order), changed_by(&order));
            under_way.retain(|_, task| !task.is_finished());
            let before = changed.as_ref().and_then(|user| under_way.remove(user));
            let backend = Arc::clone(self);
            let task = tokio::spawn(async move {
                if let Some(before) = before {
                    // Whether it was done is told by itself.
                    let _ = before.await;
                }
                let response = match question {
                    Some(_) => backend.respond_within(order, QUESTION_PATIENCE).await,
                    None => backend.respond(order).await,
                };
                if let Some(response) = response {
                    backend.tell(Message::Response(response)).await;
                }
            });
            match (question, changed) {
                (Some(question), _) => {
                    if let Some(older) = asked[question as usize].replace(task) {
                        older.abort();
                    }
                }
                (None, Some(user)) => drop(under_way.insert(user, task)),
                (None, None) => {}
            }
        }
        self.retry_now.notify_one();
    }

    async fn respond_within(&self, order: Effect, patience: Duration) -> Option<Response> {
        match timeout(patience, self.respond(order.clone())).await {
            Ok(response) => response,
            Err(_) => {
                let why = format!("the daemon has not answered for {} s", patience.as_secs());
                Some(no_response(order, why))
            }
        }
    }

    async fn respond(&self, order: Effect) -> Option<Response> {
        let rest = Arc::clone(&*self.rest.read().await);
        Some(match order {
            Effect::AskStats => return self.ask_stats(&rest).await,
            Effect::AskRecords(users) => match rest.query(&users).await {
                Ok(answer) => Response::Fresh {
                    now: answer.now,
                    records: answer.users,
                },
                // That the daemon does not answer is told by the question for its numbers.
                Err(_) => Response::NotFresh,
            },
            Effect::AskExplain(user) => {
                let result = rest
                    .explain(&user)
                    .await
                    .map(Box::new)
                    .map_err(|failure| failure.to_string());
                Response::Explained { user, result }
            }
            Effect::SetStatus { user, status } => {
                done(&user, rest.set_custom_status(Some(&user), status).await, |record| {
                    format!("custom status is now {}; others see {}", status.as_str(), record.status)
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

    async fn ask_stats(&self, rest: &Rest) -> Option<Response> {
        let asked = clock::instant();
        let stats = rest.stats().await;
        if stats.is_ok() {
            self.tell(Message::Response(Response::RoundTrip(asked.elapsed()))).await;
        }
        Some(Response::Stats(
            stats.map(Box::new).map_err(|failure| failure.to_string()),
        ))
    }

    async fn tell(&self, message: Message) {
        // Nobody listens any more once the dashboard is closed.
        let _ = self.inputs.send(Input::Message(message)).await;
    }
}

/// The user that an order is to change.
fn changed_by(order: &Effect) -> Option<UserId> {
    match order {
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
