//! Detects changes by comparing the stream with the last known record of each user. Pure: no socket, no clock, no
//! output. Repeated and outdated records are no changes, since revisions only grow.

use std::collections::{HashMap, HashSet};

use presence::wire::record::{Record, Update};
use presence::{CustomStatus, Reason, Revision, Status, UserId, Wall};

use crate::output::changes::Change;

/// Which users the stream covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All users: a complete snapshot lists the present ones, so a missing user is OFFLINE.
    Everyone,
    /// Named users: a complete snapshot lists each of them.
    Named,
}

/// The last known record of a user.
#[derive(Debug, Clone, Copy)]
struct Known {
    status: Status,
    custom_status: Option<CustomStatus>,
    note: Option<&'static str>,
    revision: Revision,
}

/// The last known records of all users.
#[derive(Debug)]
pub(super) struct ChangeTracker {
    scope: Scope,
    known: HashMap<UserId, Known>,
    /// Whether a snapshot was completed before: the first one is the baseline and no change.
    started: bool,
    /// The server's clock then.
    started_at: Wall,
    /// The users in the snapshot in progress.
    listed: HashSet<UserId>,
}

impl ChangeTracker {
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            scope,
            known: HashMap::new(),
            started: false,
            started_at: Wall::from_millis(0),
            listed: HashSet::new(),
        }
    }

    /// Whether a snapshot was completed.
    pub(super) const fn is_started(&self) -> bool {
        self.started
    }

    /// A snapshot was requested.
    pub(super) fn begin_snapshot(&mut self) {
        self.listed.clear();
    }

    /// A frame of a snapshot repeats current records, so only differences are changes.
    pub(super) fn on_snapshot(&mut self, users: Vec<Update>, resumed: bool, now: Wall) -> Vec<Change> {
        let mut changes = Vec::new();
        for update in users {
            if !resumed && self.scope == Scope::Everyone {
                self.listed.insert(update.user_id().clone());
            }
            let change = self.apply(update, now);
            let differs = |change: &Change| change.to != Some(change.from) || change.custom_status.is_some();
            changes.extend(change.filter(|change| self.started && differs(change)));
        }
        changes
    }

    /// The snapshot is complete: a missing user is OFFLINE, unless it was resumed.
    pub(super) fn end_snapshot(&mut self, resumed: bool, now: Wall) -> Vec<Change> {
        let mut changes = Vec::new();
        if !resumed && self.scope == Scope::Everyone {
            let listed = std::mem::take(&mut self.listed);
            for (user, known) in &mut self.known {
                if known.status != Status::Offline && !listed.contains(user) {
                    changes.push(Change {
                        at: now,
                        user: user.clone(),
                        from: known.status,
                        to: Some(Status::Offline),
                        reason: Some(Reason::NoSession),
                        custom_status: None,
                        set_by: None,
                        note: None,
                        revision: known.revision,
                    });
                    known.status = Status::Offline;
                }
            }
            changes.sort_by(|a, b| a.user.cmp(&b.user));
        }
        if !std::mem::replace(&mut self.started, true) {
            self.started_at = now;
        }
        changes
    }

    pub(super) fn on_presence(&mut self, users: Vec<Update>, now: Wall) -> Vec<Change> {
        users.into_iter().filter_map(|update| self.apply(update, now)).collect()
    }

    fn apply(&mut self, update: Update, now: Wall) -> Option<Change> {
        let before = self.known.get(update.user_id()).copied();
        // A record with revision 0 is always taken.
        let revision = update.revision();
        if revision != Revision::NEVER && before.is_some_and(|before| revision <= before.revision) {
            return None;
        }
        match update {
            Update::Record(record) => Some(self.on_record(record, before, now)),
            Update::Removed(removed) => {
                self.known.remove(&removed.user_id);
                Some(Change {
                    at: now,
                    user: removed.user_id,
                    from: before.map_or(Status::Offline, |before| before.status),
                    to: None,
                    reason: None,
                    custom_status: None,
                    set_by: None,
                    note: None,
                    revision: removed.revision,
                })
            }
        }
    }

    fn on_record(&mut self, record: Record, before: Option<Known>, now: Wall) -> Change {
        let after = Known {
            status: record.status,
            custom_status: record.custom_status,
            note: crate::output::records::note(&record),
            revision: record.revision,
        };
        let from = before.map_or(Status::Offline, |before| before.status);
        let same_status = from == after.status;
        let custom_status_before = before.and_then(|before| before.custom_status);
        // A newcomer who came and went between two frames set nothing, though its record is OFFLINE as before.
        let came_and_went = before.is_none() && record.since.is_some_and(|since| since > self.started_at);
        self.known.insert(record.user_id.clone(), after);
        let custom_status = after.custom_status.filter(|_| {
            after.custom_status != custom_status_before && (before.is_some() || (same_status && !came_and_went))
        });
        Change {
            at: if same_status { now } else { record.since.unwrap_or(now) },
            user: record.user_id,
            from,
            to: Some(after.status),
            reason: record.reason,
            custom_status,
            set_by: record.custom_status_set_by.filter(|_| custom_status.is_some()),
            note: after.note,
            revision: record.revision,
        }
    }
}

