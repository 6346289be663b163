//! The one task that writes. What clients wait for when a transaction begins shares its commit; each request has an answer of
//! its own, and none is given before the commit is known to be durable. Rows that are written behind have transactions of their
//! own: a client waits neither for many of them nor, on another node, for the locks of their users.
//!
//! If one request of several can't be stored, they are done again one by one. What another node was in the way of is tried
//! again; everything else that fails is answered, and the next request is the next attempt. While the outcome of a commit is
//! unknown nothing else is written: the next answer of the server decides it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use presence::UserId;

use super::columns::check_numbers;
use super::commit_mark::{CommitMark, Decision};
use super::failure::Failure;
use super::group::GroupAnswers;
use super::health::ServerHealth;
use super::single::is_single;
use super::tombstones::KnownTombstones;
use super::transaction::{self, Uncommitted};
use super::write_session::WriteLink;
use crate::clock::Stopwatch;
use crate::store::metrics::FailureKind;
use crate::store::queue::Queue;
use crate::store::write_request::{WriteJob, WriteRequest};
use crate::store::{OpenOptions, StoreError};

/// How often a transaction is begun anew because another was in its way.
const ATTEMPTS: usize = 5;
/// How often an outcome is asked for.
const DECIDE_EVERY: Duration = Duration::from_millis(50);

/// The state of the task.
pub(super) struct PostgresWriter {
    link: WriteLink,
    queue: Arc<Queue<WriteJob>>,
    health: Arc<ServerHealth>,
    options: OpenOptions,
    /// What was taken out of the queue and has to wait for the next transaction.
    next: Option<WriteRequest>,
    /// What is written behind comes next, if something is: it takes turns with what clients wait for.
    is_turn_of_rows: bool,
}

/// Why requests are not stored.
enum Unstored {
    /// They are not, and won't be.
    Failed(Failure),
    /// They may be; nobody will find it out any more.
    Undecided(Failure),
}

/// Requests that share a transaction, while they are collected.
#[derive(Default)]
struct Collected {
    requests: Vec<WriteRequest>,
    /// Users whose durable part is written.
    users: HashSet<UserId>,
    rows: usize,
}

impl Collected {
    /// Whether a request has to wait for the next transaction.
    fn is_in_the_way(&self, request: &WriteRequest) -> bool {
        match request {
            request if is_single(request) => !self.requests.is_empty(),
            WriteRequest::Durable(write, _) => self.users.contains(&write.user),
            _ => false,
        }
    }

    fn add(&mut self, request: WriteRequest) {
        self.rows += request.rows();
        if let WriteRequest::Durable(write, _) = &request {
            self.users.insert(write.user.clone());
        }
        self.requests.push(request);
    }

    fn is_full(&self, rows_max: usize) -> bool {
        let is_alone = |first: &WriteRequest| is_single(first) || first.is_written_behind();
        self.rows >= rows_max || self.requests.first().is_some_and(is_alone)
    }
}

impl PostgresWriter {
    pub(super) fn new(
        link: WriteLink,
        queue: Arc<Queue<WriteJob>>,
        health: Arc<ServerHealth>,
        options: OpenOptions,
    ) -> Self {
        Self {
            link,
            queue,
            health,
            options,
            next: None,
            is_turn_of_rows: false,
        }
    }

