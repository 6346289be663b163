//! The node's order of changes: each published change takes the next number, and the last hour of them is remembered so
//! that a client that was away for a moment resumes. Bounded in time and number.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use presence::{Cursor, Mono, Revision, UserId};

/// For how long changes are remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);
/// How many changes are remembered at most: about 12 MiB of them with long ids.
const REMEMBERED_MAX: usize = 131_072;

/// A change as remembered.
struct Change {
    number: u64,
    at: Mono,
    user: UserId,
    removed: Option<Revision>,
}

/// What happened to a user since a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Since {
    /// Its record changed.
    Changed(UserId),
    /// It was forgotten, and nothing came after.
    Removed(UserId, Revision),
}

/// The order of this incarnation's changes.
pub(crate) struct Changes {
    incarnation: u64,
    /// The number of the last change; numbers begin with 1.
    last: AtomicU64,
    log: Mutex<Log>,
}

struct Log {
    changes: VecDeque<Change>,
    /// The number of the newest change that is no longer remembered.
    forgotten_to: u64,
}

impl Changes {
    pub(crate) fn new(incarnation: u64) -> Self {
        // The first numbers are spent, so that no cursor given out is ever 0, which never resumes.
        let log = Log {
            changes: VecDeque::new(),
            forgotten_to: 0,
        };
        Self {
            incarnation,
            last: AtomicU64::new(1),
            log: Mutex::new(log),
        }
    }

    /// The number of the last change.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::SeqCst)
    }

    /// The cursor after `number` changes.
    pub(crate) fn cursor(&self, number: u64) -> Cursor {
        Cursor {
            incarnation: self.incarnation,
            counter: number,
        }
    }

    /// Takes the next number for a change of `user`.
    pub(crate) fn push(&self, now: Mono, user: &UserId, removed: Option<Revision>) -> u64 {
        let mut log = self.log.lock();
        let number = self.last.fetch_add(1, Ordering::SeqCst) + 1;
        log.changes.push_back(Change {
            number,
            at: now,
            user: user.clone(),
            removed,
        });
        while let Some(oldest) = log.changes.front() {
            if log.changes.len() <= REMEMBERED_MAX && now.since(oldest.at) <= REMEMBERED_FOR {
                break;
            }
            log.forgotten_to = oldest.number;
            log.changes.pop_front();
        }
        number
    }

    /// The number a cursor stands for, if everything since is remembered.
    pub(crate) fn resume(&self, cursor: Cursor) -> Option<u64> {
        let is_ours = cursor.incarnation == self.incarnation && cursor.counter > 0 && cursor.counter <= self.last();
        (is_ours && cursor.counter >= self.log.lock().forgotten_to).then_some(cursor.counter)
    }

    /// Each user that changed after `number`, once. None if that is no longer remembered.
    pub(crate) fn since(&self, number: u64) -> Option<Vec<Since>> {
        let log = self.log.lock();
        if number < log.forgotten_to {
            return None;
        }
        let first = log.changes.partition_point(|change| change.number <= number);
        let mut seen = hashbrown::HashSet::new();
        let newest_first = log.changes.range(first..).rev();
        Some(
            newest_first
                .filter(|change| seen.insert(change.user.clone()))
                .map(|change| match change.removed {
                    Some(revision) => Since::Removed(change.user.clone(), revision),
                    None => Since::Changed(change.user.clone()),
                })
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).expect("a user id")
    }

    #[test]
    fn a_user_that_changed_twice_is_listed_once_with_the_latest() {
        let changes = Changes::new(7);
        let start = changes.last();
        changes.push(Mono::from_millis(1), &user("ann"), None);
        changes.push(Mono::from_millis(2), &user("bob"), None);
        changes.push(Mono::from_millis(3), &user("ann"), Some(Revision::new(9)));
        let expected = vec![
            Since::Removed(user("ann"), Revision::new(9)),
            Since::Changed(user("bob")),
        ];
        assert_eq!(changes.since(start), Some(expected));
        assert_eq!(changes.since(changes.last()), Some(Vec::new()));
    }

    #[test]
    fn foreign_future_and_zero_cursors_do_not_resume() {
        let changes = Changes::new(7);
        changes.push(Mono::from_millis(1), &user("ann"), None);
        assert_eq!(changes.resume(changes.cursor(changes.last())), Some(changes.last()));
        assert_eq!(
            changes.resume(Cursor {
                incarnation: 8,
                counter: 1
            }),
            None
        );
        assert_eq!(changes.resume(changes.cursor(changes.last() + 1)), None);
        assert_eq!(changes.resume(changes.cursor(0)), None);
    }

    #[test]
    fn changes_older_than_an_hour_or_beyond_the_bound_are_dropped() {
        let changes = Changes::new(7);
        let early = changes.push(Mono::from_millis(0), &user("ann"), None);
        let later = Mono::from_millis(0).after(REMEMBERED_FOR + Duration::from_millis(1));
        changes.push(later, &user("bob"), None);
        assert_eq!(changes.resume(changes.cursor(early - 1)), None);
        assert_eq!(changes.resume(changes.cursor(early)), Some(early));
        for _ in 0..REMEMBERED_MAX {
            changes.push(later, &user("bob"), None);
        }
        assert_eq!(changes.resume(changes.cursor(early)), None);
        assert_eq!(changes.since(early), None);
    }
}
