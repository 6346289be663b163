//! What can happen in a walk, at random, and what each does to the daemon and to the model.

use std::sync::Arc;
use std::time::Duration;

use presence::wire::record::{Record, Viewer};
use presence::{Actor, CustomStatus, EndReason, Now, ReportInput, SessionId, Setter, Status};
use tokio::task::JoinHandle;

use super::naive::Event;
use super::world::{Client, Faults, USERS, WallClock, World};
use crate::connection::close_reason::CloseReason;
use crate::engine::EngineError;
use crate::engine::tests::fixture::user;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Connect(&'static str),
    Heard(usize),
    Message(usize),
    /// A connection says that it continues one of the sessions that there have been.
    Resume(usize, usize),
    Active(usize),
    Away(usize),
    End(usize, EndReason),
    /// The server has a reason to close the connection, which has not ended yet.
    BeginClose(usize),
    Durable(Change),
    /// Changes that wait for the disk while other things happen.
    Slow(Vec<Step>),
    Advance {
        millis: u64,
    },
    Stall {
        millis: u64,
    },
    SetWall {
        millis: i64,
    },
    Watch {
        index: usize,
        resumes: bool,
    },
    StopWatching(usize),
    Deliver,
    Write,
    Retry,
    Heartbeat,
    Faults(Faults),
    Query(&'static str),
    Crash {
        down_millis: u64,
        wall_off_millis: i64,
    },
    Restart {
        down_millis: u64,
        wall_off_millis: i64,
    },
}

/// A change that is on disk before it takes effect.
#[derive(Debug, Clone)]
pub(super) enum Change {
    SetOwn(usize, CustomStatus),
    Set(&'static str, CustomStatus, Actor),
    Report(&'static str, u8, ReportInput),
    Kick(&'static str),
    Forget(&'static str),
}

/// A change whose answer is awaited.
pub(super) struct Pending {
    name: &'static str,
    change: Change,
    /// Whether it is one over a session that has not ended, or over none.
    may_succeed: bool,
    /// How often its user had been forgotten when it began.
    forgotten_before: u64,
    /// When it began, and the session that it came over.
    taken: Now,
    session: Option<u64>,
    answer: JoinHandle<Result<Option<Record>, EngineError>>,
}

impl Step {
    pub(super) fn at_random(world: &mut World) -> Self {
        let wrong = world.wall_clock == WallClock::Wrong;
        let rng = &mut world.rng;
        match rng.below(100) {
            0..=11 => Self::Connect(rng.pick(&USERS)),
            12..=27 => Self::on_connection(world),
            28..=41 => Self::Durable(Change::at_random(world)),
            42..=44 => {
                let count = 2 + rng.below(5);
                Self::Slow((0..count).map(|_| Self::while_slow(world)).collect())
            }
            45..=60 => {
                let choices = [100, 1_000, 4_000, 6_000, 11_000, 31_000, 61_000, 301_000];
                Self::Advance {
                    millis: rng.pick(&choices),
                }
            }
            61 => Self::Stall {
                millis: rng.pick(&[2_000, 60_000]),
            },
            62..=64 if wrong => Self::SetWall {
                millis: rng.pick(&[-3_600_000, -60_000, -1_000, 1_000, 60_000, 3_600_000]),
            },
            62..=68 => Self::Watch {
                index: rng.below(world.watchers.len()),
                resumes: !rng.once_in(3),
            },
            69 => Self::StopWatching(rng.below(world.watchers.len())),
            70..=77 => Self::Deliver,
            78..=84 => Self::Write,
            85 | 86 => Self::Retry,
            87 | 88 => Self::Heartbeat,
            89..=91 => Self::Faults(rng.pick(&[Faults::None, Faults::None, Faults::Reads, Faults::Writes])),
            92..=94 => Self::Query(rng.pick(&USERS)),
            95..=97 => Self::Crash {
                down_millis: rng.pick(&[200, 2_000, 20_000, 400_000]),
                wall_off_millis: if wrong {
                    rng.pick(&[0, 0, -3_600_000, 3_600_000])
                } else {
                    0
                },
            },
            _ => Self::Restart {
                down_millis: rng.pick(&[200, 2_000, 20_000, 400_000]),
                wall_off_millis: if wrong {
                    rng.pick(&[0, 0, -3_600_000, 3_600_000])
                } else {
                    0
                },
            },
        }
    }

    fn on_connection(world: &mut World) -> Self {
        let rng = &mut world.rng;
        if world.clients.is_empty() {
            return Self::Connect(rng.pick(&USERS));
        }
        let index = rng.below(world.clients.len());
        match rng.below(15) {
            0 => Self::Heard(index),
            12 => Self::Message(index),
            13 | 14 => Self::Resume(index, rng.below(world.names.len())),
            1..=3 => Self::Active(index),
            4 | 5 => Self::Away(index),
            6 => Self::BeginClose(index),
            _ => {
                let ends = [
                    EndReason::Closed,
                    EndReason::Left,
                    EndReason::Lost,
                    EndReason::Lost,
                    EndReason::Dropped,
                ];
                Self::End(index, rng.pick(&ends))
            }
        }
    }

    /// What may happen while changes wait for the disk.
    fn while_slow(world: &mut World) -> Self {
        if world.rng.once_in(2) {
            Self::on_connection(world)
        } else {
            Self::Durable(Change::at_random(world))
        }
    }
}

impl Change {
    /// The user that it names.
    fn user(&self) -> &'static str {
        match self {
            Self::Set(name, ..) | Self::Report(name, ..) | Self::Kick(name) | Self::Forget(name) => name,
            Self::SetOwn(..) => panic!("the user of the session"),
        }
    }

    fn at_random(world: &mut World) -> Self {
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
    pub(super) async fn take(&mut self, step: Step) {
        match step {
            Step::Durable(change) => {
                let pending = self.begin(change).await;
                self.finish(pending).await;
            }
            Step::Slow(steps) => self.slowly(steps).await,
            Step::Advance { millis } => self.advance(Duration::from_millis(millis)),
            Step::Stall { millis } => {
                self.daemon().clock.stall(Duration::from_millis(millis));
                let _ = self.daemon().clock.beat();
                self.has_stalled = true;
                self.advance(Duration::from_millis(100));
            }
            Step::SetWall { millis } => self.set_wall(millis),
            Step::Watch { index, resumes } => self.watch(index, resumes).await,
            Step::StopWatching(index) => {
                let mut watchers = std::mem::take(&mut self.watchers);
                watchers[index].disconnect(self.daemon());
                self.watchers = watchers;
            }
            Step::Deliver => {
                self.daemon().deliver();
                self.check_watchers();
            }
            Step::Write => self.write().await,
            Step::Retry => self.retry().await,
            Step::Heartbeat => self.heartbeat().await,
            Step::Faults(faults) => {
                match faults {
                    Faults::None => self.daemon().store.fail_reads(false),
                    Faults::Reads => self.daemon().store.fail_reads(true),
                    Faults::Writes => self.daemon().store.fail_commits(true),
                }
                self.faults = faults;
            }
            Step::Query(name) => self.check_query(name).await,
            Step::Crash {
                down_millis,
                wall_off_millis,
            } => self.crash(down_millis, wall_off_millis).await,
            Step::Restart {
                down_millis,
                wall_off_millis,
            } => self.restart(down_millis, wall_off_millis).await,
            at_once => self.take_at_once(at_once).await,
        }
    }

    /// The steps that never wait for a write.
    async fn take_at_once(&mut self, step: Step) {
        let now = self.now();
        match step {
            Step::Connect(name) => self.connect(name).await,
            Step::Heard(index) => {
                self.daemon().engine.heard(&self.clients[index].client.conn);
                self.note_on(index, |id| Event::Heard { id });
            }
            Step::Message(index) => {
                self.daemon().engine.heard(&self.clients[index].client.conn);
                self.daemon().engine.message(&self.clients[index].client.conn);
                self.note_on(index, |id| Event::Message { id });
            }
            Step::Resume(index, of) => self.resume(index, of),
            Step::Active(index) => {
                let record = self.daemon().engine.activity(&self.clients[index].client.conn);
                assert_eq!(record.is_some(), self.clients[index].is_open);
                self.note_on(index, |id| Event::Activity { id });
            }
            Step::Away(index) => {
                let record = self.daemon().engine.away(&self.clients[index].client.conn);
                assert_eq!(record.is_some(), self.clients[index].is_open);
                if self.clients[index].is_open {
                    self.daemon().engine.heard(&self.clients[index].client.conn);
                }
                self.note_on(index, |id| Event::Away { id });
            }
            Step::BeginClose(index) => self.clients[index].client.conn.close_with(CloseReason::TokenExpired),
            Step::End(index, end) => {
                let client = self.clients.swap_remove(index);
                // A connection keeps the first reason it was given.
                let reason = client.client.conn.close_reason().map_or(end, CloseReason::end_reason);
                self.daemon().disconnect(&client.client, reason);
                if client.is_open {
                    let event = Event::End {
                        id: client.id,
                        end: reason,
                    };
                    self.model(client.user).add(now, event);
                }
            }
            other => panic!("{other:?} waits for writes"),
        }
    }

    fn note_on(&mut self, index: usize, event: impl FnOnce(u64) -> Event) {
        let now = self.now();
        let client = &self.clients[index];
        if client.is_open {
            let (name, event) = (client.user, event(client.id));
            self.model(name).add(now, event);
        }
    }

    async fn connect(&mut self, name: &'static str) {
        let now = self.now();
        let is_in_memory = self.daemon().engine.is_in_memory(&user(name));
        let open = self
            .clients
            .iter()
            .filter(|client| client.is_open && client.user == name);
        let is_full = open.count() >= self.daemon().engine.options.sessions_per_user;
        if is_full {
            return;
        }
        let client = self.daemon().connect(name).await;
        self.next_client += 1;
        let id = self.next_client;
        let cannot_load = self.faults == Faults::Reads && !is_in_memory;
        let model = self.model(name);
        model.is_degraded |= cannot_load;
        model.connect(now, id);
        self.names.push((id, client.conn.name().parse().expect("a name")));
        self.clients.push(Client {
            user: name,
            id,
            client,
            is_open: true,
        });
    }

    /// Begins a change. All changes of one user happen in the order in which they began.
    async fn begin(&mut self, change: Change) -> Pending {
        let engine = Arc::clone(&self.daemon().engine);
        let to_make = change.clone();
        let own = match change {
            Change::SetOwn(index, _) => Some(&self.clients[index]),
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
                Change::SetOwn(_, custom) => engine.set_own_custom_status(&conn.expect("its own"), custom).await,
                Change::Set(name, custom, by) => {
                    let name = user(name);
                    let record = engine.set_custom_status(&name, custom, by, Viewer::Internal);
                    record.await.map(Some)
                }
                Change::Report(name, _, input) => engine.report(&user(name), input).await.map(Some),
                Change::Kick(name) => engine.kick(&user(name)).await.map(|_| None),
                Change::Forget(name) => engine.forget(&user(name)).await.map(|_| None),
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

    async fn finish(&mut self, pending: Pending) {
        let Pending { name, change, .. } = pending;
        let answer = pending.answer.await.expect("no panic");
        let now = self.now();
        let is_over_session = matches!(change, Change::SetOwn(..));
        let is_forgotten = is_over_session && self.models[name].forgotten != pending.forgotten_before;
        if let Err(error) = answer {
            let may_fail = self.faults != Faults::None || is_over_session;
            assert!(may_fail, "{change:?}: {error}");
            if self.faults == Faults::Writes && !matches!(change, Change::Kick(_) | Change::Forget(_)) {
                // It was loaded all the same.
                self.model(name).is_degraded = false;
            }
            return;
        }
        assert!(
            pending.may_succeed && !is_forgotten,
            "{change:?} was made over a session that is none"
        );
        match change {
            Change::SetOwn(_, custom) | Change::Set(_, custom, _) => {
                let setter = match (pending.session, change) {
                    (Some(id), _) => Setter::Connection(SessionId(id)),
                    (None, Change::Set(_, _, Actor::Operator)) => Setter::Operator,
                    (None, _) => Setter::Request,
                };
                self.model(name).set_custom(now, pending.taken, custom, setter);
            }
            Change::Report(_, source, input) => self.model(name).report(now, source, &input),
            Change::Kick(_) => {
                self.model(name).kick(now);
                self.close_clients_of(name);
            }
            Change::Forget(_) => {
                self.model(name).forget();
                self.close_clients_of(name);
            }
        }
    }

    fn close_clients_of(&mut self, name: &str) {
        for client in self.clients.iter_mut().filter(|client| client.user == name) {
            client.is_open = false;
        }
    }

    /// Nothing is committed until all steps have begun.
    async fn slowly(&mut self, steps: Vec<Step>) {
        let store = self.daemon().store.clone();
        let held = store.hold_commits();
        let mut pending = Vec::new();
        for step in steps {
            match step {
                Step::Durable(Change::SetOwn(index, _)) if index >= self.clients.len() => {}
                Step::Durable(change) => {
                    let one = self.begin(change).await;
                    // A kick of a user without reports does not wait for the disk.
                    if one.answer.is_finished() {
                        self.finish(one).await;
                    } else {
                        pending.push(one);
                    }
                }
                Step::Heard(index)
                | Step::Message(index)
                | Step::Resume(index, _)
                | Step::Active(index)
                | Step::Away(index)
                | Step::BeginClose(index)
                    if index >= self.clients.len() => {}
                Step::End(index, _) if index >= self.clients.len() => {}
                other => self.take_at_once(other).await,
            }
        }
        drop(held);
        for one in pending {
            self.finish(one).await;
        }
    }
}
