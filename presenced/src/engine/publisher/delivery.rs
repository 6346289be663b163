//! Delivery: one thread that turns what outboxes hold into frames and writes them to sockets that are free. Changes that
//! met in an outbox leave in one frame. What a socket does not take, the connection's own task writes later.
//!
//! A turn takes an outbox's dirty users out in one step, reads each as it is then, and puts back what did not fit. A user
//! that changes in between is marked again, with the number of that change; the turn's end drops the mark if the record
//! that was read already had it. So revisions grow for every watcher.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use presence::wire::server_message::frame::{self as message, SnapshotHeader};
use presence::{Revision, UserId};

use super::encode::{EncodeCache, EncodedFrame, EncodedUpdate, Moment, UpdateList};
use crate::connection::frame::{self, Opcode};
use crate::connection::outbox::{DeliveryResult, DeliveryTurn, Rest, Snapshot};
use crate::connection::user_pin::{UserPin, UserRef};
use crate::connection::{Connection, FETCHED_AT_ONCE};
use crate::engine::Engine;
use crate::engine::users::{LockedEntry, SHARDS};

/// How many users of a shard are read for one step of a snapshot of everyone.
const STEP_USERS: usize = 128;

/// Serves batch after batch of connections, with what stays the same during one.
pub(in crate::engine) struct Delivery<'a> {
    engine: &'a Engine,
    /// Every change up to this revision had been marked before the batch began.
    complete_to: u64,
    cache: EncodeCache,
    /// The updates of a turn; empty between two, and kept for its memory.
    updates: UpdateList,
    /// Where the last connection stood among the watchers of the user whom it was told of.
    near: usize,
}

impl<'a> Delivery<'a> {
    pub(in crate::engine) fn new(engine: &'a Engine) -> Self {
        Self {
            engine,
            complete_to: 0,
            cache: EncodeCache::default(),
            updates: UpdateList::default(),
            near: 0,
        }
    }

    /// Serves these connections; the first has waited since then (time since the start of the process).
    pub(in crate::engine) fn serve(&mut self, connections: Vec<Arc<Connection>>, since: Duration) {
        let engine = self.engine;
        self.complete_to = engine.complete_to();
        self.cache.begin_batch();
        let mut connections = connections.into_iter();
        while let Some(group) = connections.as_slice().chunks(FETCHED_AT_ONCE).next() {
            Connection::fetch(group);
            for conn in connections.by_ref().take(FETCHED_AT_ONCE) {
                let turn = conn.outbox().lock().begin_turn();
                if let Some(turn) = turn {
                    self.take_turn(&conn, turn);
                }
            }
        }
        let lag = engine.clock.elapsed().saturating_sub(since);
        engine.metrics.delivery_seconds.observe(lag.as_secs_f64());
        engine.throughput.delivered(lag);
    }

    /// One frame for one connection; it goes to the end of the queue if more is to be sent.
    fn take_turn(&mut self, conn: &Arc<Connection>, turn: DeliveryTurn) {
        let mut result = DeliveryResult {
            complete_to: turn.complete_to,
            ..DeliveryResult::default()
        };
        let mut updates = std::mem::take(&mut self.updates);
        let frame = match (turn.stale, &turn.snapshot) {
            (Some(is_stale), _) => EncodedFrame::staleness(is_stale),
            (None, Some(_)) => self.snapshot_frame(conn, turn, &mut updates, &mut result),
            (None, None) => self.event_frame(conn, turn, &mut updates, &mut result),
        };
        self.engine.throughput.records_delivered(updates.len() as u64);
        self.engine.metrics.deliveries.inc_by(updates.len() as u64);
        let conflated = conn.finish_turn(frame.bytes(), result, updates.told());
        if conflated > 0 {
            self.engine.metrics.conflated.inc_by(conflated);
        }
        updates.clear();
        self.updates = updates;
    }

    /// A `presence` message with as many of the dirty users as fit.
    fn event_frame(
        &mut self,
        conn: &Arc<Connection>,
        mut turn: DeliveryTurn,
        updates: &mut UpdateList,
        result: &mut DeliveryResult,
    ) -> EncodedFrame {
        turn.dirty.retain(|pin| {
            let is_left = updates.is_full();
            if !is_left {
                self.tell(conn, pin, Moment::Event, updates);
            }
            is_left
        });
        if turn.dirty.is_empty() {
            result.complete_to = result.complete_to.max(self.complete_to);
        }
        result.left = turn.dirty;
        updates.event(self.engine.publisher.cursor(result.complete_to), &self.engine.clock)
    }