#[cfg(test)]
mod tests {
    use presence::Actor;
    use presence::wire::record::{Removed, Viewer};

    use super::*;

    const NOW: Wall = Wall::from_millis(1000);

    fn record(name: &str, status: Status, revision: u64) -> Update {
        Update::Record(Record {
            status,
            revision: Revision::new(revision),
            since: Some(Wall::from_millis(500)),
            ..Record::never_seen(UserId::new(name).unwrap(), Viewer::Internal)
        })
    }

    fn shown(changes: &[Change]) -> Vec<String> {
        let line = |change: &Change| {
            let to = change.to.map_or("forgotten", Status::as_str);
            format!("{} {} {to}", change.user, change.from)
        };
        changes.iter().map(line).collect()
    }

    fn started(scope: Scope, users: Vec<Update>) -> ChangeTracker {
        let mut changes = ChangeTracker::new(scope);
        changes.begin_snapshot();
        assert_eq!(changes.on_snapshot(users, false, NOW), []);
        assert_eq!(changes.end_snapshot(false, NOW), []);
        changes
    }

    #[test]
    fn the_first_snapshot_is_no_change() {
        let mut changes = started(Scope::Everyone, vec![record("alice", Status::Online, 5)]);
        let update = changes.on_presence(vec![record("alice", Status::Idle, 6)], NOW);
        assert_eq!(shown(&update), ["alice ONLINE IDLE"]);
        assert_eq!(update[0].at, Wall::from_millis(500));
    }

    #[test]
    fn a_user_without_a_record_was_offline() {
        let mut changes = started(Scope::Everyone, vec![]);
        assert_eq!(
            shown(&changes.on_presence(vec![record("bob", Status::Online, 1)], NOW)),
            ["bob OFFLINE ONLINE"]
        );
    }

    #[test]
    fn a_repeated_or_outdated_record_is_no_change() {
        let mut changes = started(Scope::Everyone, vec![record("alice", Status::Online, 5)]);
        assert_eq!(
            changes.on_presence(
                vec![record("alice", Status::Online, 5), record("alice", Status::Idle, 4)],
                NOW
            ),
            []
        );
    }

    #[test]
    fn a_resumed_snapshot_reports_missed_changes_only() {
        let mut changes = started(
            Scope::Everyone,
            vec![record("alice", Status::Online, 5), record("bob", Status::Idle, 6)],
        );
        changes.begin_snapshot();
        let missed = changes.on_snapshot(
            vec![record("alice", Status::Offline, 9), record("bob", Status::Idle, 6)],
            true,
            NOW,
        );
        assert_eq!(shown(&missed), ["alice ONLINE OFFLINE"]);
        assert_eq!(changes.end_snapshot(true, NOW), []);
    }

