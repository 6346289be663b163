//! The node's order of changes, which is that of their revisions. The last change of each user is remembered for an hour, so
//! that a client that was away for a moment resumes; after a clean restart that of the run before as well. Bounded in time
//! and number.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use presence::{Cursor, History, Mono, Revision, UserId};

use crate::engine::visits::Visits;
use crate::store::PastChanges;

/// For how long changes are remembered.
const REMEMBERED_FOR: Duration = Duration::from_secs(3600);
/// How many users' changes are remembered at most: about 16 MiB of them with long ids.
const REMEMBERED_MAX: usize = 131_072;

/// What a user's last change was, and when: the lowest bit is whether it was a removal, the bits above it are the milliseconds.
/// As two fields it would take twice as much.
struct Change(u64);

impl Change {
    const fn new(at: Mono, is_removal: bool) -> Self {
        Self(at.as_millis() << 1 | is_removal as u64)
    }

    const fn at(&self) -> Mono {
        Mono::from_millis(self.0 >> 1)
    }

    const fn is_removal(&self) -> bool {
        self.0 & 1 == 1
    }
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
    /// This run; among others the epochs that all nodes share.
    history: AtomicU64,
    /// Whether all nodes give out the same cursors.
    is_shared: AtomicBool,
    /// The revision of the last change; before the first, what revisions of this run are above.
    last: AtomicU64,
    log: Mutex<Log>,
    /// Of remembered changes, by those who resume.
    visits: Visits,
}

#[derive(Default)]
struct Log {
    /// The last change of each user, by its revision. Partitions of a cluster give revisions on their own, so several users may
    /// have one.
    changes: BTreeMap<(Revision, UserId), Change>,
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
            history: AtomicU64::new(incarnation),
            is_shared: AtomicBool::new(false),
            last: AtomicU64::new(first.get()),
            log: Mutex::new(log),
            visits: Visits::default(),
        }
    }

    /// The previous run ended cleanly: its cursors resume too.
    pub(crate) fn continue_from(&self, now: Mono, past: PastChanges) {
        let mut log = self.log.lock();
        for (user, revision) in past.changed {
            log.changes.insert((revision, user), Change::new(now, false));
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
            incarnation: self.incarnation(),
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
        log.changes.remove(&(before, user.clone()));
        log.changes
            .insert((revision, user.clone()), Change::new(now, is_removal));
        log.trim(now);
        self.pass(revision);
    }

    /// No change that comes has this revision or a lower one.
    pub(crate) fn pass(&self, revision: Revision) {
        self.last.fetch_max(revision.get(), Ordering::SeqCst);
    }

    /// The revision after which everything is known to a client that has this cursor. None if it does not resume.
    pub(crate) fn resume(&self, cursor: Cursor) -> Option<Revision> {
        if self.is_shared.load(Ordering::SeqCst) {
            return self.resume_shared(cursor);
        }
        let log = self.log.lock();
        let own = History {
            incarnation: self.incarnation(),
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

    fn incarnation(&self) -> u64 {
        self.history.load(Ordering::SeqCst)
    }

    /// Cursors are those of this history from here on, on whichever node they were given out. Users are compared by revision,
    /// so nothing need be remembered of them.
    pub(crate) fn share(&self, history: u64) {
        self.history.store(history, Ordering::SeqCst);
        self.is_shared.store(true, Ordering::SeqCst);
    }

    /// Changes up to this revision were not seen by this node.
    pub(crate) fn begin_after(&self, revision: Revision) {
        self.log.lock().forget_to(revision);
        self.pass(revision);
    }

    /// How many remembered changes were looked at so far.
    #[cfg(test)]
    pub(crate) fn visits(&self) -> u64 {
        self.visits.count()
    }

    fn resume_shared(&self, cursor: Cursor) -> Option<Revision> {
        let current = self.cursor(self.last());
        let is_told = cursor.watermark <= current.watermark;
        let resumes = presence::replication::resumes(cursor, current, current.watermark.time());
        (is_told && resumes).then_some(cursor.watermark)
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
            incarnation: self.incarnation(),
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
        let newest_first = self.visits.of(log.changes.iter().rev());
        let newest_first = newest_first.take_while(|((at, _), _)| *at > revision);
        Some(
            newest_first
                .filter(|((_, user), _)| seen.insert(user.clone()))
                .map(|((at, user), change)| match change.is_removal() {
                    true => Since::Removed(user.clone(), *at),
                    false => Since::Changed(user.clone()),
                })
                .collect(),
        )
    }
}

impl Log {
    /// Forgets what is too old, or too much.
    fn trim(&mut self, now: Mono) {
        while let Some(((revision, _), oldest)) = self.changes.first_key_value() {
            if now.since(oldest.at()) <= REMEMBERED_FOR && self.changes.len() <= REMEMBERED_MAX {
                break;
            }
            self.forgotten_to = self.forgotten_to.max(*revision);
            self.changes.pop_first();
        }
    }

    fn forget_to(&mut self, revision: Revision) {
        while self
            .changes
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= revision)
        {
            self.changes.pop_first();
        }
        self.forgotten_to = self.forgotten_to.max(revision);
    }
}

#[cfg(test)]
mod tests;