    /// Writes until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        loop {
            match self.first().await {
                Some(request) => {
                    self.is_turn_of_rows = !request.is_written_behind();
                    let requests = self.collect(request);
                    self.write(requests).await;
                }
                None if self.queue.is_closed() && self.queue.is_empty() => return,
                None => {}
            }
        }
    }

    /// The first request of the next transaction; none if it was not wanted any more, or the queue was closed.
    async fn first(&mut self) -> Option<WriteRequest> {
        // Nothing that waits behind a forget may be done before it.
        let mut is_behind = self.next.as_ref().is_some_and(is_single);
        let are_rows = |job: &WriteJob| {
            is_behind |= is_single(&job.request);
            !is_behind && job.request.is_written_behind()
        };
        if std::mem::take(&mut self.is_turn_of_rows)
            && let Some(rows) = self.queue.try_pop_where(are_rows)
        {
            return self.taken(rows);
        }
        if let Some(request) = self.next.take() {
            return Some(request);
        }
        let job = match self.queue.try_pop_where(is_awaited) {
            Some(job) => job,
            None => self.queue.popped().await?,
        };
        self.taken(job)
    }

    /// A request that is wanted and can be stored. Others are answered.
    fn taken(&self, job: WriteJob) -> Option<WriteRequest> {
        if !job.ticket.take() {
            return None;
        }
        match check_numbers(&job.request) {
            Ok(()) => Some(job.request),
            Err(failure) => {
                let error = self.health.request_failed(&failure);
                job.request.refuse(error);
                None
            }
        }
    }

    /// This request and those that wait by now, if clients wait for them.
    fn collect(&mut self, first: WriteRequest) -> Vec<WriteRequest> {
        let mut collected = Collected::default();
        collected.add(first);
        while !collected.is_full(self.options.batch_max)
            && let Some(job) = self.queue.try_pop_where(is_awaited)
        {
            let Some(request) = self.taken(job) else { continue };
            if collected.is_in_the_way(&request) {
                self.next = Some(request);
                break;
            }
            collected.add(request);
        }
        collected.requests
    }

    /// Does the requests and answers each.
    async fn write(&mut self, requests: Vec<WriteRequest>) {
        if let Some(sealed) = self.health.sealed() {
            refuse(requests, &sealed);
            return;
        }
        let watch = Stopwatch::start();
        let count = requests.len();
        let failure = match self.attempt(&requests).await {
            Ok((answers, known)) => {
                let metrics = self.health.metrics();
                metrics.commit_requests.observe(count as f64);
                metrics.commit_seconds.observe(watch.elapsed().as_secs_f64());
                self.health.written();
                return answer(requests, answers, &known);
            }
            Err(Unstored::Failed(failure)) => failure,
            Err(Unstored::Undecided(failure)) => return self.leave_undecided(requests, &failure),
        };
        let is_of_one = matches!(failure.kind, FailureKind::Request | FailureKind::Locked);
        if is_of_one && count > 1 {
            self.write_each(requests, &watch).await;
        } else if failure.kind == FailureKind::Request {
            refuse(requests, &self.health.request_failed(&failure));
        } else {
            let error = self.health.write_failed(&failure);
            let mut refused = requests;
            if failure.ends_session() || self.health.sealed().is_some() {
                // Each of those that wait would try the same server again.
                refused.extend(self.take_waiting());
            }
            refuse(refused, &error);
        }
    }

    /// One by one, so that one that fails fails alone. A lock that is in the way of many is not waited for each time.
    async fn write_each(&mut self, requests: Vec<WriteRequest>, watch: &Stopwatch) {
        let mut last = None;
        for request in requests {
            let request = vec![request];
            let failure = match &last {
                Some(failure) if watch.elapsed() >= self.options.answer_within => Failure::clone(failure),
                _ => match self.attempt(&request).await {
                    Ok((answers, known)) => {
                        self.health.written();
                        answer(request, answers, &known);
                        continue;
                    }
                    Err(Unstored::Failed(failure)) => failure,
                    Err(Unstored::Undecided(failure)) => {
                        self.leave_undecided(request, &failure);
                        continue;
                    }
                },
            };
            let error = match failure.kind {
                FailureKind::Request => self.health.request_failed(&failure),
                _ => self.health.write_failed(&failure),
            };
            refuse(request, &error);
            last = Some(failure).filter(|failure| failure.kind != FailureKind::Request);
        }
    }

    /// It stays open whether they are stored.
    fn leave_undecided(&mut self, requests: Vec<WriteRequest>, failure: &Failure) {
        self.health.write_failed(failure);
        refuse(requests, &StoreError::UnknownOutcome);
    }

    /// All that wait, to be refused. They are taken before any caller is answered: what it asks for next is not refused for
    /// what was before.
    fn take_waiting(&mut self) -> Vec<WriteRequest> {
        let jobs = self.queue.drain().into_iter().filter(|job| job.ticket.take());
        self.next
            .take()
            .into_iter()
            .chain(jobs.map(|job| job.request))
            .collect()
    }

    /// One transaction, begun anew as long as another is in its way, and while its callers wait for it: what they have given up
    /// must not be done after what came since, as it would after a daemon stood still.
    async fn attempt(&mut self, requests: &[WriteRequest]) -> Result<(GroupAnswers, KnownTombstones), Unstored> {
        let watch = Stopwatch::start();
        let mut known = KnownTombstones::default();
        let mut failure = None;
        for _ in 0..ATTEMPTS {
            // A connection that was lost while nothing was written is noticed with the first write after that.
            let was_connected = failure.is_none() && self.link.is_connected();
            let (failed, is_passing) = match self.attempt_once(requests, &known).await {
                Ok(answers) => return Ok((answers, known)),
                Err(Uncommitted::Covered(tombstones)) => {
                    known = tombstones;
                    continue;
                }
                Err(Uncommitted::Unknown(mark, answers)) => {
                    self.link.drop_session();
                    if self.is_committed(&mark).await? {
                        self.link.committed(mark);
                        return Ok((answers, known));
                    }
                    let text = "the connection was lost at the commit, which was not done";
                    (Failure::new(FailureKind::Unreachable, text), true)
                }
                Err(Uncommitted::Failed(failed)) => {
                    if failed.ends_session() {
                        self.link.drop_session();
                    }
                    let is_passing = failed.kind == FailureKind::Conflict
                        || was_connected && failed.kind == FailureKind::Unreachable;
                    (failed, is_passing)
                }
            };
            if !is_passing || watch.elapsed() >= self.options.answer_within {
                return Err(Unstored::Failed(failed));
            }
            failure = Some(failed);
        }
        let in_the_way = || Failure::new(FailureKind::Conflict, "other nodes wrote the same users");
        Err(Unstored::Failed(failure.unwrap_or_else(in_the_way)))
    }

    async fn attempt_once(
        &mut self,
        requests: &[WriteRequest],
        known: &KnownTombstones,
    ) -> Result<GroupAnswers, Uncommitted> {
        let session = self.link.session().await?;
        let (answers, mark) = transaction::run(session, requests, known, &self.health).await?;
        if let Some(mark) = mark {
            self.link.committed(mark);
        }
        Ok(answers)
    }

    /// Waits until the server tells how a transaction ended. Until then everything else is refused.
    async fn is_committed(&mut self, undecided: &CommitMark) -> Result<bool, Unstored> {
        loop {
            let failure = match self.ask(undecided).await {
                Ok(Decision::Committed) => return Ok(true),
                Ok(Decision::Aborted) => return Ok(false),
                Ok(Decision::Forgotten) => {
                    let failure = Failure::new(FailureKind::Late, "the server has forgotten a transaction");
                    return Err(Unstored::Undecided(failure));
                }
                Ok(Decision::Open) => Failure::late(),
                Err(failure) => failure,
            };
            let error = self.health.write_failed(&failure);
            refuse(self.take_waiting(), &error);
            if self.health.sealed().is_some() {
                // The next start finds out.
                return Err(Unstored::Failed(failure));
            }
            if self.queue.is_closed() {
                return Err(Unstored::Undecided(failure));
            }
            tokio::time::sleep(DECIDE_EVERY).await;
        }
    }

    /// A new connection has ended the old one first, and with it the transaction, unless the commit was under way.
    async fn ask(&mut self, undecided: &CommitMark) -> Result<Decision, Failure> {
        let session = self.link.session().await?;
        let asked = undecided.decide(&session.client).await;
        if asked.as_ref().is_err_and(Failure::ends_session) {
            self.link.drop_session();
        }
        asked
    }
}

/// Whether a client waits for it.
fn is_awaited(job: &WriteJob) -> bool {
    !job.request.is_written_behind()
}

/// Answers what was committed.
fn answer(requests: Vec<WriteRequest>, mut answers: GroupAnswers, known: &KnownTombstones) {
    for request in requests {
        match request {
            WriteRequest::Durable(write, caller) => drop(caller.send(answers.of(&write, known))),
            WriteRequest::Plain(_, caller) => drop(caller.send(Ok(()))),
            WriteRequest::Prune(_, caller) => drop(caller.send(Ok(answers.pruned))),
            // It answers with its row, whatever that was before.
            WriteRequest::Revoke(_, caller) => {
                drop(caller.send(answers.revoked.take().ok_or(StoreError::UnknownOutcome)));
            }
        }
    }
}

fn refuse(requests: impl IntoIterator<Item = WriteRequest>, error: &StoreError) {
    requests.into_iter().for_each(|request| request.refuse(error.clone()));
}
