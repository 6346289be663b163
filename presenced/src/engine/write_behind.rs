//! Statuses and times are written behind, in batches: what is not yet on disk is a set of users, and each is written as it
//! is when its turn comes. A write that fails is tried again; custom statuses and reports do not go through here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Engine;
use super::entry::{Entry, OnDisk};
use crate::connection::outbox::UserRef;
use crate::store::{ExpiredReport, StatusRow, StoreError};

/// How long a transition waits for others to be written with it.
const BATCH_EVERY: Duration = Duration::from_millis(80);
/// How long a mark of last seen waits for a transition to be written with.
const TIMES_BATCH_EVERY: Duration = Duration::from_secs(1);
/// How long to wait after a failure.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Users in one batch.
const BATCH_MAX_USERS: usize = 4096;

/// What waits to be written.
#[derive(Default)]
pub(super) struct WriteBehind {
    users: Mutex<Vec<UserRef>>,
    reports: Mutex<Vec<ExpiredReport>>,
    /// Users that wait or are being written.
    pending: AtomicU64,
    soon: Notify,
    /// The loop ends before its next batch.
    is_stopping: AtomicBool,
}

impl WriteBehind {
    /// How many users wait.
    pub(super) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// The loop ends once the batch under way is answered: nobody would take note of an answer that comes later.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.soon.notify_one();
    }

    /// Reports whose time was up are to be taken off the disk.
    pub(super) fn expire_reports(&self, gone: impl Iterator<Item = ExpiredReport>) {
        self.reports.lock().extend(gone);
        self.soon.notify_one();
    }
}

impl Engine {
    /// The user's status changed: it is written within 100 ms.
    pub(super) fn write_soon(&self, entry: &mut Entry, user: UserRef) {
        self.write_sometime(entry, user);
        self.behind.soon.notify_one();
    }

    /// The user's times moved: they are written with the next batch.
    pub(super) fn write_sometime(&self, entry: &mut Entry, user: UserRef) {
        match entry.on_disk {
            OnDisk::Current => {
                entry.on_disk = OnDisk::Queued;
                self.behind.pending.fetch_add(1, Ordering::Relaxed);
                self.behind.users.lock().push(user);
            }
            OnDisk::Writing => entry.on_disk = OnDisk::WritingBehind,
            OnDisk::Queued | OnDisk::WritingBehind => {}
        }
    }

    /// Writes batch after batch, until it is stopped.
    pub(super) async fn run_write_behind(self: Arc<Self>) {
        while !self.behind.is_stopping.load(Ordering::SeqCst) {
            let is_soon = tokio::time::timeout(TIMES_BATCH_EVERY, self.behind.soon.notified())
                .await
                .is_ok();
            if is_soon {
                tokio::time::sleep(BATCH_EVERY).await;
            }
            if self.write_out().await.is_err() {
                tokio::time::sleep(RETRY_AFTER).await;
                self.behind.soon.notify_one();
            }
        }
    }

    /// Writes everything that waits.
    pub(super) async fn write_out(&self) -> Result<(), StoreError> {
        let reports = std::mem::take(&mut *self.behind.reports.lock());
        if !reports.is_empty()
            && let Err(error) = self.store.expire_reports(reports.clone()).await
        {
            self.behind.reports.lock().extend(reports);
            return Err(error);
        }
        loop {
            let batch: Vec<UserRef> = {
                let mut users = self.behind.users.lock();
                let rest = users.len().saturating_sub(BATCH_MAX_USERS);
                users.split_off(rest)
            };
            if batch.is_empty() {
                return Ok(());
            }
            self.write_batch(batch).await?;
        }
    }

    async fn write_batch(&self, batch: Vec<UserRef>) -> Result<(), StoreError> {
        let rows: Vec<StatusRow> = batch.iter().filter_map(|user| self.row_of(*user)).collect();
        let written = if rows.is_empty() {
            Ok(())
        } else {
            self.store.save_statuses(rows).await
        };
        for user in batch {
            let mut shard = self.shards.of_ref(user);
            let Some(entry) = shard.entry(user) else { continue };
            let is_behind = entry.on_disk == OnDisk::WritingBehind || written.is_err();
            entry.on_disk = OnDisk::Current;
            self.behind.pending.fetch_sub(1, Ordering::Relaxed);
            if is_behind {
                self.write_soon(entry, user);
            }
            shard.evict_idle(user);
        }
        written
    }

    fn row_of(&self, user: UserRef) -> Option<StatusRow> {
        let mut shard = self.shards.of_ref(user);
        let entry = shard.entry(user)?;
        entry.on_disk = OnDisk::Writing;
        // What was made up without the store is never written back; who was forgotten has no row.
        if entry.profile.is_degraded() || entry.forgotten.is_some() {
            return None;
        }
        Some(StatusRow {
            user: entry.user.clone(),
            status: entry.profile.decision().status,
            since: entry.profile.since(),
            connected_on: match entry.sessions.is_present() {
                true => self.cluster.own_nodes(),
                false => Arc::default(),
            },
            last_seen: entry.profile.last_seen(),
            last_active: entry.profile.last_active(),
            revision: entry.profile.revision(),
        })
    }
}
