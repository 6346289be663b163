//! Who was forgotten lately, so that a write that was under way meanwhile doesn't bring the user back.
//!
//! In memory only: a write can be late only within one life of the process, and a forgotten user's id on disk would
//! not be forgotten.

use std::collections::{HashMap, VecDeque};

use presence::{Revision, UserId};

/// How many are remembered. A late write was made before its user was forgotten and is queued at most a write-behind
/// interval (100 ms) after that, in which nobody forgets as many.
const REMEMBERED_MAX: usize = 16_384;

/// The users forgotten, and by which revision.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    revisions: HashMap<UserId, Revision>,
    /// In the order in which they were forgotten, oldest first.
    order: VecDeque<UserId>,
    /// Those of the transaction under way. They count within it, and are dropped with it.
    staged: Vec<(UserId, Revision)>,
}

impl Tombstones {
    /// Whether a write of this revision comes too late.
    pub(super) fn is_late(&self, user: &UserId, revision: Revision) -> bool {
        let committed = self.revisions.get(user).is_some_and(|forgotten| revision <= *forgotten);
        let mut staged = self.staged.iter();
        committed || staged.any(|(one, forgotten)| one == user && revision <= *forgotten)
    }

    /// The user is forgotten, if the transaction under way is committed.
    pub(super) fn stage(&mut self, user: UserId, revision: Revision) {
        self.staged.push((user, revision));
    }

    /// The transaction was committed.
    pub(super) fn commit(&mut self) {
        for (user, revision) in std::mem::take(&mut self.staged) {
            let before = self.revisions.insert(user.clone(), revision);
            match before {
                Some(before) => {
                    self.revisions.insert(user, before.max(revision));
                }
                None => self.order.push_back(user),
            }
        }
        while self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.revisions.remove(&oldest);
        }
    }

    /// The transaction was not committed.
    pub(super) fn roll_back(&mut self) {
        self.staged.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> UserId {
        UserId::new(&format!("user-{number}")).unwrap()
    }

    #[test]
    fn a_write_is_late_up_to_the_revision_that_forgot_its_user() {
        let mut tombstones = Tombstones::default();
        tombstones.stage(user(1), Revision::new(10));
        assert!(
            tombstones.is_late(&user(1), Revision::new(10)),
            "within the transaction"
        );
        tombstones.commit();
        assert!(tombstones.is_late(&user(1), Revision::new(10)));
        assert!(!tombstones.is_late(&user(1), Revision::new(11)));
        assert!(!tombstones.is_late(&user(2), Revision::new(1)));
    }

    #[test]
    fn a_transaction_that_failed_forgot_nobody() {
        let mut tombstones = Tombstones::default();
        tombstones.stage(user(1), Revision::new(10));
        tombstones.roll_back();
        tombstones.commit();
        assert!(!tombstones.is_late(&user(1), Revision::new(10)));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes_first() {
        let mut tombstones = Tombstones::default();
        for number in 0..=REMEMBERED_MAX {
            tombstones.stage(user(number), Revision::new(10));
            tombstones.commit();
        }
        assert!(!tombstones.is_late(&user(0), Revision::new(1)));
        assert!(tombstones.is_late(&user(1), Revision::new(1)));
        assert_eq!(tombstones.revisions.len(), REMEMBERED_MAX);
    }
}
