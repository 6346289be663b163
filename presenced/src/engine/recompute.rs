//! What follows from a change of one user, as one pipeline under the user's lock: deadlines that passed, the offer to the
//! cluster, the presence index, the publication, the write-behind, the next deadline.

use presence::{Mono, Now, Published};

use super::Engine;
use super::deadlines::DeadlineOf;
use super::users::LockedEntry;

impl Engine {
    /// Applies the rule to a user after something happened to it, and lets everything follow. What was published, if
    /// anything.
    pub(super) fn recompute(&self, entry: &mut LockedEntry<'_>, now: Now) -> Option<Published> {
        entry.overtake_loads();
        self.expire(entry, now);
        let published = self
            .cluster
            .offer(now.wall, |revisions| entry.state.recompute(now.wall, revisions));
        self.index.update(entry);
        if let Some(published) = published {
            self.metrics.transition(published.from, published.to, published.reason);
            self.publisher.publish(entry, now, published.audience);
        }
        self.persistence.note_change(entry, published.is_some());
        self.deadlines.arm_user(entry, now.mono);
        published
    }

    /// The present of a user.
    pub(super) fn now_of(&self, entry: &LockedEntry<'_>) -> Now {
        entry.state.now(self.clock.read())
    }

    /// Deadlines up to now take effect; reports that ended are taken off the disk.
    pub(super) fn expire(&self, entry: &mut LockedEntry<'_>, now: Now) {
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
        if !self.is_draining() && self.deadlines.take_user(&mut entry, at) {
            let now = self.now_of(&entry);
            self.recompute(&mut entry, now);
        }
    }
}
