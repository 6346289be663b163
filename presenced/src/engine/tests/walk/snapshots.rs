//! What a snapshot must be: whether a cursor resumes, and whom it then lists.

use std::collections::BTreeSet;
use std::time::Duration;

use presence::Revision;

use super::watcher::{Scope, WalkWatcher};
use super::world::{Faults, USERS, World};
use crate::engine::heartbeat::RunEnd;
use crate::engine::tests::fixture::user;

/// For how long a cursor resumes, less what a step may take.
const RESUMES_FOR: Duration = Duration::from_secs(3590);

/// A point of the walk at which a cursor was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct CursorPoint {
    /// How many runs were before.
    run: usize,
    at: u64,
    /// How many users had been forgotten.
    forgotten: u64,
}

/// What the snapshot that was asked for should be.
#[derive(Debug)]
pub(super) struct Awaited {
    /// Whether it resumes; none if it may, and need not.
    resumes: Option<bool>,
    /// Whom it lists at most if it resumes: nothing of the others has a revision above the cursor.
    changed: BTreeSet<&'static str>,
    /// Whom it lists at least if it does not.
    named: BTreeSet<&'static str>,
}

impl Awaited {
    pub(super) fn check(&self, resumed: bool, listed: &[String]) {
        assert!(
            self.resumes.is_none_or(|resumes| resumes == resumed),
            "resumed: {resumed}, {self:?}"
        );
        let told: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
        assert_eq!(told.len(), listed.len(), "each once: {listed:?}");
        if resumed {
            assert!(told.is_subset(&self.changed), "listed: {told:?}, {self:?}");
        } else {
            assert!(told.is_superset(&self.named), "listed: {told:?}, {self:?}");
        }
    }
}

impl World {
    pub(super) fn position(&self) -> CursorPoint {
        CursorPoint {
            run: self.ends.len(),
            at: self.mono(),
            forgotten: self.models.values().map(|model| model.forgotten).sum(),
        }
    }

    /// What a snapshot must be that the watcher asks for now.
    pub(super) async fn expect_snapshot(&self, watcher: &WalkWatcher, resumes: bool) -> Awaited {
        let since = watcher.cursor().filter(|_| resumes);
        let watermark = since.map_or(Revision::NEVER, |(cursor, _)| cursor.watermark);
        let mut changed = BTreeSet::new();
        for name in USERS {
            if self
                .changed_at(name)
                .await
                .is_none_or(|changed_at| changed_at > watermark)
            {
                changed.insert(name);
            }
        }
        Awaited {
            resumes: since.map_or(Some(false), |(_, given)| self.resumes(given, watcher.scope)),
            changed,
            named: match watcher.scope {
                Scope::Named(names) => names.iter().copied().collect(),
                Scope::Everyone => BTreeSet::new(),
            },
        }
    }

    /// Whether a cursor that was given there resumes; none if it may, and need not.
    fn resumes(&self, given: CursorPoint, scope: Scope) -> Option<bool> {
        let here = self.position();
        let is_young = here.at - given.at <= u64::try_from(RESUMES_FOR.as_millis()).expect("a number");
        let in_time = (is_young && self.faults != Faults::Reads).then_some(true);
        match (here.run - given.run, self.ends.last()) {
            (0, _) => in_time,
            // Nobody knows any more the names of those who were forgotten.
            (1, Some(RunEnd::Clean)) => {
                in_time.filter(|_| scope != Scope::Everyone || given.forgotten == here.forgotten)
            }
            _ => Some(false),
        }
    }

    /// The highest revision of anything that is known of the user; none if the disk can't tell.
    async fn changed_at(&self, name: &str) -> Option<Revision> {
        let daemon = self.daemon();
        let in_memory = daemon.engine.users.find(&user(name)).map(|entry| entry.changed_at());
        let row = daemon.store.load(&user(name)).await.ok()?;
        let removed = daemon.store.removed_at(&[user(name)]).await.ok()?;
        let on_disk = [row.map(|row| row.revision), removed.into_iter().next().flatten()];
        let all = on_disk.into_iter().flatten().chain(in_memory);
        all.max().max(Some(self.models[name].changed_at))
    }
}
