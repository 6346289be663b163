//! Steps that are on disk before they take effect: how they begin, wait, and end.

use std::sync::Arc;
use std::time::Duration;

use presence::wire::record::{Record, Viewer};
use presence::{Actor, CustomStatus, Now, ReportInput, SessionId, Setter, Status};
use tokio::task::JoinHandle;

use super::steps::WalkStep;
use super::world::{Faults, USERS, World};
use crate::engine::EngineError;
use crate::engine::tests::fixture::user;
use crate::store::StoreError;

/// A change that is on disk before it takes effect.
#[derive(Debug, Clone)]
pub(super) enum DurableStep {
    SetOwn(usize, CustomStatus),
    Set(&'static str, CustomStatus, Actor),
    Report(&'static str, u8, ReportInput),
    Kick(&'static str),
    Forget(&'static str),
}

/// A change whose answer is awaited.
pub(super) struct Pending {
    name: &'static str,
    change: DurableStep,
    /// Whether it is one over a session that has not ended, or over none.
    may_succeed: bool,
    /// How often its user had been forgotten when it began.
    forgotten_before: u64,
    /// When it began, and the session that it came over.
    taken: Now,
    session: Option<u64>,
    answer: JoinHandle<Result<Option<Record>, EngineError>>,
}

impl DurableStep {
    /// The user that it names.
    fn user(&self) -> &'static str {
        match self {
            Self::Set(name, ..) | Self::Report(name, ..) | Self::Kick(name) | Self::Forget(name) => name,
            Self::SetOwn(..) => panic!("the user of the session"),
        }
    }

    pub(super) fn at_random(world: &mut World) -> Self {
        let rng = &mut world.rng;
        let name = rng.pick(&USERS);
        let custom = rng.pick(&[CustomStatus::Online, CustomStatus::Idle, CustomStatus::DoNotDisturb]);
        match rng.below(16) {
            0..=3 if !world.clients.is_empty() => Self::SetOwn(rng.below(world.clients.len()), custom),
            0..=5 => Self::Set(name, custom, rng.pick(&[Actor::User, Actor::User, Actor::Operator])),
            6..=12 => {
                let number = rng.below(2);
                let statuses = [Status::Online, Status::Idle, Status::DoNotDisturb, Status::Offline];
                let ttls = [None, Some(2), Some(5), Some(60)];
                let input = ReportInput {
                    source: ["left", "right"][number].parse().expect("a source"),
                    status: rng.pick(&statuses),
                    ttl: rng.pick(&ttls).map(Duration::from_secs),
                    update_last_active: rng.once_in(2),
                };
                Self::Report(name, u8::try_from(number).expect("0 or 1"), input)
            }
            13 => Self::Kick(name),
            _ => Self::Forget(name),
        }
    }
}

impl World {
    /// Begins a change. All changes of one user happen in the order in which they began.
    pub(super) async fn begin(&mut self, change: DurableStep) -> Pending {
        let engine = Arc::clone(&self.daemon().engine);
        let to_make = change.clone();
        let own = match change {
            DurableStep::SetOwn(index, _) => Some(&self.clients[index]),
            _ => None,
        };
        let name = own.map_or_else(|| change.user(), |client| client.user);
        let may_succeed = own.is_none_or(|client| client.is_open);
        let session = own.map(|client| client.id);
        let taken = self.now();
        let forgotten_before = self.models[name].forgotten;
        let conn = own.map(|client| Arc::clone(&client.client.conn));
        let answer = tokio::spawn(async move {
            match to_make {
                DurableStep::SetOwn(_, custom) => engine.set_own_custom_status(&conn.expect("its own"), custom).await,
                DurableStep::Set(name, custom, by) => {
                    let name = user(name);
                    let record = engine.set_custom_status(&name, custom, by, Viewer::Internal);
                    record.await.map(Some)
                }
                DurableStep::Report(name, _, input) => engine.report(&user(name), input).await.map(Some),
                DurableStep::Kick(name) => engine.kick(&user(name)).await.map(|_| None),
                DurableStep::Forget(name) => engine.forget(&user(name)).await.map(|_| None),
            }
        });
        // Until the change stands in line for the lock of its user.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        Pending {
            name,
            change,
            may_succeed,
            forgotten_before,
            taken,
            session,
            answer,
        }
    }

    pub(super) async fn finish(&mut self, pending: Pending) {
        let Pending { name, change, .. } = pending;
        let answer = pending.answer.await.expect("no panic");
        let is_unknown = answer == Err(EngineError::Store(StoreError::UnknownOutcome));
        if is_unknown {
            self.daemon().store.lose_answers(false);
            self.daemon().engine.settle_unknown_outcomes().await;
        }
        let now = self.now();
        let is_over_session = matches!(change, DurableStep::SetOwn(..));
        let is_forgotten = is_over_session && self.models[name].forgotten != pending.forgotten_before;
        if let (Err(error), false) = (answer, is_unknown) {
            let may_fail = self.faults != Faults::None || is_over_session;
            assert!(may_fail, "{change:?}: {error}");
            // It was loaded all the same, unless it was refused before that.
            let entry = self.daemon().engine.users.find(&user(name));
            let is_degraded = entry.is_some_and(|entry| entry.state.is_assumed());
            self.model(name).is_degraded &= is_degraded;
            return;
        }
        assert!(
            pending.may_succeed && !is_forgotten,
            "{change:?} was made over a session that is none"
        );
        match change {
            DurableStep::SetOwn(_, custom) | DurableStep::Set(_, custom, _) => {
                let setter = match (pending.session, change) {
                    (Some(id), _) => Setter::Connection(SessionId(id)),
                    (None, DurableStep::Set(_, _, Actor::Operator)) => Setter::Operator,
                    (None, _) => Setter::Request,
                };
                match is_unknown {
                    true => self.model(name).find_custom(now, pending.taken, custom, setter),
                    false => self.model(name).set_custom(now, pending.taken, custom, setter),
                }
            }
            DurableStep::Report(_, source, input) => self.model(name).report(now, pending.taken, source, &input),
            DurableStep::Kick(_) => {
                self.model(name).kick(now);
                self.close_clients_of(name);
            }
            DurableStep::Forget(_) => {
                self.model(name).forget();
                self.close_clients_of(name);
            }
        }
    }

    /// The change is stored, and its answer is lost: what it came to is found out later.
    pub(super) async fn make_unanswered(&mut self, change: DurableStep) {
        self.daemon().store.lose_answers(true);
        let pending = self.begin(change).await;
        self.finish(pending).await;
        self.daemon().store.lose_answers(false);
    }

    /// Whether nothing happens by itself for so long, and a while before and after.
    fn is_quiet_for(&self, millis: u64) -> bool {
        let now = self.mono();
        let mut models = self.models.values();
        models.all(|model| {
            let next = model.deadlines_after(now.saturating_sub(40)).into_iter().next();
            next.is_none_or(|next| next > now + millis + 40)
        })
    }

    fn close_clients_of(&mut self, name: &str) {
        for client in self.clients.iter_mut().filter(|client| client.user == name) {
            client.is_open = false;
        }
    }

    /// Nothing is committed until all steps have begun.
    pub(super) async fn slowly(&mut self, steps: Vec<WalkStep>) {
        let store = self.daemon().store.clone();
        let held = store.hold_commits();
        let mut pending = Vec::new();
        for step in steps {
            match step {
                WalkStep::Durable(DurableStep::SetOwn(index, _)) if index >= self.clients.len() => {}
                WalkStep::Durable(change) => {
                    let one = self.begin(change).await;
                    // A kick of a user without reports does not wait for the disk.
                    if one.answer.is_finished() {
                        self.finish(one).await;
                    } else {
                        pending.push(one);
                    }
                }
                WalkStep::Heard(index)
                | WalkStep::Message(index)
                | WalkStep::Resume(index, _)
                | WalkStep::Active(index, _)
                | WalkStep::Away(index, _)
                | WalkStep::BeginClose(index)
                    if index >= self.clients.len() => {}
                WalkStep::End(index, _) if index >= self.clients.len() => {}
                WalkStep::Advance { millis } => {
                    if self.is_quiet_for(millis) {
                        self.daemon().advance(Duration::from_millis(millis));
                    }
                }
                other => self.take_at_once(other).await,
            }
        }
        drop(held);
        for one in pending {
            self.finish(one).await;
        }
    }
}
