//! Loads that a busy machine makes late. A connect waits for the database for 150 ms; if that is not enough, the user's record is
//! told `degraded`, and once more when the row was read. This may happen to any user, so it is told apart from what a test did. Tests
//! of `degraded` itself don't ask for that.

use std::collections::{BTreeMap, BTreeSet};

use presence::Revision;
use presence::wire::record::{Record, Update};

use super::Socket;
use crate::wait::{DEADLINE, within};

/// What a connection was told of each user last, and which of that was a late load.
#[derive(Debug, Default)]
pub(super) struct LateLoads {
    last: BTreeMap<String, Record>,
    late: BTreeSet<(String, Revision)>,
}

impl LateLoads {
    /// Takes note of what was told.
    pub(super) fn note(&mut self, told: &[Update]) {
        for update in told {
            let Update::Record(record) = update else { continue };
            let user = record.user_id.as_str().to_owned();
            let before = self.last.insert(user.clone(), record.clone());
            if before.is_some_and(|before| differ_by_the_load_alone(&before, record)) {
                self.late.insert((user, record.revision));
            }
        }
    }

    /// Whether this update said only that the database had not answered, or has.
    pub(super) fn is_one(&self, update: &Update) -> bool {
        let told = (update.user_id().as_str().to_owned(), update.revision());
        self.late.contains(&told)
    }
}

fn differ_by_the_load_alone(before: &Record, after: &Record) -> bool {
    let shown = |record: &Record| (record.status, record.since, record.custom_status);
    before.degraded != after.degraded && shown(before) == shown(after)
}

impl Socket {
    /// Reads the updates of the own record up to this revision, if the welcome came before it.
    pub(crate) async fn read_own_until(&mut self, revision: Revision) {
        if let Some(own) = self.user.clone().filter(|own| own.revision < revision) {
            self.user = Some(self.wait_for_revision(own.user_id.as_str(), revision).await);
        }
    }

    /// Reads up to the first record of `user` with this revision or a later one.
    pub async fn wait_for_revision(&mut self, user: &str, revision: Revision) -> Record {
        let reached = |update: &Update| update.user_id().as_str() == user && update.revision() >= revision;
        let updates = self.updates_until(&format!("the record of {user}"), reached).await;
        match updates.into_iter().rfind(reached) {
            Some(Update::Record(record)) => record,
            other => panic!("{user}: {other:?}"),
        }
    }

    /// Waits until those of these users whose rows were not read in time are told once more.
    pub async fn wait_for_late_loads(&mut self, told: &[Update]) {
        let is_late = |update: &&Update| matches!(update, Update::Record(record) if record.degraded);
        let name = |update: &Update| update.user_id().as_str().to_owned();
        let mut late: BTreeSet<String> = told.iter().filter(is_late).map(name).collect();
        let loads = async {
            while !late.is_empty() {
                for update in self.next_updates().await.iter().filter(|update| !is_late(update)) {
                    late.remove(&name(update));
                }
            }
        };
        within("the late rows are read", DEADLINE, loads).await;
    }
}
