//! The node's order of changes, which is that of their revisions. The last change of each user is remembered for an hour, so
//! that a client that was away for a moment resumes; after a clean restart that of the run before as well. Bounded in time
//! and number.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use presence::{Cursor, History, Mono, Revision, UserId};

use crate::store::PastChanges;

/// For how long changes are remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);
/// How many users' changes are remembered at most: about 16 MiB of them with long ids.
const REMEMBERED_MAX: usize = 131_072;

/// What a user's last change was, and when.
struct Change {
    at: Mono,
    user: UserId,
    is_removal: bool,
}

/// A change that is published.
pub(crate) struct NewChange<'a> {
    pub(crate) user: &'a UserId,
    /// The revision of the user's change before.
    pub(crate) before: Revision,
    pub(crate) revision: Revision,
    pub(crate) is_removal: bool,
}

/// What happened to a user since a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Since {
    /// Its record changed.
    Changed(UserId),
    /// It was forgotten, and nothing came after.
    Removed(UserId, Revision),
}

/// The order of changes.
pub(crate) struct Changes {
    incarnation: u64,
    /// The revision of the last change; before the first, what revisions of this run are above.
    last: AtomicU64,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    /// The last change of each user, by its revision.
    changes: BTreeMap<Revision, Change>,
    /// The highest revision of a change that is no longer remembered.
    forgotten_to: Revision,
    /// The run before, if it ended cleanly.
    before: Option<History>,
    /// Up to here users may have been removed whose ids the disk does not have any more.
    unnamed_to: Revision,
    /// The hour that runs.
    hour: Hour,
}

/// An hour of the run, on the clock that no wall clock moves.
#[derive(Default)]
struct Hour {
    began: Mono,
    /// Changes up to this revision are older.
    after: Revision,
}

impl Changes {
    /// `floor` is what revisions of this run are above.
    pub(crate) fn new(incarnation: u64, floor: Revision) -> Self {
        // No cursor is given out with 0, which never resumes.
        let first = Revision::new(floor.get().max(1));
        let log = Log {
            forgotten_to: first,
            hour: Hour {
                began: Mono::default(),
                after: first,
            },
            ..Log::default()
        };
        Self {
            incarnation,
            last: AtomicU64::new(first.get()),
            log: Mutex::new(log),
        }
    }

    /// The previous run ended cleanly: its cursors resume too.
    pub(crate) fn continue_from(&self, now: Mono, past: PastChanges) {
        let mut log = self.log.lock();
        for (user, revision) in past.changed {
            let change = Change {
                at: now,
                user,
                is_removal: false,
            };
            log.changes.insert(revision, change);
        }
        log.forgotten_to = past.history.from;
        log.before = Some(past.history);
        log.unnamed_to = past.removed_to;
        log.trim(now);
    }

