//! Ends all reports of one source: its gateway is gone, and nobody else would end those that have no lifetime.

use std::sync::Arc;

use presence::wire::record::Viewer;
use presence::{Source, UserId};
use tokio::task::JoinSet;

use super::cache::durable_part;
use super::persistence::UnknownOutcome;
use super::users::UserLock;
use super::{Engine, EngineError, ListRequest};
use crate::request_id;
use crate::store::{ReportTimes, StoreError};

/// Present users looked at in one call: about 10 ms of work.
const SCANNED_MAX: usize = 10_000;
/// Present users looked at in one step.
const STEP: usize = 1_000;
/// Reports ended in one call, beyond those of the last step.
const ENDED_MAX: u64 = 1_000;
/// Reports taken off the disk at the same time: they share commits, and leave room for other writes between them.
const CONCURRENT: usize = 64;

/// What one call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EndedOfSource {
    /// How many reports there were.
    pub(crate) ended: u64,
    /// The last user that was looked at, if there are more.
    pub(crate) next: Option<String>,
}

impl Engine {
    /// Ends the reports of a source, of users after `after` in the order of their ids. No time moves: nobody was heard.
    pub(crate) async fn end_reports_of(
        self: &Arc<Self>,
        source: &Source,
        after: Option<UserId>,
    ) -> Result<EndedOfSource, EngineError> {
        let mut request = ListRequest {
            limit: STEP,
            after,
            ..ListRequest::default()
        };
        let (mut ended, mut scanned) = (0, 0);
        loop {
            let page = self.list(&request);
            let users = page.users.into_iter().map(|record| record.user_id);
            let reporting = users.filter(|user| self.may_have_report(user, source)).collect();
            ended += self.end_each(reporting, source).await?;
            scanned += STEP;
            let is_enough = scanned >= SCANNED_MAX || ended >= ENDED_MAX;
            let last = page.next.as_deref().and_then(|last| UserId::new(last).ok());
            if is_enough || last.is_none() {
                return Ok(EndedOfSource { ended, next: page.next });
            }
            request.after = last;
        }
    }

    /// A user whose durable part is not known for sure counts too.
    fn may_have_report(&self, user: &UserId, source: &Source) -> bool {
        self.users.find(user).is_some_and(|entry| {
            let reports = entry.state.profile().reports();
            reports.iter().any(|report| report.source == *source)
                || entry.state.is_assumed()
                || self.persistence.unknown_outcomes.concerns(entry.at())
        })
    }

    async fn end_each(self: &Arc<Self>, users: Vec<UserId>, source: &Source) -> Result<u64, EngineError> {
        let mut ended = 0;
        for some in users.chunks(CONCURRENT) {
            let mut tasks = JoinSet::new();
            for user in some {
                let (engine, user, source) = (Arc::clone(self), user.clone(), source.clone());
                tasks.spawn(request_id::carried(async move {
                    let change = move |engine: Arc<Self>, lock| async move { engine.end_report(&lock, &source).await };
                    engine.run_durable(&user, change).await
                }));
            }
            while let Some(done) = tasks.join_next().await {
                ended += u64::from(done.map_err(|_| EngineError::TaskPanicked)??);
            }
        }
        Ok(ended)
    }

    /// Whether there was such a report.
    async fn end_report(self: &Arc<Self>, lock: &UserLock, source: &Source) -> Result<bool, EngineError> {
        let pin = self.load_known(lock).await?;
        let (report, proposed) = {
            let entry = self.users.lock(&pin);
            let profile = entry.state.profile();
            let report = profile.reports().iter().find(|report| report.source == *source);
            (report.cloned(), profile.version())
        };
        let Some(report) = report else {
            // The disk may have one that will show later, so the caller has to come again.
            return match self.persistence.unknown_outcomes.concerns(pin.user()) {
                true => Err(StoreError::UnknownOutcome.into()),
                false => Ok(false),
            };
        };
        let times = ReportTimes {
            last_seen: report.heard,
            last_active: None,
        };
        let store = &self.persistence.store;
        let saved = store.end_report(lock.user(), source, times, proposed).await;
        let saved = saved.inspect_err(|error| self.note_failed_write(error, &pin, UnknownOutcome::Change))?;
        {
            let mut entry = self.users.lock(&pin);
            let now = self.now_of(&entry);
            entry.state.end_report(now, durable_part(saved, now));
            self.recompute(&mut entry, now);
        }
        if self.cluster.shared().is_some() {
            self.record_after_write(&pin, Viewer::Internal).await;
        }
        Ok(true)
    }
}
