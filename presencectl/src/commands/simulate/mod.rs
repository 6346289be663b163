//! `simulate`: N simulated users over real WebSockets. Prepares the run, goes through its phases and disconnects
//! everyone at the end. One user is in `simulated_user`, the counts are in `counters`, the result is in `summary`.

mod capacity;
mod continuity;
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
use crate::client::server_url::ServerUrl;
use crate::clock;
use crate::failure::{Exit, Failure};
use crate::rng::Rng;
use counters::Counters;
use identities::{FirstConnection, Identities};
use progress::Progress;
use simulated_user::{Phase, SimulatedUser};

/// Concurrent handshakes: enough to keep a daemon busy, few enough that none waits for a lost packet.
const HANDSHAKES_MAX: usize = 64;
/// The interval of one user's actions without `--rate`.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
/// Timeout of the connect phase, added to what it needs at a hundred connects per second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout of the disconnect phase.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Concurrent requests to forget users.
const FORGET_CONCURRENCY: usize = 16;

/// What all simulated users share.
struct Simulation {
    /// The daemon, and the further nodes of its cluster.
    targets: Vec<Target>,
    identities: Identities,
    /// The first user's connection, until that user takes it.
    first: Cell<Option<FirstConnection>>,
    users: u64,
    watch_per_user: u64,
    /// The mean interval between two actions of a user; `None` without actions.
    mean_interval: Option<Duration>,
    seed: u64,
    /// Permits for concurrent handshakes.
    handshakes: Semaphore,
    /// How many users have tried to connect at least once.
    arrived: Cell<u64>,
    /// How often each user has signed out.
    signed_out: RefCell<Vec<u64>>,
    /// Until when a daemon that some user was told restarts may be away, for users who were about to connect too.
    restart_until: Cell<Option<Instant>>,
    counters: RefCell<Counters>,
}

impl Simulation {
    /// The ids that a user watches: the following ones, wrapping around, so that all are watched equally.
    fn watched_by(&self, number: u64) -> Vec<String> {
        let others = self.watch_per_user.min(self.users - 1);
        (1..=others)
            .map(|step| identities::name((number + step) % self.users))
            .collect()
    }

    /// Whether the daemon may be away because it restarts.
    fn is_restarting(&self) -> bool {
        self.restart_until.get().is_some_and(|until| clock::instant() < until)
    }

    /// Changes and deliveries so far.
    fn so_far(&self) -> (u64, u64) {
        let counters = self.counters.borrow();
        (counters.changes, counters.deliveries)
    }

    /// The number of a simulated user; `None` for any other id.
    fn number_of(&self, user: &str) -> Option<u64> {
        identities::number(user).filter(|number| *number < self.users)
    }
}

/// How long the phases took, and what was counted in them.
#[derive(Debug, Clone, Copy, Default)]
struct PhaseTimes {
    connecting: Duration,
    /// Connections made in the connect phase.
    arrived: u64,
    running: Duration,
    /// Changes sent in the run phase.
    changes: u64,
    /// Records received in the run phase; those of the connect and disconnect phases don't count.
    deliveries: u64,
}

pub(super) async fn run(session: &mut Session, args: &Simulate) -> Result<(), Failure> {
    let target = session.target()?;
    let rest = Rest::new(target.clone())?;
    let targets = targets(&target, args)?;
    let by_secret = matches!(target.credential, Credential::Secret { .. });
    if args.forget && !by_secret {
        return Err(
            Failure::usage("--forget needs the daemon's secret").next("add --secret-file FILE, or leave --forget out")
        );
    }
    capacity::reserve_open_files(args.users)?;
    if by_secret {
        capacity::check_daemon(&rest.stats().await?, args.users.div_ceil(targets.len() as u64))?;
    }
    let has_others = targets.len() > 1;
    let (identities, first) = Identities::choose(&session.finder, &target, args.duration, has_others).await?;
    let simulation = Rc::new(Simulation {
        targets,
        identities,
        first: Cell::new(Some(first)),
        users: args.users,
        watch_per_user: args.watch_per_user,
        mean_interval: mean_interval(args.users, args.rate),
        seed: Rng::new().next_u64(),
        handshakes: Semaphore::new(HANDSHAKES_MAX),
        arrived: Cell::new(0),
        signed_out: RefCell::new(vec![0; usize::try_from(args.users).unwrap_or(usize::MAX)]),
        restart_until: Cell::new(None),
        counters: RefCell::new(Counters::default()),
    });
    let times = LocalSet::new().run_until(phases(&simulation, args)).await?;
    simulation.counters.borrow_mut().finish();
    if by_secret && !args.keep {
        forget(&rest, &simulation).await;
    }
    summary::show(session, args, &simulation.counters.borrow(), times)
}

