//! Observers of everybody, one a node, that record what they are told of each user and when.
//!
//! A recorder whose connection ends connects to its node again and resumes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use presence::wire::record::{Record, Update};
use presence::wire::server_message::ServerMessage;
use presence::{Revision, Status};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::clock::Stopwatch;
use crate::daemon::Daemon;
use crate::lateness::Lateness;
use crate::wait::{let_time_pass, wait_until, wait_until_right};
use crate::websocket::{HandshakeHeaders, Socket};

/// How long a recorder waits before it connects again.
const RECONNECT: Duration = Duration::from_millis(100);
/// Within what time after Redis is gone a node tells its connections so.
const STALE_WITHIN: Duration = Duration::from_secs(3);

/// What was told of a user at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Since the recorders' clock began.
    pub at: Duration,
    /// Whether it came as an event, not in a snapshot.
    pub is_event: bool,
    /// None: a removal, or that a complete snapshot lacks the user, who is OFFLINE.
    pub record: Option<Record>,
    /// That of the update; of a snapshot that lacks the user the highest told before.
    pub revision: Revision,
}

impl Recorded {
    pub fn status(&self) -> Status {
        self.record.as_ref().map_or(Status::Offline, |record| record.status)
    }
}

/// A change of the status that a recorder shows of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Since the recorders' clock began.
    pub at: Duration,
    pub node: String,
    pub user: String,
    pub from: Status,
    pub to: Status,
    /// None: a removal, or that a complete snapshot lacks the user.
    pub record: Option<Record>,
}

/// What one recorder was told.
#[derive(Debug, Default)]
struct Log {
    users: BTreeMap<String, Vec<Recorded>>,
    /// The highest revision told of each user.
    revisions: BTreeMap<String, Revision>,
    /// For each snapshot whether it resumed.
    snapshots: Vec<bool>,
    /// When it was told that what it shows may be out of date, or is not.
    stale: Vec<(Duration, bool)>,
    /// What must not have been told.
    faults: Vec<String>,
}

impl Log {
    fn update(&mut self, at: Duration, is_event: bool, update: Update) {
        let user = update.user_id().as_str().to_owned();
        let revision = update.revision();
        let told = Recorded {
            at,
            is_event,
            record: match update {
                Update::Record(record) => Some(record),
                Update::Removed(_) => None,
            },
            revision,
        };
        let earlier = self.users.entry(user.clone()).or_default();
        if let Some(highest) = self.revisions.get(&user).copied() {
            // What is told while Redis can't be reached has the last revision that the log gave.
            let is_stale = told.record.as_ref().is_some_and(|record| record.stale);
            let is_repeated = (!is_event || is_stale) && revision == highest;
            if revision <= highest && !is_repeated {
                self.faults.push(format!(
                    "{user}: {revision:?} is not above {highest:?}: {told:?} after {:?}",
                    earlier.last()
                ));
            }
            let had = earlier.last().map(Recorded::status);
            // With other contents, which are the newer ones.
            let was_stale = earlier
                .last()
                .and_then(|told| told.record.as_ref())
                .is_some_and(|record| record.stale);
            if is_repeated && !is_stale && !was_stale && had != Some(told.status()) {
                self.faults
                    .push(format!("another status at the same revision than {had:?}: {told:?}"));
            }
        }
        earlier.push(told);
        let highest = self.revisions.entry(user).or_insert(revision);
        *highest = revision.max(*highest);
    }

    /// All that a complete snapshot lists.
    fn complete(&mut self, at: Duration, listed: &[Update]) {
        let lacks = |user: &str| !listed.iter().any(|update| update.user_id().as_str() == user);
        for (user, told) in &mut self.users {
            if told.last().is_some_and(|last| last.status() != Status::Offline) && lacks(user) {
                let revision = self.revisions.get(user).copied().unwrap_or_default();
                told.push(Recorded {
                    at,
                    is_event: false,
                    record: None,
                    revision,
                });
            }
        }
    }
}

