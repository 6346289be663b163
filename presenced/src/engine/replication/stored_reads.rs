//! Users whose row the log asks for: whose durable part is to be offered, and who has left the state. They are read some at a
//! time, behind nobody's connect, and again and again until the database answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use presence::UserId;
use tokio::sync::Notify;

use super::database::tell_row;
use crate::cluster::Shared;
use crate::engine::Engine;
use crate::store::{LoadedRow, StoreError};

/// Users who are read together.
const READ_TOGETHER_MAX: usize = 512;
/// How long to wait after the database failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Who is to be read. Bounded by the users of the state.
#[derive(Default)]
pub(in crate::engine) struct StoredReads {
    users: Mutex<AskedUsers>,
    some: Notify,
}

#[derive(Default)]
struct AskedUsers {
    /// Whose durable part is to be offered.
    parts: BTreeSet<UserId>,
    /// Who has left the state, by partition, each with the number of the leave.
    left: BTreeMap<u16, BTreeMap<UserId, u64>>,
    leaves: u64,
}

/// A user who has left the state.
#[derive(Debug, Clone)]
struct Leave {
    partition: u16,
    user: UserId,
    number: u64,
}

impl StoredReads {
    /// The durable parts of these users are to be told to their partitions.
    pub(super) fn ask_for_parts(&self, users: impl IntoIterator<Item = UserId>) {
        self.users.lock().parts.extend(users);
        self.some.notify_one();
    }

    /// The user has left the state: watchers are to be told the record that the database has.
    pub(super) fn ask_for_record(&self, partition: u16, user: UserId) {
        let mut users = self.users.lock();
        users.leaves += 1;
        let number = users.leaves;
        users.left.entry(partition).or_default().insert(user, number);
        self.some.notify_one();
    }

    /// Whether somebody has left the partition whose record is not told yet: no cursor may be above it.
    pub(super) fn has_left(&self, partition: u16) -> bool {
        self.users.lock().left.contains_key(&partition)
    }

    fn take_parts(&self) -> Vec<UserId> {
        let parts = &mut self.users.lock().parts;
        let mut taken = Vec::new();
        while taken.len() < READ_TOGETHER_MAX
            && let Some(user) = parts.pop_first()
        {
            taken.push(user);
        }
        taken
    }

    /// Waits until somebody is asked for. Whose record may not be told yet is looked at now and then.
    async fn some(&self) {
        let asked = self.some.notified();
        let has_left = !self.users.lock().left.is_empty();
        match has_left {
            true => drop(tokio::time::timeout(RETRY_AFTER, asked).await),
            false => asked.await,
        }
    }

    /// The partitions that somebody has left.
    fn left_partitions(&self) -> Vec<u16> {
        self.users.lock().left.keys().copied().collect()
    }

    /// Who has left these partitions, up to so many; they stay until [`Self::finish`].
    fn left(&self, partitions: &[u16], max: usize) -> Vec<Leave> {
        let users = self.users.lock();
        let told = users
            .left
            .iter()
            .filter(|(partition, _)| partitions.contains(partition));
        let all = told.flat_map(|(partition, users)| {
            users.iter().map(|(user, number)| Leave {
                partition: *partition,
                user: user.clone(),
                number: *number,
            })
        });
        all.take(max).collect()
    }

    /// The record was told, unless the user has left once more since it was read.
    fn finish(&self, leave: &Leave) {
        let left = &mut self.users.lock().left;
        if let Some(users) = left.get_mut(&leave.partition) {
            if users.get(&leave.user) == Some(&leave.number) {
                users.remove(&leave.user);
            }
            if users.is_empty() {
                left.remove(&leave.partition);
            }
        }
    }
}

impl Engine {
    /// Reads whoever is asked for until the daemon ends.
    pub(super) async fn run_stored_reads(self: &Arc<Self>, shared: &Shared) {
        let mut was_read = true;
        loop {
            self.stored_reads.some().await;
            while let Some(outcome) = self.read_some(shared).await {
                let Err(error) = outcome else {
                    was_read = true;
                    continue;
                };
                if was_read {
                    tracing::warn!(%error, "users whom the log asks for can't be read yet");
                }
                was_read = false;
                self.show_left_without_record(shared).await;
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }

    /// Reads some of those who are asked for; none if there are none. Whom the database did not answer about is asked for again.
    async fn read_some(self: &Arc<Self>, shared: &Shared) -> Option<Result<(), StoreError>> {
        let left = self.left(shared, READ_TOGETHER_MAX);
        let parts = self.stored_reads.take_parts();
        if left.is_empty() && parts.is_empty() {
            return None;
        }
        let records = self.read_records(shared, &left).await;
        Some(records.and(self.read_parts(shared, &parts).await))
    }

    /// Who has left, up to so many, but for partitions in which nobody may become OFFLINE now: not everyone who moved was heard of.
    fn left(&self, shared: &Shared, max: usize) -> Vec<Leave> {
        let now = self.clock.mono();
        // A machine may be busy: it is not waited for with the users locked.
        let mut partitions = self.stored_reads.left_partitions();
        partitions.retain(|number| !shared.partition(*number).machine().is_holding(now));
        self.stored_reads.left(&partitions, max)
    }

    async fn read_records(self: &Arc<Self>, shared: &Shared, left: &[Leave]) -> Result<(), StoreError> {
        let users: Vec<UserId> = left.iter().map(|leave| leave.user.clone()).collect();
        let mut outcome = Ok(());
        for (leave, row) in left.iter().zip(self.rows_of(&users).await) {
            let is_told = match row {
                Ok(row) => self.show_stored(shared, &leave.user, row),
                // Nobody can read it.
                Err(StoreError::Refused { .. }) => self.show_without_record(shared, &leave.user),
                Err(error) => {
                    outcome = Err(error);
                    false
                }
            };
            if is_told {
                self.stored_reads.finish(leave);
            }
        }
        outcome
    }

    async fn read_parts(&self, shared: &Shared, users: &[UserId]) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        for (user, row) in users.iter().zip(self.rows_of(users).await) {
            match row {
                Ok(Some(row)) => tell_row(shared, user, row.durable),
                // There is none, or nobody can read it.
                Ok(None) | Err(StoreError::Refused { .. }) => {}
                Err(error) => {
                    self.stored_reads.ask_for_parts([user.clone()]);
                    outcome = Err(error);
                }
            }
        }
        outcome
    }

    async fn rows_of(&self, users: &[UserId]) -> Vec<LoadedRow> {
        match self.persistence.store.load_many(users).await {
            Ok(rows) => rows,
            Err(error) => vec![Err(error); users.len()],
        }
    }

    /// The database does not answer: whoever has left is OFFLINE all the same.
    async fn show_left_without_record(self: &Arc<Self>, shared: &Shared) {
        for some in self.left(shared, usize::MAX).chunks(READ_TOGETHER_MAX) {
            for leave in some {
                let _ = self.show_without_record(shared, &leave.user);
            }
            tokio::task::yield_now().await;
        }
    }
}
