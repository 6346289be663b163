//! What partitions ask of the database, and what the database has that the log may lack.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use presence::replication::{Incarnation, MovedTimes, Share, SharedPart, State};
use presence::{Activity, Contribution, DurablePart, Now, Revision, Status, UserId};

use crate::clock::Stopwatch;
use crate::cluster::Shared;
use crate::engine::cache::durable_part;
use crate::engine::{Engine, EngineError};
use crate::store::{DurableRow, ListedRow, Row, StoreError};

/// Users that are loaded together.
const LOADED_TOGETHER_MAX: usize = 512;
/// How often it is looked whether the log may lack a change.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// The log has a change by then, if the node that wrote it is alive.
const UNPUBLISHED_AFTER: Duration = Duration::from_secs(10);
/// How long to wait after the database failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// For how long times are waited for that a node which is gone may have written alone: its users become OFFLINE meanwhile.
const TIMES_WAIT: Duration = Duration::from_secs(1);
/// The run that is named where nobody knows which one had the sessions: none has this number.
const UNKNOWN_RUN: Incarnation = Incarnation(0);

/// The partitions that asked for everyone who is present in the database: one pass over it serves all.
#[derive(Default)]
pub(in crate::engine) struct PresentRequests {
    waiting: Mutex<Vec<u16>>,
    pass: tokio::sync::Mutex<()>,
}

impl Engine {
    /// The users of a partition that the database has as present, in a new epoch.
    pub(super) async fn load_present(&self, shared: &Shared, number: u16) {
        self.present_requests.waiting.lock().push(number);
        let _pass = self.present_requests.pass.lock().await;
        let asked = std::mem::take(&mut *self.present_requests.waiting.lock());
        if asked.is_empty() {
            // The pass before served it.
            return;
        }
        let mut present: BTreeMap<u16, Vec<(UserId, Revision, State)>> = BTreeMap::new();
        for number in asked {
            present.entry(number).or_default();
        }
        for (user, row) in self.all_listed().await {
            let (revision, state) = (row.revision, state_of_row(row));
            let users = present.get_mut(&shared.number_of(&user));
            if let Some(users) = users.filter(|_| state.is_present()) {
                users.push((user, revision, state));
            }
        }
        for (number, users) in present {
            let partition = shared.partition(number);
            partition.tell(move |machine, input| machine.handle_present(input, users));
        }
    }

    /// All rows of users with a status, with sessions or with reports.
    async fn all_listed(&self) -> Vec<(UserId, Row)> {
        let mut all: Vec<(UserId, Row)> = Vec::new();
        let mut last: Option<UserId> = None;
        let mut has_failed = false;
        loop {
            let page = self.persistence.store.load_present(last.as_ref(), LOADED_TOGETHER_MAX);
            let page: Vec<ListedRow> = match page.await {
                Ok(page) => page,
                Err(error) => {
                    if !std::mem::replace(&mut has_failed, true) {
                        tracing::warn!(%error, "the users that are present in the database can't be read yet");
                    }
                    tokio::time::sleep(RETRY_AFTER).await;
                    continue;
                }
            };
            let is_last = page.len() < LOADED_TOGETHER_MAX;
            last = page.last().map(|(user, _)| user.clone());
            all.extend(page.into_iter().filter_map(|(user, row)| Some((user, row.ok()?))));
            if is_last {
                return all;
            }
        }
    }

    /// The times that the database has of users of a node that is gone, or who came to the log with older ones, as far as it
    /// answers: they don't wait for it.
    pub(super) async fn load_times(&self, shared: &Shared, number: u16, users: &[UserId]) {
        let waiting = Stopwatch::start();
        let mut unread = 0_u64;
        for some in users.chunks(LOADED_TOGETHER_MAX) {
            let left = TIMES_WAIT.saturating_sub(waiting.elapsed());
            let loading = tokio::time::timeout(left, self.persistence.store.load_many(some)).await;
            let rows = loading.map(Result::unwrap_or_default).unwrap_or_default();
            unread += (some.len() - rows.iter().filter(|row| row.is_ok()).count()) as u64;
            let times = some.iter().zip(rows).filter_map(|(user, row)| {
                let row = row.ok().flatten()?;
                Some(MovedTimes {
                    user: user.clone(),
                    last_seen: row.last_seen?,
                    last_active: row.last_active,
                })
            });
            let (users, times) = (some.to_vec(), times.collect::<Vec<_>>());
            let partition = shared.partition(number);
            partition.tell(move |machine, input| machine.handle_stored_times(input, users, &times));
        }
        self.unread_times.fetch_add(unread, Ordering::Relaxed);
    }

