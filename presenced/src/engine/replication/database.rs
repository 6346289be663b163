//! What partitions ask of the database, and what the database has that the log may lack.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use presence::replication::{Incarnation, Share, SharedPart, State};
use presence::{Activity, Contribution, DurablePart, Now, Revision, Status, UserId};

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
        for (user, row) in self.all_present().await {
            if let Some(users) = present.get_mut(&shared.number_of(&user)) {
                users.push((user, row.revision, state_of_row(row)));
            }
        }
        for (number, users) in present {
            let partition = shared.partition(number);
            partition.tell(move |machine, input| machine.handle_present(input, users));
        }
    }

    async fn all_present(&self) -> Vec<(UserId, Row)> {
        let mut all: Vec<(UserId, Row)> = Vec::new();
        let mut last: Option<UserId> = None;
        loop {
            let page = self.persistence.store.load_present(last.as_ref(), LOADED_TOGETHER_MAX);
            let page: Vec<ListedRow> = match page.await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "the users that are present in the database can't be read yet");
                    tokio::time::sleep(RETRY_AFTER).await;
                    continue;
                }
            };
            let is_last = page.len() < LOADED_TOGETHER_MAX;
            last = page.last().map(|(user, _)| user.clone());
            let readable = page.into_iter().filter_map(|(user, row)| Some((user, row.ok()?)));
            all.extend(readable.filter(|(_, row)| row.status != Status::Offline));
            if is_last {
                return all;
            }
        }
    }

    /// All users of a partition with sessions here are told to it anew, with what the database has of them.
    pub(super) async fn offer_all(&self, shared: &Shared, number: u16) {
        let users = self.connected_in(shared, number);
        for some in users.chunks(LOADED_TOGETHER_MAX) {
            for user in some {
                shared.partition_of(user).touch(user);
            }
            let Ok(rows) = self.persistence.store.load_many(some).await else {
                continue;
            };
            for (user, row) in some.iter().zip(rows) {
                if let Ok(Some(row)) = row {
                    tell_row(shared, user, row.durable);
                }
            }
        }
    }

    /// The durable part of a user whom nobody has offered.
    pub(super) async fn load_part(&self, shared: &Shared, user: &UserId) {
        if let Ok(Some(row)) = self.persistence.store.load(user).await {
            tell_row(shared, user, row.durable);
        }
    }

    /// Offers, again and again, what has been marked as unpublished for a while: the node that wrote it may be dead.
    pub(super) async fn run_sweep(&self, shared: &Shared) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            // What fails is found again by the next sweep.
            let _ = self.sweep_unpublished(shared).await;
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
fn tell_row(shared: &Shared, user: &UserId, row: DurableRow) {
    let part = shared_part_of(row);
    let of = user.clone();
    shared
        .partition_of(user)
        .tell(move |machine, input| machine.handle_loaded(input, &of, part));
}

/// A user as the database has it, with its sessions in grace, wherever they were.
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
        unknown: Vec::new(),
    };
    State {
        contributions: if places == 0 { Vec::new() } else { vec![share] },
        durable: shared_part_of(row.durable),
        status: row.status,
        since: row.since,
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
