//! What follows from a change of one user, as one pipeline under the user's lock: deadlines that passed, the offer to the
//! cluster, the presence index, the publication, the write-behind, the next deadline.

use presence::{Mono, Now, Published};

use super::Engine;
use super::deadlines::DeadlineOf;
use super::publisher::Publishing;
use super::users::LockedEntry;

impl Engine {
    /// Lets everything follow after something happened to a user: alone the rule is applied here and now; among others the log
    /// is told, and it takes effect when it comes back. What was published, if anything.
    pub(super) fn recompute(&self, entry: &mut LockedEntry<'_>, now: Now) -> Option<Published> {
        entry.overtake_loads();
        self.expire(entry, now);
        let published = match self.cluster.shared() {
            None => self.take_effect(entry, now),
            Some(shared) => {
                self.offer(shared, entry, now);
                None
            }
        };
        self.arm(entry, now);
        published
    }

    /// What happened to a user on a node that is alone takes effect.
    fn take_effect(&self, entry: &mut LockedEntry<'_>, now: Now) -> Option<Published> {
        let publishing = self.publisher.begin(entry);
        let published = self.cluster.offer(now.wall, |revisions| {
            entry.state.apply_rule(now.wall);
            let is_pending = entry.state.profile().is_publication_pending();
            let may_leave = self.may_leave(entry, now, is_pending);
            may_leave.then(|| entry.state.publish(revisions)).flatten()
        });
        self.deliver(publishing, entry, now, published);
        let has_changed = published.is_some() || entry.publication.held_until().is_some();
        self.persistence.note_change(entry, has_changed);
        published
    }

    /// The record is as it is told from here on, and watchers are told, if they are to be.
    pub(super) fn deliver(
        &self,
        publishing: Publishing<'_>,
        entry: &mut LockedEntry<'_>,
        now: Now,
        published: Option<Published>,
    ) {
        self.index.update(entry);
        if let Some(published) = published {
            self.metrics.transition(published.from, published.to, published.reason);
            self.publisher.publish(&publishing, entry, now, published.audience);
        }
        drop(publishing);
    }

    /// Arms the wheel for what is due of the user next: among others the log ends what all nodes have.
    pub(super) fn arm(&self, entry: &mut LockedEntry<'_>, now: Now) {
        let deadline = match self.cluster.shared() {
            None => entry.state.next_deadline(),
            Some(_) => entry.state.next_shared_deadline(),
        };
        self.deadlines.arm_user(entry, deadline, now.mono);
    }

    /// Whether a change of the user, if there is one, may leave now. If the user published too much of late, the wheel brings
    /// it back when the limit allows: what changes until then leaves as one change, and the last state is told.
    pub(super) fn may_leave(&self, entry: &mut LockedEntry<'_>, now: Now, is_changed: bool) -> bool {
        let held_until = match is_changed {
            true => self.limits.take_published_change(entry.user(), now.mono).err(),
            false => None,
        };
        entry.publication.hold(held_until);
        held_until.is_none()
    }

    /// Publishes what the limit holds back. A run must not end before: nobody would learn of it after a clean restart.
    pub(super) fn publish_held(&self) {
        self.limits.lift();
        for at in self.users.held() {
            if let Some(mut entry) = self.users.get(at) {
                let now = self.now_of(&entry);
                self.recompute(&mut entry, now);
            }
        }
    }

    /// The present of a user.
    pub(super) fn now_of(&self, entry: &LockedEntry<'_>) -> Now {
        entry.state.now(self.clock.read())
    }

    /// Deadlines up to now take effect; reports that ended are taken off the disk.
    pub(super) fn expire(&self, entry: &mut LockedEntry<'_>, now: Now) {
        if self.cluster.shared().is_some() {
            // Reports end by the log.
            return entry.state.expire_sessions(now);
        }
        let expired = entry.state.expire(now);
        self.persistence.expire_reports(entry, expired);
    }

    /// Turns the wheel once: everything due by now takes effect.
    pub(super) fn turn_wheel(&self) {
        for (at, whose) in self.deadlines.take_due(self.clock.mono()) {
            match whose {
                DeadlineOf::User(user) => {
                    if let Some(entry) = self.users.get(user) {
                        self.on_user_deadline(entry, at);
                    }
                }
                DeadlineOf::Connection(conn) => {
                    if let Some(conn) = conn.upgrade() {
                        conn.on_wheel(at, self.clock.read());
                    }
                }
            }
        }
    }

    fn on_user_deadline(&self, mut entry: LockedEntry<'_>, at: Mono) {
        // While draining no client can reconnect in time: every grace period lasts until after the restart.
        if !self.is_ending() && self.deadlines.take_user(&mut entry, at) {
            let now = self.now_of(&entry);
            self.recompute(&mut entry, now);
        }
    }
}
