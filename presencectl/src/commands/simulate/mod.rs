//! `simulate`: N people over real WebSockets. Sets the scene, runs the phases and ends them, whatever happens; what one
//! person does is in `person`, what is counted in `counters`, how it is told in `summary`.

mod capacity;
mod counters;
mod identities;
mod latency;
mod progress;
mod simulated_user;
mod summary;

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use presence::UserId;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep_until, timeout};

use super::Session;
use crate::cli::Simulate;
use crate::client::discover::{Credential, Target};
use crate::client::rest::Rest;
use crate::clock;
use crate::failure::Failure;
use crate::rng::Rng;
use counters::Counters;
use identities::{FirstConnection, Identities};
use progress::Progress;
use simulated_user::{Phase, SimulatedUser};

/// Handshakes under way at once: enough to keep a daemon busy, few enough that none waits for a lost packet.
const ARRIVING_AT_ONCE: usize = 64;
/// Without `--rate` each person does something this often.
const USUAL_WAIT: Duration = Duration::from_secs(10);
/// Arriving takes at most this long on top of what it needs at a hundred a second.
const ARRIVAL_SPARE: Duration = Duration::from_secs(30);
/// Leaving takes at most this long.
const LEAVING_MAX: Duration = Duration::from_secs(15);
/// People forgotten at once.
const FORGET_AT_ONCE: usize = 16;

/// What all simulated people share.
struct Simulation {
    target: Target,
    identities: Identities,
    /// The first person's connection, until it is taken.
    first: Cell<Option<FirstConnection>>,
    users: u64,
    watch_per_user: u64,
    /// Between two actions of a person, on average; none: they do nothing.
    mean_wait: Option<Duration>,
    seed: u64,
    /// Lets few through at once.
    handshakes: Semaphore,
    /// How many have tried to connect at least once.
    arrived: Cell<u64>,
    counters: RefCell<Counters>,
}

impl Simulation {
    /// The ids a person watches: the next ones, around in a circle, so that each is watched by as many.
    fn watched_by(&self, number: u64) -> Vec<String> {
        let others = self.watch_per_user.min(self.users - 1);
        (1..=others)
            .map(|step| identities::name((number + step) % self.users))
            .collect()
    }

    /// Changes and deliveries up to now.
    fn so_far(&self) -> (u64, u64) {
        let counters = self.counters.borrow();
        (counters.changes, counters.deliveries)
    }

    /// The person of this id, if it is one of ours.
    fn number_of(&self, user: &str) -> Option<u64> {
        identities::number(user).filter(|number| *number < self.users)
    }
}

/// How long the phases took, and what was counted in them.
#[derive(Debug, Clone, Copy, Default)]
struct PhaseTimes {
    connecting: Duration,
    /// Connections made while arriving.
    arrived: u64,
    running: Duration,
    /// Changes sent while living.
    changes: u64,
    /// Records of others received while living: neither the arrival nor the departure of the crowd counts.
    deliveries: u64,
}

/// Simulates.
pub(super) async fn run(session: &mut Session, args: &Simulate) -> Result<(), Failure> {
    let target = session.target()?;
    let rest = Rest::new(target.clone())?;
    let by_secret = matches!(target.credential, Credential::Secret { .. });
    if args.forget && !by_secret {
        return Err(
            Failure::usage("--forget needs the daemon's secret").next("add --secret-file FILE, or leave --forget out")
        );
    }
    capacity::reserve_open_files(args.users)?;
    if by_secret {
        capacity::check_daemon(&rest.stats().await?, args.users)?;
    }
    let (identities, first) = Identities::choose(&session.finder, &target, args.duration).await?;
    let simulation = Rc::new(Simulation {
        target,
        identities,
        first: Cell::new(Some(first)),
        users: args.users,
        watch_per_user: args.watch_per_user,
        mean_wait: mean_wait(args.users, args.rate),
        seed: Rng::new().next_u64(),
        handshakes: Semaphore::new(ARRIVING_AT_ONCE),
        arrived: Cell::new(0),
        counters: RefCell::new(Counters::default()),
    });
    let times = LocalSet::new().run_until(phases(&simulation, args)).await?;
    if args.forget {
        forget(&rest, &simulation).await;
    }
    summary::show(session, args, &simulation.counters.borrow(), times)
}