/// The recorder of one node, until this is dropped.
#[derive(Debug)]
struct Recorder {
    node: String,
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Since when it was told that what it shows may be out of date, or is not.
    fn told_of_staleness(&self, since: Duration) -> Vec<(Duration, bool)> {
        let told = &self.log.lock().unwrap().stale;
        told.iter().filter(|(at, _)| *at >= since).copied().collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Recorders of some nodes, with one clock.
#[derive(Debug, Clone)]
pub struct Recorders {
    clock: Stopwatch,
    lateness: Arc<Lateness>,
    each: Vec<Arc<Recorder>>,
}

impl Recorders {
    /// Starts one at each of these nodes, which listen on fixed ports, and waits for their first snapshots.
    pub async fn start(clock: Stopwatch, nodes: &[(&str, &Daemon)]) -> Self {
        let mut all = Self {
            clock,
            lateness: Arc::new(Lateness::start(clock)),
            each: Vec::new(),
        };
        for (name, node) in nodes {
            all.add(name, node).await;
        }
        all
    }

    /// Starts one more, at this node.
    pub async fn add(&mut self, name: &str, node: &Daemon) {
        let log = Arc::<Mutex<Log>>::default();
        let headers = HandshakeHeaders::observer(&node.secret());
        let (address, clock, written) = (node.address(), self.clock, Arc::clone(&log));
        let task = tokio::spawn(async move {
            let mut cursor = None;
            loop {
                if let Ok(socket) = Socket::connect(address, headers.clone()).await {
                    record(socket, &mut cursor, clock, &written).await;
                }
                let_time_pass(RECONNECT).await;
            }
        });
        let (node, first) = (name.to_owned(), Arc::clone(&log));
        self.each.push(Arc::new(Recorder { node, log, task }));
        wait_until("the first snapshot", async || {
            (!first.lock().unwrap().snapshots.is_empty()).then_some(())
        })
        .await;
    }

    /// Those of these nodes alone.
    pub fn of(&self, nodes: &[&str]) -> Self {
        let is_named = |recorder: &&Arc<Recorder>| nodes.contains(&recorder.node.as_str());
        Self {
            clock: self.clock,
            lateness: Arc::clone(&self.lateness),
            each: self.each.iter().filter(is_named).cloned().collect(),
        }
    }

    /// The clock by which they record.
    pub fn clock(&self) -> Stopwatch {
        self.clock
    }

    /// The time since their clock began.
    pub fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// How much of the time between these two the machine was busy with other things than this process.
    pub fn late_between(&self, from: Duration, to: Duration) -> Duration {
        self.lateness.between(from, to)
    }

    /// Every change of status of the user that any of them showed after this time.
    pub fn changes(&self, user: &str, after: Duration) -> Vec<Change> {
        let mut changes = Vec::new();
        for recorder in &self.each {
            let log = recorder.log.lock().unwrap();
            let mut shown = Status::Offline;
            for told in log.users.get(user).into_iter().flatten() {
                let from = std::mem::replace(&mut shown, told.status());
                if from != shown && told.at >= after {
                    changes.push(Change {
                        at: told.at,
                        node: recorder.node.clone(),
                        user: user.to_owned(),
                        from,
                        to: shown,
                        record: told.record.clone(),
                    });
                }
            }
        }
        changes
    }

    /// No change of status of any of these users was shown after this time.
    pub fn no_change<U: AsRef<str>>(&self, users: &[U], after: Duration) {
        let changes: Vec<_> = users
            .iter()
            .flat_map(|user| self.changes(user.as_ref(), after))
            .collect();
        assert!(changes.is_empty(), "{} changes: {changes:#?}", changes.len());
    }

    /// The status that each shows of the user.
    pub fn shown(&self, user: &str) -> Vec<Status> {
        let shown = |recorder: &Arc<Recorder>| {
            let log = recorder.log.lock().unwrap();
            let told = log.users.get(user).and_then(|told| told.last());
            told.map_or(Status::Offline, Recorded::status)
        };
        self.each.iter().map(shown).collect()
    }

    /// Waits until each shows this status of all these users.
    pub async fn all_show<U: AsRef<str>>(&self, users: &[U], status: Status, deadline: Duration) {
        let what = format!("{} users are shown as {status}", users.len());
        wait_until_right(&what, deadline, async || {
            let shown = users.iter().map(|user| (user.as_ref(), self.shown(user.as_ref())));
            let mut others = shown.filter(|(_, shown)| shown.iter().any(|shown| *shown != status));
            let first = others.next()?;
            Some(format!("{first:?}, and {} others", others.count()))
        })
        .await;
    }

    /// For each recorder how many snapshots it was given after the first, and how many of these did not resume.
    pub fn resumptions(&self) -> Vec<(usize, usize)> {
        let count = |recorder: &Arc<Recorder>| {
            let log = recorder.log.lock().unwrap();
            let later = log.snapshots.get(1..).unwrap_or_default();
            (later.len(), later.iter().filter(|resumed| !**resumed).count())
        };
        self.each.iter().map(count).collect()
    }

    /// Each was told once, within 3 s after `since`, that what it shows may be out of date, and not before `until` that it is not.
    /// (A node that the machine gives no time may say so again after that.)
    pub async fn were_stale_once(&self, since: Duration, until: Duration) {
        self.are_current(since).await;
        for recorder in &self.each {
            let told = recorder.told_of_staleness(since);
            let is_in_time = |lost: Duration| lost <= since + STALE_WITHIN + self.late_between(since, lost);
            let is_right = matches!(told[..], [(lost, true), (back, false), ..] if is_in_time(lost) && back >= until);
            assert!(is_right, "{} from {since:?} until {until:?}: {told:?}", recorder.node);
        }
    }

    /// As often as one was told after `since` that what it shows may be out of date, it is told then that it is not.
    pub async fn are_current(&self, since: Duration) {
        for recorder in &self.each {
            let what = format!("{} has told in pairs what it told since {since:?}", recorder.node);
            wait_until(&what, async || {
                let told = recorder.told_of_staleness(since);
                let are_pairs = told.chunks(2).all(|pair| matches!(pair, [(_, true), (_, false)]));
                are_pairs.then_some(())
            })
            .await;
        }
    }

    /// What each was told after `since` was not older than these records, unless it had been told that it may be out of date.
    pub fn told_nothing_older(&self, known: &[Record], since: Duration) {
        for recorder in &self.each {
            let log = recorder.log.lock().unwrap();
            let is_flagged = |at: Duration| {
                let told = log.stale.iter().rfind(|(told, _)| *told <= at);
                told.is_some_and(|(_, stale)| *stale)
            };
            for known in known {
                let told = log.users.get(known.user_id.as_str()).into_iter().flatten();
                let is_old = |told: &&Recorded| told.revision < known.revision && !is_flagged(told.at);
                let old: Vec<_> = told.filter(|told| told.at >= since).filter(is_old).collect();
                assert!(old.is_empty(), "{} after {known:?}: {old:?}", recorder.node);
            }
        }
    }

    /// The revisions of each user grew, on each connection and over resumptions.
    pub fn revisions_grew(&self) {
        for recorder in &self.each {
            assert!(
                !recorder.task.is_finished(),
                "the recorder of {} has failed",
                recorder.node
            );
            let faults = &recorder.log.lock().unwrap().faults;
            assert!(faults.is_empty(), "at {}: {faults:#?}", recorder.node);
        }
    }
}

/// Records one connection, to its end.
async fn record(mut socket: Socket, cursor: &mut Option<String>, clock: Stopwatch, log: &Mutex<Log>) {
    let mut request = json!({"type": "watchAll", "id": 1});
    if let Some(cursor) = &cursor {
        request["since"] = json!(cursor);
    }
    socket.send(&request);
    {
        // A node that is not behind says nothing of it to a new connection.
        let mut log = log.lock().unwrap();
        if log.stale.last().is_some_and(|(_, stale)| *stale) {
            log.stale.push((clock.elapsed(), false));
        }
    }
    let mut listed = Vec::new();
    while let Ok(message) = socket.next_without_deadline().await {
        let at = clock.elapsed();
        let mut log = log.lock().unwrap();
        match message {
            ServerMessage::Snapshot {
                cursor: reached,
                users,
                resumed,
                done,
                ..
            } => {
                listed.extend(users);
                if done {
                    if !resumed {
                        log.complete(at, &listed);
                    }
                    for update in listed.drain(..) {
                        log.update(at, false, update);
                    }
                    log.snapshots.push(resumed);
                    *cursor = Some(reached);
                }
            }
            ServerMessage::Presence {
                cursor: reached, users, ..
            } => {
                for update in users {
                    log.update(at, true, update);
                }
                *cursor = Some(reached);
            }
            ServerMessage::Stale { stale } => log.stale.push((at, stale)),
            _ => {}
        }
    }
}