    /// The revision of the last change.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::SeqCst)
    }

    /// The cursor after all changes up to this revision.
    pub(crate) fn cursor(&self, watermark: u64) -> Cursor {
        Cursor {
            incarnation: self.incarnation,
            watermark: Revision::new(watermark),
        }
    }

    /// Remembers a change, in place of the user's one before.
    pub(crate) fn push(&self, now: Mono, new: &NewChange<'_>) {
        let NewChange {
            user,
            before,
            revision,
            is_removal,
        } = *new;
        let mut log = self.log.lock();
        if log.changes.get(&before).is_some_and(|change| change.user == *user) {
            log.changes.remove(&before);
        }
        let change = Change {
            at: now,
            user: user.clone(),
            is_removal,
        };
        log.changes.insert(revision, change);
        log.trim(now);
        self.pass(revision);
    }

    /// No change that comes has this revision or a lower one.
    pub(crate) fn pass(&self, revision: Revision) {
        self.last.fetch_max(revision.get(), Ordering::SeqCst);
    }

    /// The revision after which everything is known to a client that has this cursor. None if it does not resume.
    pub(crate) fn resume(&self, cursor: Cursor) -> Option<Revision> {
        let log = self.log.lock();
        let own = History {
            incarnation: self.incarnation,
            from: log.forgotten_to,
            to: Revision::new(self.last()),
        };
        let before = log.before.map(|before| History {
            from: log.forgotten_to,
            ..before
        });
        let resumes = |history: History| history.resumes(cursor);
        (resumes(own) || before.is_some_and(resumes)).then_some(cursor.watermark)
    }

    /// When an hour is over: no cursor from before it resumes any more, so nothing else need tell what was removed until
    /// then. Up to which revision. Every change up to `complete_to` has been published.
    pub(crate) fn close_hour(&self, now: Mono, complete_to: Revision) -> Option<Revision> {
        let mut log = self.log.lock();
        if now.since(log.hour.began) < REMEMBERED_FOR {
            return None;
        }
        let next = Hour {
            began: now,
            after: complete_to,
        };
        let over = std::mem::replace(&mut log.hour, next).after;
        log.forget_to(over);
        Some(over)
    }

    /// What a run that ends now leaves, if all of it is on disk: `to` is above its revisions.
    pub(crate) fn history(&self, to: Revision) -> History {
        History {
            incarnation: self.incarnation,
            from: self.log.lock().forgotten_to,
            to,
        }
    }

    /// Each user that changed after this revision, once. None if that is not known.
    pub(crate) fn since(&self, revision: Revision) -> Option<Vec<Since>> {
        let log = self.log.lock();
        if revision < log.forgotten_to || revision < log.unnamed_to {
            return None;
        }
        // A user that was shown without what is stored of it may have changed under two revisions.
        let mut seen = hashbrown::HashSet::new();
        let after = Revision::new(revision.get().saturating_add(1));
        let newest_first = log.changes.range(after..).rev();
        Some(
            newest_first
                .filter(|(_, change)| seen.insert(change.user.clone()))
                .map(|(revision, change)| match change.is_removal {
                    true => Since::Removed(change.user.clone(), *revision),
                    false => Since::Changed(change.user.clone()),
                })
                .collect(),
        )
    }
}

impl Log {
    /// Forgets what is too old, or too much.
    fn trim(&mut self, now: Mono) {
        while let Some((revision, oldest)) = self.changes.first_key_value() {
            if now.since(oldest.at) <= REMEMBERED_FOR && self.changes.len() <= REMEMBERED_MAX {
                break;
            }
            self.forgotten_to = self.forgotten_to.max(*revision);
            self.changes.pop_first();
        }
    }

    fn forget_to(&mut self, revision: Revision) {
        let kept = Revision::new(revision.get().saturating_add(1));
        self.changes = self.changes.split_off(&kept);
        self.forgotten_to = self.forgotten_to.max(revision);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: Revision = Revision::new(100);

    fn user(name: &str) -> UserId {
        UserId::new(name).expect("a user id")
    }

    const fn change(user: &UserId, before: Revision, revision: Revision, is_removal: bool) -> NewChange<'_> {
        NewChange {
            user,
            before,
            revision,
            is_removal,
        }
    }

    /// A change of a user that had none before.
    fn push(changes: &Changes, millis: u64, name: &str, revision: u64) {
        let revision = Revision::new(revision);
        changes.push(
            Mono::from_millis(millis),
            &change(&user(name), Revision::NEVER, revision, false),
        );
    }

    fn resume(changes: &Changes, watermark: u64) -> Option<u64> {
        changes.resume(changes.cursor(watermark)).map(Revision::get)
    }

    #[test]
    fn a_user_that_changed_twice_is_listed_once_with_the_latest() {
        let changes = Changes::new(7, FLOOR);
        push(&changes, 1, "ann", 101);
        push(&changes, 2, "bob", 102);
        let (ann, removed_at) = (user("ann"), Revision::new(103));
        changes.push(
            Mono::from_millis(3),
            &change(&ann, Revision::new(101), removed_at, true),
        );
        let expected = vec![Since::Removed(ann, removed_at), Since::Changed(user("bob"))];
        assert_eq!(changes.since(FLOOR), Some(expected));
        // Though nobody knew that she had changed before.
        push(&changes, 4, "bob", 104);
        assert_eq!(changes.since(FLOOR).map(|changed| changed.len()), Some(2));
        assert_eq!(changes.since(Revision::new(changes.last())), Some(Vec::new()));
    }

    #[test]
    fn foreign_future_and_zero_cursors_do_not_resume() {
        let changes = Changes::new(7, FLOOR);
        push(&changes, 1, "ann", 101);
        assert_eq!(resume(&changes, 101), Some(101));
        assert_eq!(resume(&changes, 102), None);
        assert_eq!(resume(&changes, 0), None);
        let foreign = Cursor {
            incarnation: 8,
            ..changes.cursor(101)
        };
        assert_eq!(changes.resume(foreign), None);
    }

