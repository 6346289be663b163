//! Delivery: one thread that turns what connections must be told into frames and writes them to sockets that are free. A
//! record is encoded once per batch and kind of viewer, however many watch it; changes that met in an outbox leave in
//! one frame. What a socket does not take, the connection's own task writes later.

use std::cell::RefCell;
use std::ops::Bound;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use presence::wire::record::{Removed, Update, Viewer};
use presence::wire::server::frame as message;
use presence::{Cursor, Revision, UserId, Wall};

use super::Engine;
use super::entry::Entry;
use super::shard::SHARDS;
use crate::connection::Connection;
use crate::connection::frame::{self, Opcode};
use crate::connection::outbox::{Rest, Snapshot, UserRef};

/// Longest message to a client, in bytes.
const MESSAGE_MAX_BYTES: usize = 64 * 1024;
/// How many users of a shard are looked at for one step of a snapshot of everyone.
const STEP_USERS: usize = 128;

/// What stays the same while one batch of connections is served.
struct Batch {
    /// Every change up to this number had been marked before the batch began.
    complete_to: u64,
    now: Wall,
    /// Records as they were encoded in this batch.
    encoded: HashMap<(UserRef, Viewer), Rc<Encoded>>,
}

struct Encoded {
    /// While a batch is served, a slot may pass to another user.
    user: UserId,
    revision: Revision,
    json: Box<str>,
    /// The finished event that carries this alone, for those who may be given its cursor.
    event: RefCell<Option<(Cursor, Rc<[u8]>)>>,
}

impl Encoded {
    fn new(revision: Revision, update: &Update) -> Rc<Self> {
        Rc::new(Self {
            user: update.user_id().clone(),
            revision,
            // A record holds nothing that JSON can't.
            json: serde_json::to_string(update).unwrap_or_default().into(),
            event: RefCell::default(),
        })
    }
}

/// What goes out next to one connection.
enum Next {
    Frame(Vec<u8>),
    Shared(Rc<[u8]>),
    Nothing,
}

impl Engine {
    /// Delivers until the queue is closed.
    pub(super) fn run_delivery(&self) {
        while let Some((conns, since)) = self.ready.take() {
            let last = self.changes.last();
            let mut batch = Batch {
                complete_to: self.shards.complete_to(last),
                now: self.clock.wall(),
                encoded: HashMap::new(),
            };
            for conn in conns {
                self.deliver(&conn, &mut batch);
            }
            let lag = self.clock.elapsed().saturating_sub(since);
            self.metrics.delivery_seconds.observe(lag.as_secs_f64());
            self.rates.delivered(lag);
        }
    }

    /// One turn for one connection; it goes to the end of the queue if more is still to be sent.
    fn deliver(&self, conn: &Arc<Connection>, batch: &mut Batch) {
        let snapshot = {
            let mut outbox = conn.outbox().lock();
            if outbox.is_ended || outbox.is_writing || !outbox.unsent.is_empty() {
                outbox.is_queued = false;
                return;
            }
            outbox.snapshots.pop_front()
        };
        let next = match snapshot {
            Some(snapshot) => self.snapshot_frame(conn, batch, snapshot),
            None => self.event_frame(conn, batch),
        };
        match next {
            Next::Frame(frame) => conn.send(&frame),
            Next::Shared(frame) => conn.send(&frame),
            Next::Nothing => {}
        }
        let is_due = {
            let mut outbox = conn.outbox().lock();
            outbox.is_queued = false;
            outbox.trim();
            outbox.enqueue()
        };
        conn.release();
        if is_due {
            self.ready.push(Arc::clone(conn));
        }
    }