    /// A `snapshot` message with as many users as fit; the rest stays first in line.
    fn snapshot_frame(
        &mut self,
        conn: &Arc<Connection>,
        mut turn: DeliveryTurn,
        updates: &mut UpdateList,
        result: &mut DeliveryResult,
    ) -> EncodedFrame {
        let Some(Snapshot { id, resumed, mut rest }) = turn.snapshot.take() else {
            return EncodedFrame::Nothing;
        };
        // A client that resumes has an older record, and learns by a removal that it is to be dropped.
        let moment = if resumed { Moment::Event } else { Moment::Snapshot };
        let is_done = match &mut rest {
            Rest::Named(users) => self.list_watched(conn, users, moment, updates),
            Rest::Everyone { shard, after } => self.list_everyone(conn, shard, after, updates),
            Rest::Changed { users, removed } => {
                self.list_removed(conn, removed, updates) && self.list_changed(conn, users, moment, updates)
            }
        };
        turn.drop_told(updates.told());
        if is_done && !turn.has_more_snapshots && turn.dirty.is_empty() {
            result.complete_to = result.complete_to.max(self.complete_to);
        }
        result.left = turn.dirty;
        // Before the last frame there is no point to resume from.
        let cursor = self
            .engine
            .publisher
            .cursor(if is_done { result.complete_to } else { 0 });
        let header = SnapshotHeader {
            id: id.as_ref(),
            cursor,
            now: self.engine.clock.record_time(updates.latest_time()),
            resumed,
            done: is_done,
        };
        let text = message::snapshot(&header, &updates.texts());
        if !is_done {
            result.snapshot = Some(Snapshot { id, resumed, rest });
        }
        EncodedFrame::Own(frame::encode(Opcode::Text, text.as_bytes()))
    }

    /// Lists users that the connection still watches by name, last first. Whether all are listed. Another user may have taken
    /// the place of one that is not watched any more; it is listed only if it is watched as well.
    fn list_watched(
        &mut self,
        conn: &Arc<Connection>,
        users: &mut Vec<UserRef>,
        moment: Moment,
        updates: &mut UpdateList,
    ) -> bool {
        while !updates.is_full()
            && let Some(at) = users.pop()
        {
            let entry = self.engine.users.get(at);
            if let Some(entry) = entry.filter(|entry| entry.is_watched_by(conn)) {
                self.encode(conn, &entry, moment, updates);
            }
        }
        users.is_empty()
    }

    /// Lists users that had been removed at these revisions, last first. Whether all are listed. Those that something
    /// happened to since are listed as they are now.
    fn list_removed(
        &mut self,
        conn: &Arc<Connection>,
        removed: &mut Vec<(UserId, Revision)>,
        updates: &mut UpdateList,
    ) -> bool {
        while !updates.is_full()
            && let Some((user, revision)) = removed.pop()
        {
            match self.engine.users.find(&user) {
                Some(entry) if entry.changed_at() > revision => self.encode(conn, &entry, Moment::Event, updates),
                _ => updates.push(EncodedUpdate::removal(user, self.engine.cluster.told(revision)), None),
            }
        }
        removed.is_empty()
    }

    /// Lists pinned users, last first. Whether all are listed.
    fn list_changed(
        &mut self,
        conn: &Arc<Connection>,
        users: &mut Vec<UserPin>,
        moment: Moment,
        updates: &mut UpdateList,
    ) -> bool {
        while !updates.is_full()
            && let Some(pin) = users.pop()
        {
            self.tell(conn, &pin, moment, updates);
        }
        users.is_empty()
    }

    /// Lists present users from where the last step ended. Whether all are listed.
    fn list_everyone(
        &mut self,
        conn: &Arc<Connection>,
        shard: &mut usize,
        after: &mut Option<UserId>,
        updates: &mut UpdateList,
    ) -> bool {
        while *shard < SHARDS && !updates.is_full() {
            let from = after
                .as_ref()
                .map_or(Bound::Unbounded, |user| Bound::Excluded(user.as_str()));
            let users = self.engine.index.page(*shard, None, from, STEP_USERS);
            let is_last = users.len() < STEP_USERS;
            let mut is_all = true;
            for user in users {
                is_all = !updates.is_full();
                if !is_all {
                    break;
                }
                // A user that is not present any more since the page was read leaves by an event.
                let entry = self.engine.users.find(&user);
                if let Some(entry) = entry.filter(|entry| entry.listing.status().is_some()) {
                    self.encode(conn, &entry, Moment::Snapshot, updates);
                }
                *after = Some(user);
            }
            if is_last && is_all {
                *shard += 1;
                *after = None;
            }
        }
        *shard >= SHARDS
    }

    /// Adds the user as it is now, if its changes are delivered to the connection.
    fn tell(&mut self, conn: &Arc<Connection>, pin: &UserPin, moment: Moment, updates: &mut UpdateList) {
        let entry = self.engine.users.lock(pin);
        if entry.is_delivered_near(conn, &mut self.near) {
            self.encode(conn, &entry, moment, updates);
        }
    }

    fn encode(&mut self, conn: &Connection, entry: &LockedEntry<'_>, moment: Moment, updates: &mut UpdateList) {
        let update = self.cache.encode(&self.engine.cluster, entry, conn, moment);
        updates.push(update, Some((entry.at(), entry.changed_at().get())));
    }
}