    #[test]
    fn a_cursor_before_the_first_change_resumes() {
        for floor in [Revision::NEVER, FLOOR] {
            let changes = Changes::new(7, floor);
            let first = changes.last();
            assert_eq!(resume(&changes, first), Some(first));
            push(&changes, 1, "ann", 101);
            assert_eq!(
                changes.since(Revision::new(first)),
                Some(vec![Since::Changed(user("ann"))])
            );
        }
    }

    #[test]
    fn changes_older_than_an_hour_are_forgotten() {
        let changes = Changes::new(7, FLOOR);
        push(&changes, 0, "ann", 101);
        let hour = u64::try_from(REMEMBERED_FOR.as_millis()).expect("a number");
        push(&changes, hour, "bob", 102);
        assert_eq!(resume(&changes, 100), Some(100));
        push(&changes, hour + 1, "bob", 103);
        assert_eq!(resume(&changes, 100), None);
        assert_eq!(resume(&changes, 101), Some(101));
        assert_eq!(changes.since(FLOOR), None);
    }

    #[test]
    fn many_changes_of_one_user_forget_none_of_others() {
        let changes = Changes::new(7, FLOOR);
        push(&changes, 0, "ann", 101);
        let (bob, count) = (user("bob"), REMEMBERED_MAX as u64);
        for revision in 200..=200 + count {
            let before = Revision::new(revision - 1);
            changes.push(
                Mono::from_millis(0),
                &change(&bob, before, Revision::new(revision), false),
            );
        }
        assert_eq!(changes.since(FLOOR).map(|changed| changed.len()), Some(2));
        // Of others, the bound lets go of the earliest.
        for number in 0..count - 1 {
            push(&changes, 0, &format!("user-{number}"), 1_000_000 + number);
        }
        assert_eq!((resume(&changes, 100), resume(&changes, 101)), (None, Some(101)));
    }

    fn past(from: u64, removed_to: u64) -> PastChanges {
        PastChanges {
            history: History {
                incarnation: 6,
                from: Revision::new(from),
                to: FLOOR,
            },
            changed: vec![(user("ann"), Revision::new(51)), (user("bob"), Revision::new(60))],
            removed_to: Revision::new(removed_to),
        }
    }

    #[test]
    fn cursors_of_a_run_that_ended_cleanly_resume_in_the_next_for_an_hour() {
        let changes = Changes::new(7, FLOOR);
        let now = Mono::from_millis(5);
        changes.continue_from(now, past(50, 0));
        let resume = |incarnation, watermark| {
            let watermark = Revision::new(watermark);
            changes.resume(Cursor { incarnation, watermark })
        };
        for (incarnation, watermark, is_resumed) in [
            (6, 49, false),
            (6, 50, true),
            (6, 100, true),
            (6, 101, false),
            (7, 100, true),
            (5, 60, false),
        ] {
            assert_eq!(
                resume(incarnation, watermark).is_some(),
                is_resumed,
                "{incarnation} {watermark}"
            );
        }
        let since = |watermark| changes.since(Revision::new(watermark));
        assert_eq!(since(50).map(|changed| changed.len()), Some(2));
        assert_eq!(since(51), Some(vec![Since::Changed(user("bob"))]));
        let (ann, changed_at) = (user("ann"), Revision::new(110));
        changes.push(now, &change(&ann, Revision::new(51), changed_at, false));
        assert_eq!(since(60), Some(vec![Since::Changed(ann)]));
        assert_eq!(changes.history(Revision::new(200)).from, Revision::new(50));
        let later = now.after(REMEMBERED_FOR + Duration::from_millis(1));
        let cid = user("cid");
        changes.push(later, &change(&cid, Revision::NEVER, Revision::new(111), false));
        assert_eq!((resume(6, 100), resume(7, 110)), (None, Some(changed_at)));
    }

    #[test]
    fn an_observer_does_not_resume_from_before_a_removal_that_has_no_name() {
        let changes = Changes::new(7, FLOOR);
        changes.continue_from(Mono::from_millis(0), past(50, 55));
        assert_eq!(changes.since(Revision::new(54)), None);
        assert!(changes.since(Revision::new(55)).is_some());
        assert_eq!(resume(&changes, 54), Some(54), "who names users is told of each");
    }
}