    /// A `presence` message with as many of the changed users as fit.
    fn event_frame(&self, conn: &Arc<Connection>, batch: &mut Batch) -> Next {
        let changed: Vec<UserRef> = {
            let outbox = conn.outbox().lock();
            if outbox.preparing > 0 {
                return Next::Nothing;
            }
            outbox.dirty.iter().copied().collect()
        };
        let mut records = Records::default();
        let mut is_all = true;
        for user in changed {
            if records.is_full() {
                is_all = false;
                break;
            }
            if let Some(record) = self.take_changed(conn, user, batch) {
                records.push(record);
            }
        }
        if records.list.is_empty() {
            return Next::Nothing;
        }
        let cursor = self.cursor_of(conn, batch, is_all);
        self.count_deliveries(records.list.len());
        let make = || {
            frame::encode(
                Opcode::Text,
                message::presence(cursor, batch.now, &records.texts()).as_bytes(),
            )
        };
        let [only] = records.list.as_slice() else {
            return Next::Frame(make());
        };
        let mut event = only.event.borrow_mut();
        match &*event {
            Some((claimed, frame)) if *claimed == cursor => Next::Shared(Rc::clone(frame)),
            _ => {
                let frame: Rc<[u8]> = make().into();
                *event = Some((cursor, Rc::clone(&frame)));
                Next::Shared(frame)
            }
        }
    }

    /// A `snapshot` message with as many users as fit; the rest stays first in line.
    fn snapshot_frame(&self, conn: &Arc<Connection>, batch: &mut Batch, snapshot: Snapshot) -> Next {
        let Snapshot { id, resumed, mut rest } = snapshot;
        let mut records = Records::default();
        // Who resumes has an older record, and learns by a removal that it is to be dropped.
        let moment = if resumed { Moment::Event } else { Moment::Snapshot };
        let done = match &mut rest {
            Rest::Named(users) => self.list_named(conn, batch, (users, moment), &mut records),
            Rest::Everyone { shard, after } => self.list_everyone(conn, batch, (shard, after), &mut records),
            Rest::Changed { users, removed } => {
                while !records.is_full()
                    && let Some((user_id, revision)) = removed.pop()
                {
                    records.push(removal(user_id, revision));
                }
                removed.is_empty() && self.list_named(conn, batch, (users, moment), &mut records)
            }
        };
        self.count_deliveries(records.list.len());
        let cursor = {
            let mut outbox = conn.outbox().lock();
            let is_complete = done && outbox.snapshots.is_empty() && outbox.preparing == 0 && outbox.dirty.is_empty();
            if is_complete {
                outbox.complete_to = outbox.complete_to.max(batch.complete_to);
            }
            // Before the last frame there is no point to resume from.
            self.changes.cursor(if done { outbox.complete_to } else { 0 })
        };
        let header = message::SnapshotHeader {
            id: id.as_ref(),
            cursor,
            now: batch.now,
            resumed,
            done,
        };
        let text = message::snapshot(&header, &records.texts());
        if !done {
            self.put_back(conn, Snapshot { id, resumed, rest });
        }
        Next::Frame(frame::encode(Opcode::Text, text.as_bytes()))
    }

    fn put_back(&self, conn: &Arc<Connection>, snapshot: Snapshot) {
        let mut outbox = conn.outbox().lock();
        if !outbox.is_ended {
            outbox.snapshots.push_front(snapshot);
            return;
        }
        drop(outbox);
        if let Rest::Named(users) | Rest::Changed { users, .. } = snapshot.rest {
            users.into_iter().for_each(|user| self.unpin(user));
        }
    }

    /// Lists pinned users, last first. Whether all are listed.
    fn list_named(
        &self,
        conn: &Arc<Connection>,
        batch: &mut Batch,
        (users, moment): (&mut Vec<UserRef>, Moment),
        records: &mut Records,
    ) -> bool {
        while !records.is_full()
            && let Some(user) = users.pop()
        {
            let mut shard = self.shards.of_ref(user);
            if let Some(entry) = shard.entry(user)
                && entry.is_told(conn)
            {
                self.unmark(conn, user, entry);
                records.push(self.encoded(batch, (user, entry), conn, moment));
            }
            self.unpin_in(&mut shard, user);
        }
        users.is_empty()
    }

