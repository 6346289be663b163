//! What follows from a change of one user, under its shard's lock: the rule, the order of the present, the marks in the
//! outboxes of everyone who is told, the deadlines, and what must be written down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use presence::wire::rest::Counts;
use presence::{Audience, Mono, Now, Published, Status};

use super::Engine;
use super::deadlines::Target;
use super::entry::Entry;
use super::shard::Shard;
use crate::connection::Connection;
use crate::connection::outbox::UserRef;
use crate::store::ExpiredReport;

/// An entry of the wheel stays until it comes up, even if its user is long gone: reports may hold for a day, and many end
/// long before that. Beyond this it is looked again.
const ARM_AHEAD_MAX: Duration = Duration::from_secs(600);

impl Engine {
    /// Applies the rule to one user after something happened to it, and lets everything follow. What was published, if
    /// anything.
    pub(super) fn recompute(&self, shard: &mut Shard, user: UserRef, now: Now) -> Option<Published> {
        let entry = shard.entry(user)?;
        entry.sessions.on_deadline(now.mono);
        self.expire_reports(entry, now);
        let published = self
            .cluster
            .contribute(now, &mut entry.profile, entry.sessions.contribution());
        if published.is_some() {
            entry.forgotten = None;
        }
        self.keep_order(shard, user);
        if let Some(published) = published {
            self.metrics.transition(&published);
            self.publish(shard, user, now, published.audience);
        }
        let entry = shard.entry(user)?;
        let is_connected = entry.sessions.is_present();
        let has_turned = std::mem::replace(&mut entry.is_connected, is_connected) != is_connected;
        if published.is_some() || has_turned {
            self.write_soon(entry, user);
        }
        self.arm_deadline(entry, user, now.mono);
        published
    }

    /// Marks everyone who is told of the user's change, and lets the delivery begin.
    pub(super) fn publish(&self, shard: &mut Shard, user: UserRef, now: Now, audience: Audience) {
        let Some(entry) = shard.entry(user) else { return };
        self.shards.begin_publishing(user, self.changes.last());
        entry.changed = self.changes.push(now.mono, &entry.user, entry.forgotten);
        let mut ready = Vec::new();
        let mut pins = 0;
        let mut mark = |conn: &Arc<Connection>| {
            let marked = conn.outbox().lock().mark_dirty(user);
            pins += u32::from(marked.is_some());
            if marked == Some(true) {
                ready.push(Arc::clone(conn));
            }
            marked.is_none()
        };
        let mut conflated = 0_u64;
        for conn in &entry.conns {
            conflated += u64::from(mark(conn));
        }
        for watcher in &entry.watchers {
            if audience == Audience::Everyone || watcher.0.user().is_none() {
                conflated += u64::from(mark(&watcher.0));
            }
        }
        for observer in self.observers.read().iter() {
            conflated += u64::from(mark(observer));
        }
        entry.pins += pins;
        self.shards.end_publishing(user);
        self.rates.changes.fetch_add(1, Ordering::Relaxed);
        self.metrics.conflated.inc_by(conflated);
        self.ready.extend(&mut ready);
    }

    /// Present users by status.
    pub(super) fn counts(&self) -> Counts {
        let [online, idle, do_not_disturb] = self
            .tallies
            .by_status
            .each_ref()
            .map(|tally| tally.load(Ordering::Relaxed));
        Counts {
            online,
            idle,
            do_not_disturb,
        }
    }

    /// Reports whose time is up end, on disk too.
    pub(super) fn expire_reports(&self, entry: &mut Entry, now: Now) {
        if entry.is_refreshing || entry.profile.next_deadline().is_none_or(|at| at > now.mono) {
            return;
        }
        let before: Vec<_> = entry
            .profile
            .reports()
            .iter()
            .map(|report| (report.source.clone(), report.version))
            .collect();
        entry.profile.on_deadline(now.mono);
        let left = entry.profile.reports();
        self.count_reports(before.len(), left.len());
        let user = &entry.user;
        let gone = before
            .into_iter()
            .filter(|(source, _)| !left.iter().any(|report| report.source == *source));
        self.behind.expire_reports(gone.map(|(source, version)| ExpiredReport {
            user: user.clone(),
            source,
            version,
        }));
    }

    /// Keeps the order of the present users and the counts in step with the entry.
    fn keep_order(&self, shard: &mut Shard, user: UserRef) {
        let Some(entry) = shard.entry(user) else { return };
        let status = entry.profile.decision().status;
        let before = std::mem::replace(&mut entry.listed, (status != Status::Offline).then_some(status));
        let now = entry.listed;
        let is_only_grace = entry.sessions.grace().is_some()
            && entry.sessions.connections().is_empty()
            && entry.profile.reports().is_empty();
        if std::mem::replace(&mut entry.is_only_grace, is_only_grace) != is_only_grace {
            step(&self.tallies.in_grace, is_only_grace);
        }
        if before != now {
            let id = entry.user.clone();
            if let Some(tally) = before.and_then(|status| self.tally_of(status)) {
                step(tally, false);
            }
            if let Some(tally) = now.and_then(|status| self.tally_of(status)) {
                step(tally, true);
            }
            shard.list(&id, before, now);
        }
    }

    fn tally_of(&self, status: Status) -> Option<&AtomicU64> {
        let index = Status::ALL.iter().position(|one| *one == status)?;
        self.tallies.by_status.get(index)
    }

    fn arm_deadline(&self, entry: &mut Entry, user: UserRef, now: Mono) {
        let reports = entry.profile.next_deadline().filter(|_| !entry.is_refreshing);
        let deadlines = [entry.sessions.next_deadline(), reports];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            return;
        };
        let next = next.min(now.after(ARM_AHEAD_MAX));
        // A later deadline needs no new entry: the earlier one comes up, settles nothing and arms it then.
        if entry.armed.is_none_or(|armed| next < armed) {
            entry.armed = Some(next);
            self.timers.arm(next, Target::User(user));
        }
    }
}

/// Counts one up or down.
pub(super) fn step(tally: &AtomicU64, is_up: bool) {
    if is_up {
        tally.fetch_add(1, Ordering::Relaxed);
    } else {
        tally.fetch_sub(1, Ordering::Relaxed);
    }
}
