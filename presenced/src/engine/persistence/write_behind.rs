//! Statuses and times are written behind, in batches: the queue is a set of users, and each user's row is made when its
//! batch is written. A write that fails is retried; custom statuses and reports do not go through here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use presence::{Revision, SessionId, UserId};
use tokio::sync::Notify;

use super::{OnDisk, Persistence};
use crate::cluster::Cluster;
use crate::connection::user_pin::UserRef;
use crate::engine::users::{LockedEntry, Users};
use crate::store::{ExpiredReport, StatusRow, StoreError};

/// How long a transition waits for others to be written with it.
const BATCH_EVERY: Duration = Duration::from_millis(80);
/// How long times that moved wait for a transition to be written with.
const TIMES_BATCH_EVERY: Duration = Duration::from_secs(1);
/// How long to wait after a failure.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Users in one batch, or reports that have ended: some 2 ms of SQLite and 10 to 30 ms of PostgreSQL (a busy machine; 4,096 took it
/// over 400 ms), which any other write waits for.
pub(in crate::engine) const BATCH_MAX_USERS: usize = 256;
/// Last seen of a present user is written at most this often while nothing else is; the ping interval comes on top of the
/// jitter, so that a crash loses less than a minute.
const TIMES_EVERY: Duration = Duration::from_secs(45);
/// Jitter of [`TIMES_EVERY`], so that users who connected together are not written together.
const TIMES_JITTER_MILLIS: u64 = 14_000;

/// When last seen should be written next: spread by the session, so that no randomness is needed.
pub(super) fn times_delay(session: SessionId) -> Duration {
    let spread = session.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) % TIMES_JITTER_MILLIS;
    TIMES_EVERY + Duration::from_millis(spread)
}

/// What waits to be written.
#[derive(Default)]
pub(in crate::engine) struct WriteBehind {
    users: Mutex<Vec<UserRef>>,
    reports: Mutex<Vec<ExpiredReport>>,
    /// Held while reports are taken off the disk.
    expiring: tokio::sync::Mutex<()>,
    /// Users, and ends of reports, that wait or are being written.
    pending: AtomicU64,
    soon: Notify,
    /// The loop ends before its next batch.
    is_stopping: AtomicBool,
}

impl WriteBehind {
    /// How many users, and ends of reports, wait or are being written.
    pub(in crate::engine) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// The loop ends once the store has answered the batch under way: a later answer would be lost.
    pub(in crate::engine) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.soon.notify_one();
    }

    /// The user's status changed: it is written within 100 ms.
    pub(in crate::engine) fn write_soon(&self, entry: &mut LockedEntry<'_>) {
        self.write_sometime(entry);
        self.soon.notify_one();
    }

    /// The user's times moved: they are written with the next batch.
    pub(super) fn write_sometime(&self, entry: &mut LockedEntry<'_>) {
        match entry.disk.on_disk {
            OnDisk::Current => {
                entry.disk.on_disk = OnDisk::Queued;
                self.pending.fetch_add(1, Ordering::Relaxed);
                self.users.lock().push(entry.at());
            }
            OnDisk::Writing => entry.disk.on_disk = OnDisk::WritingBehind,
            OnDisk::Queued | OnDisk::WritingBehind => {}
        }
    }

    /// Whether the disk may still have a report of the user that has ended.
    pub(in crate::engine) fn has_expired_report(&self, user: &UserId) -> bool {
        self.reports.lock().iter().any(|report| report.user == *user)
    }

    pub(super) fn expire_reports(&self, expired: impl Iterator<Item = ExpiredReport>) {
        let mut reports = self.reports.lock();
        let before = reports.len();
        reports.extend(expired);
        self.pending
            .fetch_add((reports.len() - before) as u64, Ordering::Relaxed);
        drop(reports);
        self.soon.notify_one();
    }
}

impl Persistence {
    /// Writes batch after batch, until it is stopped.
    pub(in crate::engine) async fn run_write_behind(&self, users: &Users, cluster: &Cluster) {
        let write_behind = &self.write_behind;
        while !write_behind.is_stopping.load(Ordering::SeqCst) {
            let is_soon = tokio::time::timeout(TIMES_BATCH_EVERY, write_behind.soon.notified())
                .await
                .is_ok();
            if is_soon {
                tokio::time::sleep(BATCH_EVERY).await;
            }
            if self.write_out(users, cluster).await.is_err() {
                tokio::time::sleep(RETRY_AFTER).await;
                write_behind.soon.notify_one();
            }
        }
    }

    /// Writes everything that waits.
    pub(in crate::engine) async fn write_out(&self, users: &Users, cluster: &Cluster) -> Result<(), StoreError> {
        self.write_expired_reports().await?;
        loop {
            let batch: Vec<UserRef> = {
                let mut waiting = self.write_behind.users.lock();
                let rest = waiting.len().saturating_sub(BATCH_MAX_USERS);
                waiting.split_off(rest)
            };
            if batch.is_empty() {
                return Ok(());
            }
            self.write_batch(users, cluster, batch).await?;
        }
    }