/// The daemon with the further nodes. What was found in a data directory is sent to no other address than its daemon's.
fn targets(target: &Target, args: &Simulate) -> Result<Vec<Target>, Failure> {
    if !args.also.is_empty() && (target.only_for.is_some() || !matches!(target.credential, Credential::Secret { .. })) {
        return Err(Failure::usage(
            "--also sends the secret to further addresses, so the first address and the file of the secret must be named too",
        )
        .next("add --server URL and --secret-file FILE, or a --context that has both"));
    }
    let mut targets = vec![target.clone()];
    for url in &args.also {
        targets.push(Target {
            server: ServerUrl::parse(url)?,
            found: "--also".to_owned(),
            data_dir: None,
            ..target.clone()
        });
    }
    Ok(targets)
}

/// With R actions per second from N users, each acts every N/R seconds.
fn mean_interval(users: u64, rate: Option<f64>) -> Option<Duration> {
    match rate {
        None => Some(DEFAULT_INTERVAL),
        Some(rate) if rate <= 0.0 => None,
        #[expect(clippy::cast_precision_loss, reason = "at most a million users")]
        Some(rate) => Duration::try_from_secs_f64(users as f64 / rate).ok(),
    }
}

/// Connect, run, disconnect. Ctrl-C skips to the last phase, so that no user stays connected.
async fn phases(simulation: &Rc<Simulation>, args: &Simulate) -> Result<PhaseTimes, Failure> {
    let (phase, _) = watch::channel(Phase::Connecting);
    let mut people = JoinSet::new();
    for number in 0..simulation.users {
        people.spawn_local(SimulatedUser::new(Rc::clone(simulation), number, phase.subscribe()).live());
    }
    let progress = Progress::new(args);
    let mut times = PhaseTimes::default();
    let mut stop_requested = pin!(interrupted());

    let begun = clock::instant();
    let hundredths = Duration::from_millis(10).saturating_mul(u32::try_from(simulation.users).unwrap_or(u32::MAX));
    let mut stopped = tokio::select! {
        () = progress.connecting(simulation, begun + CONNECT_TIMEOUT + hundredths) => None,
        stopped = &mut stop_requested => Some(stopped),
    };
    times.connecting = begun.elapsed();
    times.arrived = simulation.counters.borrow().connects;
    if stopped.is_none() {
        let (changes, deliveries) = simulation.so_far();
        phase.send_replace(Phase::Running);
        let living = clock::instant();
        stopped = tokio::select! {
            () = progress.running(simulation, living, living + args.duration) => None,
            stopped = &mut stop_requested => Some(stopped),
        };
        times.running = living.elapsed();
        let (changes_after, deliveries_after) = simulation.so_far();
        times.changes = changes_after - changes;
        times.deliveries = deliveries_after - deliveries;
    }
    stopped.transpose()?;
    phase.send_replace(Phase::Disconnecting);
    // On a second Ctrl-C, or after the timeout, the remaining sockets close with the process.
    let everyone = async { while people.join_next().await.is_some() {} };
    tokio::select! {
        _ = timeout(DISCONNECT_TIMEOUT, everyone) => {}
        stopped = interrupted() => stopped?,
    }
    progress.finish();
    Ok(times)
}

async fn interrupted() -> Result<(), Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::failed(format_args!("can't install signal handlers: {error}")));
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
        .buffer_unordered(FORGET_CONCURRENCY);
    while let Some(result) = forgotten.next().await {
        if let Err(failure) = result {
            let is_gone = failure.exit() == Some(Exit::Unreachable);
            simulation.counters.borrow_mut().error(format!("forget: {failure}"));
            if is_gone {
                return;
            }
        }
    }
}

/// Polls `done` until it is true or `until` is reached.
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
    fn the_rate_is_divided_among_all_users() {
        assert_eq!(mean_interval(100, Some(10.0)), Some(Duration::from_secs(10)));
        assert_eq!(mean_interval(100, Some(0.0)), None);
        assert_eq!(mean_interval(100, None), Some(DEFAULT_INTERVAL));
    }
}
