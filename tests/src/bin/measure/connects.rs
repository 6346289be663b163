//! Measures whether one user can spoil the connects of others: how long a connect takes on a quiet daemon and while one user
//! does its worst within the limits, and whether each of those that connect is shown with the status that it chose.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use presence::Status;
use presence::wire::record::{Record, Update};
use presence::wire::server_message::ServerMessage;
use presence_tests::Daemon;
use presence_tests::clock::Stopwatch;
use presence_tests::greedy_user::{Greed, GreedyUser};
use presence_tests::process::raise_file_limit;
use presence_tests::wait::{Ticker, let_time_pass};
use presence_tests::websocket::{HandshakeHeaders, Socket};
use tokio::task::JoinHandle;

const CONNECTS_PER_SECOND: u32 = 200;
/// The limit of the 99th percentile, as a multiple of a quiet daemon's.
const P99_MAX: f64 = 2.0;
/// How long the user is at it before the connects begin.
const LEAD: Duration = Duration::from_secs(1);

/// What is measured: its name, and what the greedy user does meanwhile.
const PHASES: [(&str, Greed); 4] = [
    ("quiet", greed(false, false)),
    ("32 that watch", greed(true, false)),
    ("30 queries", greed(false, true)),
    ("both", greed(true, true)),
];

const fn greed(is_watching: bool, is_querying: bool) -> Greed {
    Greed {
        is_watching,
        is_querying,
    }
}

/// What came of the connects of one phase.
struct Connects {
    p50: Duration,
    p99: Duration,
    longest: Duration,
    /// Users that were shown otherwise than they chose, to themselves or to an observer.
    wrong: usize,
    /// Ids that the greedy user was shown.
    looked_up: u64,
}

/// Connects so many users in each phase and compares them with the limits.
pub(crate) async fn connects(count: usize) -> ExitCode {
    assert!(count >= 100, "at least a hundred connects");
    raise_file_limit();
    println!("build           {}", super::build());
    let daemon = Daemon::start(&[]).await;
    let mut quiet = Duration::ZERO;
    let mut is_good = true;
    for (name, greed) in PHASES {
        let connects = measure(&daemon, name, greed, count).await;
        if name == "quiet" {
            quiet = connects.p99;
        }
        let ratio = connects.p99.as_secs_f64() / quiet.as_secs_f64();
        println!(
            "{name:<15} {count} connects: p50 {:.2?}, p99 {:.2?} ({ratio:.2} x quiet), longest {:.2?}; {} wrong; {} ids looked up",
            connects.p50, connects.p99, connects.longest, connects.wrong, connects.looked_up
        );
        is_good &= connects.wrong == 0 && ratio <= P99_MAX;
    }
    println!(
        "limits          0 wrong, p99 at most {P99_MAX} x quiet: {}",
        if is_good { "kept" } else { "MISSED" }
    );
    ExitCode::from(u8::from(!is_good))
}

async fn measure(daemon: &Daemon, phase: &str, greed: Greed, count: usize) -> Connects {
    let users: Vec<String> = (0..count).map(|number| format!("{phase} {number}")).collect();
    let rest = daemon.rest();
    let chosen = stream::iter(&users).map(|user| rest.set_custom_status(user, "DO_NOT_DISTURB"));
    chosen
        .buffer_unordered(64)
        .for_each(async |answer| assert_eq!(answer.status, 200))
        .await;
    daemon.flushed().await;
    let (observing, wrong_to_observer) = observe(daemon, phase).await;
    let greedy = GreedyUser::start(daemon.address(), &rest, greed).await;
    let_time_pass(LEAD).await;
    let mut ticks = Ticker::every(Duration::from_secs(1) / CONNECTS_PER_SECOND);
    let mut connecting = Vec::new();
    for user in users {
        ticks.next().await;
        connecting.push(tokio::spawn(connect(daemon.address(), user)));
    }
    let (mut took, mut sockets, mut wrong) = (Vec::new(), Vec::new(), 0);
    for connect in connecting {
        let (duration, socket) = connect.await.unwrap();
        wrong += usize::from(!socket.user.as_ref().is_some_and(is_right));
        took.push(duration);
        sockets.push(socket);
    }
    let looked_up = greedy.looked_up();
    drop(greedy);
    observing.abort();
    for socket in sockets {
        socket.close(Some(1000)).await;
    }
    took.sort_unstable();
    Connects {
        p50: took[count / 2],
        p99: took[count * 99 / 100],
        longest: took[count - 1],
        wrong: wrong + wrong_to_observer.load(Ordering::Relaxed),
        looked_up,
    }
}

async fn connect(address: std::net::SocketAddr, user: String) -> (Duration, Socket) {
    let connecting = Stopwatch::start();
    let socket = Socket::connect(address, HandshakeHeaders::user(&user)).await.unwrap();
    (connecting.elapsed(), socket)
}

/// Counts the records of this phase's users that an observer is told and that are not as they chose.
async fn observe(daemon: &Daemon, phase: &str) -> (JoinHandle<()>, Arc<AtomicUsize>) {
    let wrong = Arc::<AtomicUsize>::default();
    let mut observer = daemon.observer().await;
    observer.snapshot(serde_json::json!({"type": "watchAll"})).await;
    let (counter, prefix) = (Arc::clone(&wrong), format!("{phase} "));
    let observing = tokio::spawn(async move {
        while let Ok(message) = observer.next().await {
            let ServerMessage::Presence { users, .. } = message else {
                continue;
            };
            let is_wrong = |update: &&Update| match update {
                Update::Record(record) => record.user_id.as_str().starts_with(&prefix) && !is_right(record),
                Update::Removed(_) => false,
            };
            counter.fetch_add(users.iter().filter(is_wrong).count(), Ordering::Relaxed);
        }
    });
    (observing, wrong)
}

/// Whether the user is shown as it chose, or is gone.
fn is_right(record: &Record) -> bool {
    !record.degraded && matches!(record.status, Status::DoNotDisturb | Status::Offline)
}