    /// Takes the reports off the disk that have ended.
    pub(in crate::engine) async fn write_expired_reports(&self) -> Result<(), StoreError> {
        let write_behind = &self.write_behind;
        let _alone = write_behind.expiring.lock().await;
        loop {
            // They stay in the queue until they are off the disk: others look there.
            let reports: Vec<ExpiredReport> = {
                let waiting = write_behind.reports.lock();
                waiting.iter().take(BATCH_MAX_USERS).cloned().collect()
            };
            if reports.is_empty() {
                return Ok(());
            }
            let count = reports.len();
            self.store.expire_reports(reports).await?;
            write_behind.reports.lock().drain(..count);
            write_behind.pending.fetch_sub(count as u64, Ordering::Relaxed);
        }
    }

    async fn write_batch(&self, users: &Users, cluster: &Cluster, batch: Vec<UserRef>) -> Result<(), StoreError> {
        let rows: Vec<StatusRow> = batch
            .iter()
            .filter_map(|at| begin_write(&mut users.lock_at(*at), cluster))
            .collect();
        let written = if rows.is_empty() {
            Ok(())
        } else {
            self.store.save_statuses(rows).await
        };
        for at in batch {
            let mut entry = users.lock_at(at);
            let is_behind = entry.disk.on_disk == OnDisk::WritingBehind || written.is_err();
            entry.disk.on_disk = OnDisk::Current;
            if is_behind {
                self.write_behind.write_soon(&mut entry);
            }
            // Once it is counted again: nobody sees none pending in between.
            self.write_behind.pending.fetch_sub(1, Ordering::Relaxed);
        }
        written
    }
}

/// The row to write. None for a fallback profile, which is never written back, and for a removed user, which has no row.
fn begin_write(entry: &mut LockedEntry<'_>, cluster: &Cluster) -> Option<StatusRow> {
    entry.disk.on_disk = OnDisk::Writing;
    let profile = entry.state.profile();
    if profile.is_degraded() || entry.publication.removed_at().is_some() {
        return None;
    }
    // Among others the log's writer writes the status; this is for the times, which only grow.
    let revision = match cluster.shared() {
        None => profile.revision(),
        Some(_) => Revision::NEVER,
    };
    Some(StatusRow {
        user: entry.user().clone(),
        status: profile.decision().status,
        since: profile.since(),
        connected_on: cluster.nodes_connected(entry.state.places()),
        last_seen: profile.last_seen(),
        last_active: profile.last_active(),
        revision,
        clamp_to: profile.latest_time().filter(|_| profile.is_clamped()),
        published: None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use presence::{EndReason, ReportInput, Source, Status, UserId};

    use super::*;
    use crate::engine::tests::stepped_engine::Stepped;

    /// Whether the loop would write without waiting for more; it is asked once.
    async fn is_soon(stepped: &Stepped) -> bool {
        tokio::select! {
            biased;
            () = stepped.engine.persistence.write_behind.soon.notified() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn changes_are_written_soon_and_times_are_not() {
        let stepped = Stepped::new().await;
        let ann = stepped.connect("ann").await;
        assert!(is_soon(&stepped).await);
        stepped.write().await;
        stepped.advance(TIMES_EVERY + Duration::from_millis(TIMES_JITTER_MILLIS));
        stepped.engine.heard(&ann.conn);
        assert_eq!(stepped.engine.stats().pending_writes, 1);
        assert!(!is_soon(&stepped).await);
        stepped.disconnect(&ann, EndReason::Closed);
        assert!(is_soon(&stepped).await);
    }

    #[tokio::test]
    async fn a_user_whose_write_fails_is_pending_all_the_time() {
        let stepped = Stepped::new().await;
        let _ann = stepped.connect("ann").await;
        stepped.store.fail_writes(true);
        let (engine, is_over) = (Arc::clone(&stepped.engine), Arc::new(AtomicBool::default()));
        let looking = std::thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                let looks = std::iter::from_fn(|| Some(engine.persistence.write_behind.pending()));
                looks.take_while(|_| !is_over.load(Ordering::SeqCst)).min()
            }
        });
        for _ in 0..2_000 {
            assert!(!stepped.try_write().await);
        }
        is_over.store(true, Ordering::SeqCst);
        assert_ne!(looking.join().expect("no panic"), Some(0));
    }

    #[tokio::test]
    async fn a_report_that_ends_beside_a_session_is_off_the_disk_soon() {
        let stepped = Stepped::new().await;
        let _ann = stepped.connect("ann").await;
        let input = ReportInput {
            source: Source::default(),
            status: Status::Online,
            ttl: Some(Duration::from_secs(60)),
            update_last_active: false,
        };
        let reported = stepped
            .engine
            .report(&UserId::new("ann").expect("a user id"), input)
            .await;
        reported.expect("a record");
        stepped.write().await;
        while is_soon(&stepped).await {}
        stepped.advance(Duration::from_secs(61));
        assert!(is_soon(&stepped).await);
    }
}