/// With R things a second from N people, each does one every N/R seconds.
fn mean_wait(users: u64, rate: Option<f64>) -> Option<Duration> {
    match rate {
        None => Some(USUAL_WAIT),
        Some(rate) if rate <= 0.0 => None,
        #[expect(clippy::cast_precision_loss, reason = "at most a million people")]
        Some(rate) => Duration::try_from_secs_f64(users as f64 / rate).ok(),
    }
}

/// Arriving, living, leaving. Ctrl-C leads to leaving at once, so that nobody stays behind.
async fn phases(simulation: &Rc<Simulation>, args: &Simulate) -> Result<PhaseTimes, Failure> {
    let (phase, _) = watch::channel(Phase::Connecting);
    let mut people = JoinSet::new();
    for number in 0..simulation.users {
        people.spawn_local(SimulatedUser::new(Rc::clone(simulation), number, phase.subscribe()).live());
    }
    let progress = Progress::new(args);
    let mut times = PhaseTimes::default();
    let mut asked_to_stop = pin!(interrupted());

    let begun = clock::instant();
    let hundredths = Duration::from_millis(10).saturating_mul(u32::try_from(simulation.users).unwrap_or(u32::MAX));
    let mut stopped = tokio::select! {
        () = progress.connecting(simulation, begun + ARRIVAL_SPARE + hundredths) => None,
        stopped = &mut asked_to_stop => Some(stopped),
    };
    times.connecting = begun.elapsed();
    times.arrived = simulation.counters.borrow().connects;
    if stopped.is_none() {
        let (changes, deliveries) = simulation.so_far();
        phase.send_replace(Phase::Running);
        let living = clock::instant();
        stopped = tokio::select! {
            () = progress.running(simulation, living, living + args.duration) => None,
            stopped = &mut asked_to_stop => Some(stopped),
        };
        times.running = living.elapsed();
        let (changes_after, deliveries_after) = simulation.so_far();
        times.changes = changes_after - changes;
        times.deliveries = deliveries_after - deliveries;
    }
    stopped.transpose()?;
    phase.send_replace(Phase::Disconnecting);
    // A second Ctrl-C, or people that can't say goodbye in time: the sockets close with this process.
    let everyone = async { while people.join_next().await.is_some() {} };
    tokio::select! {
        _ = timeout(LEAVING_MAX, everyone) => {}
        stopped = interrupted() => stopped?,
    }
    progress.finish();
    Ok(times)
}

async fn interrupted() -> Result<(), Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::failed(format_args!("can't listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn forget(rest: &Rest, simulation: &Simulation) {
    let ids = (0..simulation.users).filter_map(|number| UserId::new(&identities::name(number)).ok());
    let mut forgotten = futures_util::stream::iter(ids.map(|id| async move { rest.forget(&id).await }))
        .buffer_unordered(FORGET_AT_ONCE);
    while let Some(result) = forgotten.next().await {
        if let Err(failure) = result {
            simulation.counters.borrow_mut().error(format!("forget: {failure}"));
        }
    }
}

/// Waits until `until`, or until `done` says so, looking every now and then.
async fn wait_until(until: Instant, mut done: impl FnMut() -> bool) {
    const LOOK: Duration = Duration::from_millis(100);
    while !done() {
        let now = clock::instant();
        if now >= until {
            return;
        }
        sleep_until((now + LOOK).min(until).into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_all_together() {
        assert_eq!(mean_wait(100, Some(10.0)), Some(Duration::from_secs(10)));
        assert_eq!(mean_wait(100, Some(0.0)), None);
        assert_eq!(mean_wait(100, None), Some(USUAL_WAIT));
    }
}
