//! Reports by outside gateways: on disk first, then shown.

use std::sync::Arc;

use presence::wire::record::{Record, Viewer};
use presence::{Now, Reading, Report, ReportInput, UserId};

use super::cache::durable_part;
use super::persistence::UnknownOutcome;
use super::users::UserLock;
use super::{Engine, EngineError};
use crate::store::{NewReport, ReportTimes};

impl Engine {
    /// Opens, refreshes or ends a report. The record for internal callers.
    pub(crate) async fn report(self: &Arc<Self>, user: &UserId, input: ReportInput) -> Result<Record, EngineError> {
        // It may be long before the disk has it; the user was heard, and the report's time began, when it was asked for.
        let taken = self.clock.read();
        self.run_durable(user, move |engine, lock| async move {
            engine.save_report(&lock, taken, &input).await
        })
        .await
    }

    async fn save_report(
        self: &Arc<Self>,
        lock: &UserLock,
        taken: Reading,
        input: &ReportInput,
    ) -> Result<Record, EngineError> {
        let pin = self.load_known(lock).await?;
        let (now, taken, report, known) = {
            let mut entry = self.users.lock(&pin);
            let now = self.now_of(&entry);
            let taken = entry.state.asked_at(taken, now);
            let known = entry.state.profile().durable_part().clone();
            let report = entry
                .state
                .begin_report_write(taken, input, self.options.limits.load().reports_per_user);
            // The clock may have been set back meanwhile.
            let wall = now.wall.max(taken.wall);
            (Now { wall, ..now }, taken, report, known)
        };
        let report = report.map_err(|_| EngineError::TooManyReports)?;
        let times = ReportTimes {
            last_seen: taken.wall,
            last_active: input.update_last_active.then_some(taken.wall),
        };
        let store = &self.persistence.store;
        let saved = match &report {
            Some(report) => {
                let report = new_report(report, taken);
                store.save_report(lock.user(), report, times, known.version).await
            }
            None => store.end_report(lock.user(), &input.source, times, known.version).await,
        };
        let is_new = {
            let mut entry = self.users.lock(&pin);
            entry.state.end_report_write();
            let saved = saved.inspect_err(|error| {
                // A report that reached its deadline meanwhile ends now.
                let now = self.now_of(&entry);
                self.recompute(&mut entry, now);
                self.note_failed_write(error, &pin, UnknownOutcome::Change);
            })?;
            // `taken` is the moment from which the stored deadline was computed, so the deadline is converted back exactly.
            entry.state.set_report(now, taken, input, durable_part(saved, taken));
            let now = self.now_of(&entry);
            self.recompute(&mut entry, now);
            !entry.state.profile().durable_part().says_the_same_as(&known)
        };
        match self.cluster.shared() {
            // The end of a report that was not there: the log has nothing to tell.
            Some(shared) if report.is_none() && !is_new => Ok(self.record_by_log(shared, &pin, Viewer::Internal).await),
            _ => Ok(self.record_after_write(&pin, Viewer::Internal).await),
        }
    }
}

fn new_report(report: &Report, taken: Now) -> NewReport {
    NewReport {
        source: report.source.clone(),
        status: report.status,
        said: (report.said < report.version).then_some(report.said),
        since: report.since,
        heard: report.heard,
        last_active: report.last_active,
        expires_at: report.expires.map(|at| taken.wall_at(at)),
    }
}
