//! Waits for a condition with a deadline. No other file of the tests sleeps.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use crate::clock::Stopwatch;

/// The deadline of events that should come at once; long, because both cores may be busy.
pub const DEADLINE: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_millis(15);

/// What shows how late timers are, and how late they are on an idle machine.
const SLEEP: Duration = Duration::from_millis(10);
const SLEEP_LATE: Duration = Duration::from_millis(2);

/// Polls until there is a value, and fails the test after [`DEADLINE`].
pub async fn wait_until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    wait_for(what, DEADLINE, look).await
}

/// Polls until there is a value, and fails the test after `deadline`.
pub async fn wait_for<T>(what: &str, deadline: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = timeout(deadline, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(POLL_INTERVAL).await;
        }
    });
    found
        .await
        .unwrap_or_else(|_| panic!("timeout after {deadline:?}: {what}"))
}

/// Polls until nothing is wrong, and fails the test after `deadline` with what was wrong last.
pub async fn wait_until_right(what: &str, deadline: Duration, mut look: impl AsyncFnMut() -> Option<String>) {
    let mut wrong = String::new();
    let waiting = timeout(deadline, async {
        while let Some(found) = look().await {
            wrong = found;
            sleep(POLL_INTERVAL).await;
        }
    });
    if waiting.await.is_err() {
        panic!("timeout after {deadline:?}: {what}: {wrong}");
    }
}

/// Awaits the future, and fails the test after [`DEADLINE`].
pub async fn within_deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(what, DEADLINE, future).await
}

/// Awaits the future, and fails the test after `deadline`.
pub async fn within<T>(what: &str, deadline: Duration, future: impl Future<Output = T>) -> T {
    timeout(deadline, future)
        .await
        .unwrap_or_else(|_| panic!("timeout after {deadline:?}: {what}"))
}

/// The pause between two looks at something that is about to happen.
pub async fn next_look() {
    sleep(Duration::from_millis(1)).await;
}

/// Awaits the future. How long it took, without the time by which the timers of this process were late meanwhile: while other
/// programs have the processors, both are.
pub async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let (waiting, mut late) = (Stopwatch::start(), Duration::ZERO);
    let mut future = std::pin::pin!(future);
    loop {
        let sleeping = Stopwatch::start();
        let is_late_by = || sleeping.elapsed().saturating_sub(SLEEP + SLEEP_LATE);
        tokio::select! {
            done = &mut future => return (done, waiting.elapsed().saturating_sub(late + is_late_by())),
            () = sleep(SLEEP) => late += is_late_by(),
        }
    }
}

/// Awaits the future. Fails the test if that took longer than `limit` as [`timed`] measures it, and twice [`DEADLINE`] later
/// anyhow: what it waits for fails before, and says what was wrong.
pub async fn timed_within<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> T {
    let (done, took) = timed(within(what, limit + 2 * DEADLINE, future)).await;
    assert!(took <= limit, "{what}: after {took:?}, not {limit:?}");
    done
}

/// By how much a timer was late just now: as long as other programs have the processors, all are.
pub(crate) async fn late_by() -> Duration {
    let sleeping = Stopwatch::start();
    sleep(SLEEP).await;
    sleeping.elapsed().saturating_sub(SLEEP + SLEEP_LATE)
}

/// The pause between two looks of a thread that waits for a server to start.
#[expect(clippy::disallowed_methods, reason = "the tests' one file that waits")]
pub fn next_look_of_thread() {
    std::thread::sleep(POLL_INTERVAL);
}

/// The pause of a client that is slow on purpose; not a wait for the daemon.
pub async fn pause_between_pings() {
    sleep(Duration::from_millis(100)).await;
}

/// Whether the future completes within half a second: for clients that give up, not for what the daemon must do.
pub async fn completes_soon<T>(future: impl Future<Output = T>) -> bool {
    timeout(Duration::from_millis(500), future).await.is_ok()
}

/// A ticker that keeps its rate: after a delay it makes up for the missed ticks at once.
#[derive(Debug)]
pub struct Ticker(Interval);

impl Ticker {
    /// The first tick is immediate.
    pub fn every(period: Duration) -> Self {
        let mut interval = interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Self(interval)
    }

    /// Waits for the next tick.
    pub async fn next(&mut self) {
        self.0.tick().await;
    }
}

/// Blocks the thread, which does nothing but find out how late it is woken.
#[expect(
    clippy::disallowed_methods,
    reason = "it measures how late a sleep ends, and waits for nothing"
)]
pub(crate) fn block_for(duration: Duration) {
    std::thread::sleep(duration);
}

/// Lets time pass, for a measurement or between two keys.
pub async fn let_time_pass(duration: Duration) {
    sleep(duration).await;
}