    /// Lists present users from where the last step ended. Whether all are listed.
    fn list_everyone(
        &self,
        conn: &Arc<Connection>,
        batch: &mut Batch,
        (index, after): (&mut usize, &mut Option<UserId>),
        records: &mut Records,
    ) -> bool {
        while *index < SHARDS && !records.is_full() {
            let mut shard = self.shards.lock(*index);
            let from = after
                .as_ref()
                .map_or(Bound::Unbounded, |user| Bound::Excluded(user.as_str()));
            let users = shard.present_after(None, from, STEP_USERS);
            let is_last = users.len() < STEP_USERS;
            let mut listed = 0;
            for id in &users {
                if records.is_full() {
                    break;
                }
                if let Some(user) = shard.find(id)
                    && let Some(entry) = shard.entry(user)
                {
                    self.unmark(conn, user, entry);
                    records.push(self.encoded(batch, (user, entry), conn, Moment::Snapshot));
                }
                *after = Some(id.clone());
                listed += 1;
            }
            if is_last && listed == users.len() {
                *index += 1;
                *after = None;
            }
        }
        *index >= SHARDS
    }

    /// Takes one changed user out of the outbox and encodes it, in one step with its changes.
    fn take_changed(&self, conn: &Arc<Connection>, user: UserRef, batch: &mut Batch) -> Option<Rc<Encoded>> {
        let mut shard = self.shards.of_ref(user);
        let mut taken = None;
        if let Some(entry) = shard.entry(user)
            && self.unmark(conn, user, entry)
            && entry.is_told(conn)
        {
            taken = Some(self.encoded(batch, (user, entry), conn, Moment::Event));
        }
        shard.evict_idle(user);
        taken
    }

    /// The user is about to be told: it counts as changed no more. Whether it did.
    fn unmark(&self, conn: &Arc<Connection>, user: UserRef, entry: &mut Entry) -> bool {
        let was_marked = conn.outbox().lock().dirty.remove(&user);
        if was_marked {
            entry.pins = entry.pins.saturating_sub(1);
        }
        was_marked
    }

    fn encoded(
        &self,
        batch: &mut Batch,
        (user, entry): (UserRef, &Entry),
        conn: &Connection,
        moment: Moment,
    ) -> Rc<Encoded> {
        if let Some(revision) = entry.forgotten
            && moment == Moment::Event
        {
            return removal(entry.user.clone(), revision);
        }
        let viewer = conn.viewer_of(&entry.user);
        let revision = entry.profile.revision();
        let known = batch.encoded.get(&(user, viewer));
        if let Some(known) = known.filter(|known| known.user == entry.user && known.revision == revision) {
            return Rc::clone(known);
        }
        let encoded = Encoded::new(revision, &Update::Record(self.record_of(entry, viewer)));
        batch.encoded.insert((user, viewer), Rc::clone(&encoded));
        encoded
    }

    fn cursor_of(&self, conn: &Arc<Connection>, batch: &Batch, is_all: bool) -> Cursor {
        let mut outbox = conn.outbox().lock();
        if is_all && outbox.snapshots.is_empty() && outbox.preparing == 0 {
            outbox.complete_to = outbox.complete_to.max(batch.complete_to);
        }
        self.changes.cursor(outbox.complete_to)
    }

    fn count_deliveries(&self, count: usize) {
        self.rates.deliveries.fetch_add(count as u64, Ordering::Relaxed);
        self.metrics.deliveries.inc_by(count as u64);
    }
}

/// In a snapshot from the start a forgotten user is one never seen; to whoever knew it, it is a removal.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Moment {
    Snapshot,
    Event,
}

/// Encoded records of one message, up to what it holds.
#[derive(Default)]
struct Records {
    list: Vec<Rc<Encoded>>,
    bytes: usize,
}

impl Records {
    fn push(&mut self, record: Rc<Encoded>) {
        self.bytes += record.json.len() + 1;
        self.list.push(record);
    }

    fn texts(&self) -> Vec<&str> {
        self.list.iter().map(|record| &*record.json).collect()
    }

    /// Whether the longest record there can be might not fit any more.
    fn is_full(&self) -> bool {
        const RECORD_MAX_BYTES: usize = 2048;
        self.bytes + RECORD_MAX_BYTES + message::AROUND_MAX_BYTES > MESSAGE_MAX_BYTES
    }
}

fn removal(user_id: UserId, revision: Revision) -> Rc<Encoded> {
    let removed = Removed {
        user_id,
        revision,
        removed: true,
    };
    Encoded::new(revision, &Update::Removed(removed))
}
