//! Reports by outside gateways: on disk first, then shown.

use std::sync::Arc;

use presence::wire::record::{Record, Viewer};
use presence::{Now, Report, ReportInput, UserId, Version};

use super::cache::{UnknownOutcome, durable_part};
use super::{Engine, EngineError};
use crate::connection::outbox::UserRef;
use crate::store::{NewReport, ReportTimes};

impl Engine {
    /// Opens, refreshes or ends a report. The record for internal callers. A caller that goes away does not stop it
    /// halfway.
    pub(crate) async fn report(self: &Arc<Self>, user: &UserId, input: ReportInput) -> Result<Record, EngineError> {
        let engine = Arc::clone(self);
        let user = user.clone();
        let done = tokio::spawn(async move { engine.report_now(&user, &input).await });
        done.await.unwrap_or(Err(EngineError::StoreUnavailable))
    }

    async fn report_now(&self, user: &UserId, input: &ReportInput) -> Result<Record, EngineError> {
        let _lock = self.user_lock(user).lock().await;
        let (_pinned, at) = self.pin_known(user).await?;
        let now = self.clock.now();
        let (report, proposed) = self.begin_report(at, now, input)?;
        let times = ReportTimes {
            last_seen: now.wall,
            last_active: input.update_last_active.then_some(now.wall),
        };
        let saved = match &report {
            Some(report) => {
                self.store
                    .save_report(user, new_report(report, now), times, proposed)
                    .await
            }
            None => self.store.end_report(user, &input.source, times, proposed).await,
        };
        let mut shard = self.shards.of_ref(at);
        let entry = shard.entry(at).ok_or(EngineError::StoreUnavailable)?;
        entry.is_refreshing = false;
        let saved = match saved {
            Ok(saved) => saved,
            Err(error) => {
                // Reports whose deadline has passed meanwhile end now.
                self.recompute(&mut shard, at, self.clock.now());
                drop(shard);
                self.refresh_after(&error, at, UnknownOutcome::Change);
                return Err(EngineError::StoreUnavailable);
            }
        };
        let before = entry.profile.reports().len();
        entry.profile.handle_durable(durable_part(saved, now), now.wall);
        entry.profile.note_report(now.wall, input);
        self.count_reports(before, entry.profile.reports().len());
        self.recompute(&mut shard, at, self.clock.now());
        let entry = shard.peek(at).ok_or(EngineError::StoreUnavailable)?;
        Ok(self.record_of(entry, Viewer::Internal))
    }

    /// The report that is to be on disk before it is shown, or none if one is to end, and the version to propose. One that is
    /// refreshed in time holds until the disk has answered, however long that takes.
    fn begin_report(
        &self,
        at: UserRef,
        now: Now,
        input: &ReportInput,
    ) -> Result<(Option<Report>, Version), EngineError> {
        let mut shard = self.shards.of_ref(at);
        let entry = shard.entry(at).ok_or(EngineError::StoreUnavailable)?;
        let reports = entry.profile.reports();
        let is_new = !reports.iter().any(|one| one.source == input.source);
        let report = entry.profile.report(now, input);
        if report.is_some() && is_new && reports.len() >= self.options.reports_per_user {
            return Err(EngineError::TooManyReports);
        }
        entry.is_refreshing = report.is_some() && !is_new;
        Ok((report, entry.profile.version()))
    }

    /// Keeps the count of reports in step.
    pub(super) fn count_reports(&self, before: usize, after: usize) {
        let tally = &self.tallies.reports;
        if after >= before {
            tally.fetch_add((after - before) as u64, std::sync::atomic::Ordering::Relaxed);
        } else {
            tally.fetch_sub((before - after) as u64, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

fn new_report(report: &Report, now: Now) -> NewReport {
    NewReport {
        source: report.source.clone(),
        status: report.status,
        since: report.since,
        heard: report.heard,
        last_active: report.last_active,
        expires_at: report.expires.map(|at| now.wall_at(at)),
    }
}
