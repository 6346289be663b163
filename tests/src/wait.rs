//! Waiting for a condition, with a deadline: the only place of the tests where time passes on purpose.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

/// For what should come at once. Generous, because both cores may be busy with something else.
pub const DEADLINE: Duration = Duration::from_secs(30);

const BETWEEN_LOOKS: Duration = Duration::from_millis(15);

/// Looks until there is something, and fails the test after [`DEADLINE`].
pub async fn wait_until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    wait_for(what, DEADLINE, look).await
}

/// Looks until there is something, and fails the test after `deadline`.
pub async fn wait_for<T>(what: &str, deadline: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = timeout(deadline, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(BETWEEN_LOOKS).await;
        }
    });
    found
        .await
        .unwrap_or_else(|_| panic!("waited {deadline:?} in vain: {what}"))
}

/// Gives the future's result, and fails the test after [`DEADLINE`].
pub async fn within_deadline<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(what, DEADLINE, future).await
}

/// Gives the future's result, and fails the test after `deadline`.
pub async fn within<T>(what: &str, deadline: Duration, future: impl Future<Output = T>) -> T {
    timeout(deadline, future)
        .await
        .unwrap_or_else(|_| panic!("waited {deadline:?} in vain: {what}"))
}

/// How often somebody sends who is slow on purpose: the pace of a client, not a wait for the daemon.
pub async fn pause_between_pings() {
    sleep(Duration::from_millis(100)).await;
}

/// Whether the future ends within half a second: for clients that give up, not for what the daemon must do.
pub async fn has_come_soon<T>(future: impl Future<Output = T>) -> bool {
    timeout(Duration::from_millis(500), future).await.is_ok()
}

/// A beat that keeps its rate: after a delay the beats that were missed come at once.
#[derive(Debug)]
pub struct Beat(Interval);

impl Beat {
    /// The first one comes at once.
    pub fn every(period: Duration) -> Self {
        let mut interval = interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
        Self(interval)
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        self.0.tick().await;
    }
}

/// Lets the world go on for as long as something is measured, or as somebody takes between two keys.
pub async fn meanwhile(duration: Duration) {
    sleep(duration).await;
}
