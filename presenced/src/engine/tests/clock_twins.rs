//! A property: whatever the wall clock does, it decides nothing but times. Two engines are taken through the same random
//! steps, one with a right clock and one whose clock starts wrong, is set at random, and stands still.

use std::time::Duration;

use presence::wire::record::{Record, Viewer};
use presence::{Actor, CustomStatus, EndReason, ReportInput, Status, Wall};

use super::fixture::user;
use super::random::Rng;
use super::stepped_engine::{BEGIN, Stepped, SteppedClient};

const USERS: [&str; 2] = ["ann", "bob"];
const SEEDS: u64 = 16;
const STEPS: usize = 120;
/// By how much a clock is off at most, in milliseconds: three days.
const OFF_MAX_MILLIS: usize = 3 * 86_400_000;

/// One of the two, with its connections in the order in which they began.
struct Twin {
    stepped: Stepped,
    clients: Vec<(&'static str, SteppedClient)>,
    watcher: SteppedClient,
    /// Last seen and last active as they were last told.
    told: [(Option<Wall>, Option<Wall>); 2],
}

#[derive(Debug, Clone)]
enum TwinStep {
    Connect(&'static str),
    Active(usize),
    Away(usize),
    Heard(usize),
    End(usize, EndReason),
    Set(&'static str, CustomStatus, Actor),
    Report(&'static str, ReportInput),
    Advance(Duration),
    Stall(Duration),
    Write,
}

impl TwinStep {
    fn at_random(rng: &mut Rng, clients: usize) -> Self {
        let name = rng.pick(&USERS);
        match rng.below(14) {
            0 | 1 if clients < 4 => Self::Connect(name),
            2 | 3 if clients > 0 => Self::Active(rng.below(clients)),
            4 if clients > 0 => Self::Away(rng.below(clients)),
            5 if clients > 0 => Self::Heard(rng.below(clients)),
            6 if clients > 0 => {
                let ends = [EndReason::Closed, EndReason::Left, EndReason::Lost, EndReason::Dropped];
                Self::End(rng.below(clients), rng.pick(&ends))
            }
            7 => {
                let customs = [CustomStatus::Online, CustomStatus::Idle, CustomStatus::DoNotDisturb];
                Self::Set(name, rng.pick(&customs), rng.pick(&[Actor::User, Actor::Operator]))
            }
            8 | 9 => Self::Report(
                name,
                ReportInput {
                    source: rng.pick(&["left", "right"]).parse().expect("a source"),
                    status: rng.pick(&[Status::Online, Status::Idle, Status::DoNotDisturb, Status::Offline]),
                    ttl: rng.pick(&[None, Some(2), Some(60)]).map(Duration::from_secs),
                    update_last_active: rng.once_in(2),
                },
            ),
            10 => Self::Stall(Duration::from_secs(2)),
            11 => Self::Write,
            _ => Self::Advance(Duration::from_millis(rng.pick(&[50, 1_000, 4_900, 61_000, 310_000]))),
        }
    }
}

impl Twin {
    async fn begin(wall: Wall) -> Self {
        let stepped = Stepped::at(wall).await;
        let watcher = stepped.observe();
        stepped.engine.watch_all(&watcher.conn, None, None).await;
        Self {
            stepped,
            clients: Vec::new(),
            watcher,
            told: [(None, None); 2],
        }
    }

    async fn take(&mut self, step: TwinStep) {
        let (stepped, engine) = (&self.stepped, &self.stepped.engine);
        match step {
            TwinStep::Connect(name) => self.clients.push((name, stepped.connect(name).await)),
            TwinStep::Active(index) => drop(engine.activity(&self.clients[index].1.conn, Duration::ZERO)),
            TwinStep::Away(index) => drop(engine.away(&self.clients[index].1.conn, None)),
            TwinStep::Heard(index) => engine.heard(&self.clients[index].1.conn),
            TwinStep::End(index, reason) => {
                let (_, client) = self.clients.remove(index);
                stepped.disconnect(&client, reason);
            }
            TwinStep::Set(name, custom, actor) => {
                // Twenty in ten seconds are allowed.
                let _ = engine
                    .set_custom_status(&user(name), custom, actor, Viewer::Internal)
                    .await;
            }
            TwinStep::Report(name, input) => drop(engine.report(&user(name), input).await.expect("a record")),
            TwinStep::Advance(by) => stepped.advance(by),
            TwinStep::Stall(by) => {
                stepped.clock.stall(by);
                stepped.beat();
            }
            TwinStep::Write => stepped.write().await,
        }
        self.stepped.beat();
        self.stepped.deliver();
    }

    /// What the two must agree on, after a check of what each must keep to.
    async fn seen(&mut self) -> (Vec<Record>, Vec<(String, Option<Status>)>) {
        let mut records = Vec::new();
        for (name, told) in USERS.iter().zip(&mut self.told) {
            let mut record = self.stepped.record(name).await;
            let explained = self.stepped.engine.explain(&user(name)).await.expect("an explanation");
            let times = (record.last_seen, record.last_active);
            assert!(record.last_active <= record.last_seen, "{record:?}");
            assert!(
                record.latest_time() <= Some(explained.now),
                "{record:?} at {:?}",
                explained.now
            );
            assert!(times.0 >= told.0 && times.1 >= told.1, "{record:?} after {told:?}");
            *told = times;
            (record.since, record.last_seen, record.last_active) = (None, None, None);
            record.revision = presence::Revision::NEVER;
            records.push(record);
        }
        let mut told = self.watcher.told();
        // Users that met in a batch are told in no order.
        told.sort_by(|(one, _), (other, _)| one.cmp(other));
        (records, told)
    }
}

async fn walk(seed: u64) {
    let mut rng = Rng::new(seed);
    let off = |rng: &mut Rng| {
        let millis = i64::try_from(rng.below(2 * OFF_MAX_MILLIS)).expect("milliseconds");
        Wall::from_millis(BEGIN.as_millis() - i64::try_from(OFF_MAX_MILLIS).expect("milliseconds") + millis)
    };
    let mut right = Twin::begin(BEGIN).await;
    let mut wrong = Twin::begin(off(&mut rng)).await;
    for number in 0..STEPS {
        let step = TwinStep::at_random(&mut rng, right.clients.len());
        let before = wrong.stepped.clock.wall();
        right.take(step.clone()).await;
        wrong.take(step.clone()).await;
        match rng.below(4) {
            0 => wrong.stepped.clock.set_wall(off(&mut rng)),
            // It stands still.
            1 => wrong.stepped.clock.set_wall(before),
            _ => {}
        }
        wrong.stepped.beat();
        assert_eq!(
            right.seen().await,
            wrong.seen().await,
            "seed {seed}, step {number}: {step:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_wall_clock_decides_nothing_but_times() {
    for seed in 0..SEEDS {
        walk(seed).await;
    }
}
