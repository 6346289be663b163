//! What can happen in a walk, at random, and what each does to the daemon and to the model.

use std::time::Duration;

use presence::EndReason;

use super::durable_steps::DurableStep;
use super::naive::Event;
use super::world::{Faults, USERS, WalkSession, WallClock, World};
use crate::connection::close_reason::CloseReason;
use crate::engine::tests::fixture::user;

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum WalkStep {
    Connect(&'static str),
    Heard(usize),
    Message(usize),
    /// A connection says that it continues one of the sessions that there have been.
    Resume(usize, usize),
    Active(usize, Duration),
    Away(usize, Option<Duration>),
    End(usize, EndReason),
    /// The server has a reason to close the connection, which has not ended yet.
    BeginClose(usize),
    Durable(DurableStep),
    /// A change of which it is not known at first whether it was made.
    Unanswered(DurableStep),
    /// Changes that wait for the disk while other things happen.
    Slow(Vec<WalkStep>),
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

impl WalkStep {
    pub(super) fn at_random(world: &mut World) -> Self {
        let wrong = world.wall_clock == WallClock::Wrong;
        let rng = &mut world.rng;
        match rng.below(100) {
            0..=11 => Self::Connect(rng.pick(&USERS)),
            12..=27 => Self::on_connection(world),
            28..=40 => Self::Durable(DurableStep::at_random(world)),
            41 if wrong || world.faults != Faults::None => Self::Durable(DurableStep::at_random(world)),
            41 => match DurableStep::at_random(world) {
                kick @ DurableStep::Kick(_) => Self::Durable(kick),
                other => Self::Unanswered(other),
            },
            42..=44 => {
                let count = 2 + rng.below(5);
                Self::Slow((0..count).map(|_| Self::while_slow(world)).collect())
            }
            45..=60 => {
                let lengths = [100, 1_000, 4_000, 6_000, 11_000, 31_000, 61_000, 301_000];
                Self::Advance {
                    millis: rng.pick(&lengths),
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

    pub(super) fn on_connection(world: &mut World) -> Self {
        let rng = &mut world.rng;
        if world.clients.is_empty() {
            return Self::Connect(rng.pick(&USERS));
        }
        let index = rng.below(world.clients.len());
        match rng.below(15) {
            0 => Self::Heard(index),
            12 => Self::Message(index),
            13 | 14 => Self::Resume(index, rng.below(world.names.len())),
            1..=3 => Self::Active(index, Duration::from_millis(rng.pick(&[0, 0, 1_000, 40_000, 301_000]))),
            4 | 5 => Self::Away(
                index,
                rng.pick(&[None, None, Some(1_000), Some(301_000)])
                    .map(Duration::from_millis),
            ),
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
        } else if world.rng.once_in(4) {
            Self::Advance {
                millis: world.rng.pick(&[100, 1_000, 3_000]),
            }
        } else {
            Self::Durable(DurableStep::at_random(world))
        }
    }
}

impl World {
    pub(super) async fn take(&mut self, step: WalkStep) {
        match step {
            WalkStep::Durable(change) => {
                let pending = self.begin(change).await;
                self.finish(pending).await;
            }
            WalkStep::Unanswered(change) => self.make_unanswered(change).await,
            WalkStep::Slow(steps) => self.slowly(steps).await,
            WalkStep::Advance { millis } => self.advance(Duration::from_millis(millis)),
            WalkStep::Stall { millis } => {
                self.daemon().clock.stall(Duration::from_millis(millis));
                let _ = self.daemon().clock.beat();
                self.has_stalled = true;
                self.advance(Duration::from_millis(100));
            }
            WalkStep::SetWall { millis } => self.set_wall(millis),
            WalkStep::Watch { index, resumes } => self.watch(index, resumes).await,
            WalkStep::StopWatching(index) => {
                let mut watchers = std::mem::take(&mut self.watchers);
                watchers[index].disconnect(self.daemon());
                self.watchers = watchers;
            }
            WalkStep::Deliver => {
                self.daemon().deliver();
                self.check_watchers();
            }
            WalkStep::Write => self.write().await,
            WalkStep::Retry => self.retry().await,
            WalkStep::Heartbeat => self.heartbeat().await,
            WalkStep::Faults(faults) => {
                match faults {
                    Faults::None => self.daemon().store.fail_reads(false),
                    Faults::Reads => self.daemon().store.fail_reads(true),
                    Faults::Writes => self.daemon().store.fail_commits(true),
                }
                self.faults = faults;
            }
            WalkStep::Query(name) => self.check_query(name).await,
            WalkStep::Crash {
                down_millis,
                wall_off_millis,
            } => self.crash(down_millis, wall_off_millis).await,
            WalkStep::Restart {
                down_millis,
                wall_off_millis,
            } => self.restart(down_millis, wall_off_millis).await,
            at_once => self.take_at_once(at_once).await,
        }
    }

    /// The steps that never wait for a write.
    pub(super) async fn take_at_once(&mut self, step: WalkStep) {
        let now = self.now();
        match step {
            WalkStep::Connect(name) => self.connect(name).await,
            WalkStep::Heard(index) => {
                self.daemon().engine.heard(&self.clients[index].client.conn);
                self.note_on(index, |id| Event::Heard { id });
            }
            WalkStep::Message(index) => {
                self.daemon().engine.heard(&self.clients[index].client.conn);
                self.daemon().engine.message(&self.clients[index].client.conn);
                self.note_on(index, |id| Event::Message { id });
            }
            WalkStep::Resume(index, of) => self.resume(index, of),
            WalkStep::Active(index, ago) => {
                let record = self.daemon().engine.activity(&self.clients[index].client.conn, ago);
                assert_eq!(record.is_some(), self.clients[index].is_open);
                self.note_on(index, |id| Event::Activity { id, ago });
            }
            WalkStep::Away(index, ago) => {
                let record = self.daemon().engine.away(&self.clients[index].client.conn, ago);
                assert_eq!(record.is_some(), self.clients[index].is_open);
                if self.clients[index].is_open {
                    self.daemon().engine.heard(&self.clients[index].client.conn);
                }
                self.note_on(index, |id| Event::Away { id, ago });
            }
            WalkStep::BeginClose(index) => self.clients[index].client.conn.close_with(CloseReason::TokenExpired),
            WalkStep::End(index, end) => {
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
        let is_full = open.count() >= self.daemon().engine.options.limits.load().sessions_per_user;
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
        self.names.push((id, client.conn.name()));
        self.clients.push(WalkSession {
            user: name,
            id,
            client,
            is_open: true,
        });
    }
}