    /// Offers, again and again, what has been marked as unpublished for a while: the node that wrote it may be dead.
    pub(super) async fn run_sweep(&self, shared: &Shared) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            self.tell_of_unread_times();
            // What fails is found again by the next sweep.
            let _ = self.sweep_unpublished(shared).await;
        }
    }

    /// One line for all partitions and all steps of a clean-up.
    fn tell_of_unread_times(&self) {
        let users = self.unread_times.swap(0, Ordering::Relaxed);
        if users > 0 {
            tracing::warn!(
                users,
                "times of users of a node that is gone, or who came to the log, are those that were told: the database did not answer in time"
            );
        }
    }

    async fn sweep_unpublished(&self, shared: &Shared) -> Result<(), StoreError> {
        let mut last: Option<UserId> = None;
        loop {
            let store = &self.persistence.store;
            let page = store
                .unpublished(UNPUBLISHED_AFTER, last.as_ref(), LOADED_TOGETHER_MAX)
                .await?;
            let is_last = page.len() < LOADED_TOGETHER_MAX;
            last = page.last().map(|(user, _)| user.clone());
            for (user, row) in page {
                if let Ok(row) = row {
                    tell_row(shared, &user, row.durable);
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Takes off the database what was written of a user before the log had it forgotten, at most as of the copy.
    pub(in crate::engine) async fn forget_stored(&self, shared: &Shared, user: &UserId) -> Result<(), EngineError> {
        let copied = shared.partition_of(user).machine().copied(user);
        let Some((revision, state)) = copied else { return Ok(()) };
        let version = state.durable.part.version;
        let now = self.clock.record_time(None);
        let store = &self.persistence.store;
        let left = store.forget_older(user, revision, version, now).await?;
        // What another node offered meanwhile gives way to what is left.
        tell_row(shared, user, left);
        Ok(())
    }

    /// The user was forgotten an hour ago: whatever was written of it since by a node that did not know is deleted.
    pub(super) async fn delete_again(&self, shared: &Shared, user: &UserId) {
        let copied = shared.partition_of(user).machine().copied(user);
        let Some((revision, _)) = copied else { return };
        if self.forget_stored(shared, user).await.is_ok() {
            let of = user.clone();
            shared
                .partition_of(user)
                .tell(move |machine, input| machine.handle_written(input, &of, revision));
        }
    }
}

/// The database has this of a user.
pub(super) fn tell_row(shared: &Shared, user: &UserId, row: DurableRow) {
    let part = shared_part_of(row);
    let of = user.clone();
    shared
        .partition_of(user)
        .tell(move |machine, input| machine.handle_loaded(input, &of, part));
}

/// A user as the database has it, with its sessions in grace, wherever they were. The status follows from them and from the
/// reports: a node may have died before it wrote the one that began or ended with a report.
fn state_of_row(row: Row) -> State {
    let places = u32::try_from(row.connected_on.len()).unwrap_or(u32::MAX);
    let share = Share {
        incarnation: UNKNOWN_RUN,
        contribution: Contribution {
            grace: Some(Activity::Unknown),
            ..Contribution::default()
        },
        grace_until: None,
        places,
        sessions: Vec::new(),
        unknown: Vec::new(),
    };
    let contributions = if places == 0 { Vec::new() } else { vec![share] };
    let reported_since = row.durable.reports.iter().map(|report| report.since).min();
    let durable = shared_part_of(row.durable);
    let sessions: Vec<Contribution> = contributions.iter().map(|share| share.contribution).collect();
    let part = &durable.part;
    let ruled = presence::decide(&sessions, &part.reports, &part.preference, Activity::Unknown).status;
    let was_present = row.status != Status::Offline;
    let (status, since) = match ruled {
        Status::Offline => (ruled, row.since),
        _ if was_present => (row.status, row.since),
        _ if reported_since.is_some() => (ruled, reported_since),
        _ => (row.status, row.since),
    };
    State {
        contributions,
        durable,
        status,
        since,
        last_seen: row.last_seen,
        last_active: row.last_active,
        ..State::default()
    }
}

/// Custom status and reports as the database has them.
fn shared_part_of(row: DurableRow) -> SharedPart {
    let ends = row.reports.iter().map(|report| report.expires_at).collect();
    let part = durable_part(row, Now::default());
    let mut reports = part.reports;
    for report in &mut reports {
        report.expires = None;
    }
    SharedPart {
        part: DurablePart { reports, ..part },
        ends,
    }
}

#[cfg(test)]
mod tests {
    use presence::{CustomStatus, Source, Version, Wall};

    use super::*;
    use crate::store::ReportRow;

    /// A row of whom only a report was written, by a node that died before it wrote the status.
    fn reported() -> Row {
        let report = ReportRow {
            source: Source::default(),
            status: CustomStatus::Online,
            since: Wall::from_millis(1_000),
            heard: Wall::from_millis(2_000),
            version: Version::new(1),
            said: Version::new(1),
            last_active: None,
            expires_at: None,
        };
        Row {
            durable: DurableRow {
                version: Version::new(1),
                reports: vec![report],
                ..DurableRow::default()
            },
            ..Row::default()
        }
    }

    #[test]
    fn a_reported_user_is_present_though_the_status_was_not_written() {
        let state = state_of_row(reported());
        assert_eq!(state.status, Status::Online);
        assert_eq!(state.since, Some(Wall::from_millis(1_000)));
    }

    #[test]
    fn a_user_whose_report_was_ended_alone_is_absent() {
        let row = Row {
            status: Status::Online,
            ..Row::default()
        };
        assert!(!state_of_row(row).is_present());
    }
}
