//! Reads users over REST again and again, and records what is answered, when, and how long it took.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use presence::Status;
use presence::wire::record::Record;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::clock::Stopwatch;
use crate::daemon::Daemon;
use crate::rest::{Answer, Rest, percent, send_without_deadline};
use crate::wait::{Ticker, timed};

/// Ids of one query: few, so that reading takes no time from what is tested.
const QUERY_IDS: usize = 100;

/// A request without an answer for so long is one that is not answered.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// A request, answered or not.
#[derive(Debug, Clone)]
struct Poll {
    /// When it was sent, since the clock began.
    at: Duration,
    /// None as long as there is none.
    answer: Option<PollAnswer>,
}

/// An answer, or that there is none to come.
#[derive(Debug, Clone)]
struct PollAnswer {
    /// As [`timed`] measures it.
    took: Duration,
    /// The status of HTTP, or why there was no answer.
    code: Result<u16, String>,
}

/// What was answered of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// When the request was sent, since the clock began.
    pub at: Duration,
    pub status: Status,
    pub is_stale: bool,
}

#[derive(Debug, Default)]
struct Polls {
    all: Vec<Poll>,
    users: BTreeMap<String, Vec<Shown>>,
}

/// The poller of one node, until this is dropped.
#[derive(Debug)]
pub struct Poller {
    node: String,
    clock: Stopwatch,
    polls: Arc<Mutex<Polls>>,
    task: JoinHandle<()>,
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Poller {
    /// Reads one of these users in each period, and some of them together: each in turn.
    pub fn start(clock: Stopwatch, name: &str, node: &Daemon, users: &[String], period: Duration) -> Self {
        let polls = Arc::<Mutex<Polls>>::default();
        let (rest, users, written) = (node.rest(), users.to_vec(), Arc::clone(&polls));
        let task = tokio::spawn(async move {
            let mut ticker = Ticker::every(period);
            let together = users.chunks(QUERY_IDS).cycle();
            for (user, some) in users.iter().cycle().zip(together) {
                ticker.next().await;
                poll_one(&rest, user, clock, &written).await;
                poll_some(&rest, some, clock, &written).await;
            }
        });
        let node = name.to_owned();
        Self {
            node,
            clock,
            polls,
            task,
        }
    }

    /// What was answered of the user to requests sent in this time.
    pub fn shown(&self, user: &str, from: Duration, to: Duration) -> Vec<Shown> {
        let polls = self.polls.lock().unwrap();
        let shown = polls.users.get(user).into_iter().flatten();
        shown.filter(|shown| (from..to).contains(&shown.at)).cloned().collect()
    }

    /// None of these users was shown so in an answer to a request sent in this time, in which there were some.
    pub fn never<U: AsRef<str>>(&self, users: &[U], status: Status, from: Duration, to: Duration) {
        self.answers();
        for user in users {
            let shown = self.shown(user.as_ref(), from, to);
            assert!(
                !shown.is_empty(),
                "{} was not read at {} from {from:?} to {to:?}",
                user.as_ref(),
                self.node
            );
            let wrong: Vec<_> = shown.iter().filter(|shown| shown.status == status).collect();
            assert!(wrong.is_empty(), "{} at {}: {wrong:?}", user.as_ref(), self.node);
        }
    }

    /// How long the answers to requests sent in this time took, in order. Of one that is not answered yet, how long it has taken.
    pub fn latencies(&self, from: Duration, to: Duration) -> Vec<Duration> {
        self.answers();
        let polls = self.polls.lock().unwrap();
        let sent = polls.all.iter().filter(|poll| (from..to).contains(&poll.at));
        let took = |poll: &Poll| match &poll.answer {
            Some(answer) => answer.took,
            None => self.clock.elapsed() - poll.at,
        };
        let mut latencies: Vec<_> = sent.map(took).collect();
        latencies.sort();
        latencies
    }

    /// The poller reads, and the node has not kept it waiting since some request.
    fn answers(&self) {
        assert!(!self.task.is_finished(), "the poller of {} has failed", self.node);
        let polls = self.polls.lock().unwrap();
        let open = polls.all.iter().find(|poll| poll.answer.is_none());
        let waited = open.map(|poll| self.clock.elapsed() - poll.at).unwrap_or_default();
        assert!(waited < ANSWERED_WITHIN, "{}: no answer for {waited:?}", self.node);
    }

    /// Every request was answered by 200, but for those sent in these times.
    pub fn was_answered_but_for(&self, but_for: &[std::ops::Range<Duration>]) {
        self.answers();
        let polls = self.polls.lock().unwrap();
        let is_excepted = |poll: &&Poll| !but_for.iter().any(|range| range.contains(&poll.at));
        let has_failed = |poll: &&Poll| poll.answer.as_ref().is_some_and(|answer| answer.code != Ok(200));
        let failed: Vec<_> = polls.all.iter().filter(has_failed).filter(is_excepted).collect();
        assert!(failed.is_empty(), "{}: {failed:?}", self.node);
    }
}

async fn poll_one(rest: &Rest, user: &str, clock: Stopwatch, polls: &Mutex<Polls>) {
    let request = rest.internal(Method::GET, &format!("/api/presence/{}", percent(user)));
    let (at, answer) = poll(request, clock, polls).await;
    if let Some(answer) = answer {
        record(at, answer.ok(), polls);
    }
}

async fn poll_some(rest: &Rest, users: &[String], clock: Stopwatch, polls: &Mutex<Polls>) {
    let request = rest.internal(Method::POST, "/api/presence/query");
    let (at, answer) = poll(request.json(&json!({"userIds": users})), clock, polls).await;
    let Some(mut answer) = answer else { return };
    let records: Vec<Record> = serde_json::from_value(answer.body["users"].take()).unwrap();
    for one in records {
        record(at, one, polls);
    }
}

/// Sends a request, and counts it. Its answer, if that is 200.
async fn poll(request: RequestBuilder, clock: Stopwatch, polls: &Mutex<Polls>) -> (Duration, Option<Answer>) {
    let at = clock.elapsed();
    polls.lock().unwrap().all.push(Poll { at, answer: None });
    let (answer, took) = timed(send_without_deadline(request)).await;
    let code = answer.as_ref().map(|answer| answer.status);
    let code = code.map_err(|error| format!("{error:?}"));
    // One at a time.
    polls.lock().unwrap().all.last_mut().unwrap().answer = Some(PollAnswer { took, code });
    (at, answer.ok().filter(|answer| answer.status == 200))
}

fn record(at: Duration, record: Record, polls: &Mutex<Polls>) {
    let shown = Shown {
        at,
        status: record.status,
        is_stale: record.stale,
    };
    let user = record.user_id.as_str().to_owned();
    polls.lock().unwrap().users.entry(user).or_default().push(shown);
}
