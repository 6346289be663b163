//! What one connection is still to be sent. Not a queue of messages: answers that wait for the socket, snapshots that are made as it
//! drains, and the *set* of watched users that changed, whose newest state is read when it is sent.
//!
//! Pure bookkeeping behind the connection's lock; it knows no socket and encodes nothing.

use std::collections::VecDeque;

use hashbrown::HashSet;
use presence::wire::client::MessageId;
use presence::{Mono, Revision, UserId};

/// Where a user's entry is: shard and slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UserRef(pub(crate) u32);

/// Answers that may wait, in bytes, before nothing more is read from the connection: four of the longest frames.
pub(crate) const BACKLOG_MAX_BYTES: usize = 256 * 1024;
/// Snapshots that may wait before nothing more is read from the connection.
pub(crate) const SNAPSHOTS_WAITING_MAX: usize = 4;

/// A snapshot that is still being sent.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The request's id.
    pub(crate) id: Option<MessageId>,
    /// Whether users not listed are as they were.
    pub(crate) resumed: bool,
    /// What is left to list.
    pub(crate) rest: Rest,
}

/// What is left of a snapshot.
#[derive(Debug)]
pub(crate) enum Rest {
    /// These users (pinned), last first.
    Named(Vec<UserRef>),
    /// Everyone present from there on.
    Everyone {
        /// The shard to go on in.
        shard: usize,
        /// The last user listed of it.
        after: Option<UserId>,
    },
    /// What changed for an observer that resumes: users that are there (pinned), and those that were forgotten.
    Changed {
        /// Last first.
        users: Vec<UserRef>,
        /// With the revision of their removal.
        removed: Vec<(UserId, Revision)>,
    },
}

/// What one connection is still to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Frames that wait for the socket, from `sent` on.
    pub(crate) unsent: Vec<u8>,
    /// Somebody is writing, outside the lock; others only append.
    pub(crate) is_writing: bool,
    /// It is in the ready queue.
    pub(crate) is_queued: bool,
    /// The greeting went out; before, nothing else may.
    pub(crate) is_greeted: bool,
    /// The close frame is the last thing in `unsent`, or gone; or the socket is broken.
    pub(crate) is_closing: bool,
    /// The session ended: nothing is still to be sent any more, though a goodbye may still go out.
    pub(crate) is_ended: bool,
    /// The connection's task reads nothing until the backlog is gone.
    pub(crate) is_held: bool,
    /// Watches being prepared: until their snapshots stand in line no event may overtake them, because its cursor would
    /// claim users that were never told.
    pub(crate) preparing: u32,
    /// Since when `unsent` lies without progress.
    pub(crate) stuck_since: Option<Mono>,
    /// Snapshots in line.
    pub(crate) snapshots: VecDeque<Snapshot>,
    /// Watched users that changed.
    pub(crate) dirty: HashSet<UserRef>,
    /// The last point of the node's changes up to which everything pending was sent; 0: none yet.
    pub(crate) complete_to: u64,
}

impl Outbox {
    /// A watched user changed: it is pinned until it is taken out again. Whether the connection must be put in the ready
    /// queue for it; `None` if nothing was marked, because it was already or the connection is going.
    pub(crate) fn mark_dirty(&mut self, user: UserRef) -> Option<bool> {
        if self.is_closing || self.is_ended || !self.dirty.insert(user) {
            return None;
        }
        Some(self.enqueue())
    }

    /// Whether there is something to deliver and the socket is free; if so it counts as queued from now on.
    pub(crate) fn enqueue(&mut self) -> bool {
        let is_free = !self.is_queued && !self.is_writing && self.unsent.is_empty();
        let is_over = self.is_closing || self.is_ended;
        let is_due = is_free && self.is_greeted && !is_over && self.is_owed();
        self.is_queued |= is_due;
        is_due
    }

    /// Whether a snapshot or an event could be made now.
    pub(crate) fn is_owed(&self) -> bool {
        !self.snapshots.is_empty() || (self.preparing == 0 && !self.dirty.is_empty())
    }

    /// The session ended. What was still pending, to be unpinned.
    pub(crate) fn end(&mut self) -> Vec<UserRef> {
        self.is_ended = true;
        let listed = std::mem::take(&mut self.snapshots)
            .into_iter()
            .flat_map(|snapshot| match snapshot.rest {
                Rest::Named(users) | Rest::Changed { users, .. } => users,
                Rest::Everyone { .. } => Vec::new(),
            });
        listed.chain(std::mem::take(&mut self.dirty)).collect()
    }

    /// Whether the connection's task must be woken, because it stopped reading and may go on.
    pub(crate) fn release(&mut self) -> bool {
        let is_released = self.is_held && !self.is_backlogged();
        self.is_held &= !is_released;
        is_released
    }

    /// Whether nothing more should be read from the connection for now. Of one whose socket is broken the rest must be
    /// read: that is how its end is found.
    pub(crate) fn is_backlogged(&self) -> bool {
        !self.is_closing && (self.unsent.len() > BACKLOG_MAX_BYTES || self.snapshots.len() >= SNAPSHOTS_WAITING_MAX)
    }

    /// Gives the set's memory back once it is empty and was large.
    pub(crate) fn trim(&mut self) {
        const KEPT: usize = 8;
        if self.dirty.is_empty() && self.dirty.capacity() > KEPT {
            self.dirty = HashSet::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeted() -> Outbox {
        Outbox {
            is_greeted: true,
            ..Outbox::default()
        }
    }

    #[test]
    fn a_change_waits_for_the_snapshot_that_is_being_prepared() {
        let mut outbox = greeted();
        outbox.preparing = 1;
        assert_eq!(outbox.mark_dirty(UserRef(1)), Some(false));
        outbox.preparing = 0;
        assert!(outbox.enqueue());
        assert!(!outbox.enqueue(), "it is in the queue already");
    }

    #[test]
    fn nothing_is_owed_before_the_greeting_or_after_the_end() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.mark_dirty(UserRef(1)), Some(false));
        outbox.is_greeted = true;
        assert!(outbox.enqueue());
        assert_eq!(outbox.end(), vec![UserRef(1)]);
        assert_eq!(outbox.mark_dirty(UserRef(2)), None);
        assert!(outbox.dirty.is_empty());
    }

    #[test]
    fn changes_of_one_user_are_one_mark_however_many() {
        let mut outbox = greeted();
        assert_eq!(outbox.mark_dirty(UserRef(1)), Some(true));
        for _ in 0..1000 {
            assert_eq!(outbox.mark_dirty(UserRef(1)), None);
        }
        assert_eq!(outbox.dirty.len(), 1);
    }

    #[test]
    fn a_held_reader_is_released_once_when_the_backlog_is_gone() {
        let mut outbox = greeted();
        outbox.unsent = vec![0; BACKLOG_MAX_BYTES + 1];
        outbox.is_held = outbox.is_backlogged();
        assert!(outbox.is_held && !outbox.release());
        outbox.unsent.clear();
        assert!(outbox.release() && !outbox.release());
    }
}