    #[test]
    fn a_user_missing_in_a_complete_snapshot_is_offline() {
        let mut changes = started(
            Scope::Everyone,
            vec![record("alice", Status::Online, 5), record("bob", Status::Idle, 6)],
        );
        changes.begin_snapshot();
        assert_eq!(
            changes.on_snapshot(vec![record("bob", Status::Idle, 10)], false, NOW),
            []
        );
        assert_eq!(
            shown(&changes.on_snapshot(vec![record("eve", Status::Online, 11)], false, NOW)),
            ["eve OFFLINE ONLINE"]
        );
        assert_eq!(shown(&changes.end_snapshot(false, NOW)), ["alice ONLINE OFFLINE"]);
        assert_eq!(changes.end_snapshot(true, NOW), []);
    }

    #[test]
    fn a_record_with_revision_0_is_taken_once() {
        let mut changes = started(Scope::Named, vec![record("alice", Status::Online, 5)]);
        let never_seen = || vec![record("alice", Status::Offline, 0)];
        assert_eq!(
            shown(&changes.on_snapshot(never_seen(), false, NOW)),
            ["alice ONLINE OFFLINE"]
        );
        assert_eq!(changes.on_snapshot(never_seen(), false, NOW), []);
        assert_eq!(
            shown(&changes.on_presence(vec![record("alice", Status::Online, 3)], NOW)),
            ["alice OFFLINE ONLINE"]
        );
    }

    #[test]
    fn a_named_user_missing_in_a_snapshot_frame_is_unchanged() {
        let mut changes = started(Scope::Named, vec![record("alice", Status::Online, 5)]);
        changes.begin_snapshot();
        assert_eq!(changes.end_snapshot(false, NOW), []);
    }

    #[test]
    fn a_forgotten_user_is_reported_and_starts_as_offline() {
        let mut changes = started(Scope::Everyone, vec![record("alice", Status::Online, 5)]);
        let removed = Update::Removed(Removed {
            user_id: UserId::new("alice").unwrap(),
            revision: Revision::new(6),
            removed: true,
        });
        assert_eq!(
            shown(&changes.on_presence(vec![removed], NOW)),
            ["alice ONLINE forgotten"]
        );
        assert_eq!(
            shown(&changes.on_presence(vec![record("alice", Status::Idle, 7)], NOW)),
            ["alice OFFLINE IDLE"]
        );
    }

    #[test]
    fn a_newcomer_who_came_and_went_set_no_custom_status() {
        let Update::Record(mut record) = record("bob", Status::Offline, 3) else {
            panic!()
        };
        record.since = Some(NOW.after(std::time::Duration::from_secs(1)));
        let mut changes = started(Scope::Everyone, vec![]);
        let update = changes.on_presence(vec![Update::Record(record)], NOW);
        assert_eq!(update[0].custom_status, None);
    }

    #[test]
    fn a_custom_status_without_a_status_change_is_reported() {
        let with_custom_status = |revision| {
            let Update::Record(mut record) = record("alice", Status::Offline, revision) else {
                panic!()
            };
            record.custom_status = Some(CustomStatus::Idle);
            record.since = None;
            Update::Record(record)
        };
        let mut changes = started(Scope::Everyone, vec![]);
        let update = changes.on_presence(vec![with_custom_status(3)], NOW);
        assert_eq!(shown(&update), ["alice OFFLINE OFFLINE"]);
        assert_eq!((update[0].custom_status, update[0].at), (Some(CustomStatus::Idle), NOW));
    }

    #[test]
    fn a_custom_status_is_told_with_who_set_it_and_once() {
        let record = |custom_status, set_by, revision| {
            let Update::Record(mut record) = record("alice", Status::Online, revision) else {
                panic!()
            };
            (record.custom_status, record.custom_status_set_by) = (Some(custom_status), Some(set_by));
            vec![Update::Record(record)]
        };
        let mut changes = started(Scope::Named, record(CustomStatus::Online, Actor::User, 1));
        let mut told = |custom_status, set_by, revision| {
            let change = changes.on_presence(record(custom_status, set_by, revision), NOW);
            (change[0].custom_status, change[0].set_by)
        };
        let expected = (Some(CustomStatus::Idle), Some(Actor::Operator));
        assert_eq!(told(CustomStatus::Idle, Actor::Operator, 2), expected);
        assert_eq!(told(CustomStatus::Idle, Actor::Operator, 3), (None, None));
    }
}
