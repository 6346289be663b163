//! How long a client may take to send something. After a stall of the process the runtime ends its timers before it learns what
//! arrived meanwhile, so what waits in the sockets is read before a client is judged.

use std::time::Duration;

use tokio::time::sleep;

/// How much longer is waited once the time is over, for what has arrived in time: many turns of the runtime, each of which learns
/// of up to a thousand sockets. Nobody who is waited for notices it.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Completes when a client's time is over, and the runtime has learned what had arrived by then. Whoever waits for this looks at
/// the socket each time it is polled.
pub(super) async fn client_time(limit: Duration) {
    sleep(limit).await;
    // A new timer: it can't have ended while the process stood still.
    sleep(LAST_LOOK).await;
}

/// Awaits what a client sends. None if it has not arrived within `limit`.
pub(crate) async fn within_client_time<T>(limit: Duration, received: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        received = received => Some(received),
        () = client_time(limit) => None,
    }
}
