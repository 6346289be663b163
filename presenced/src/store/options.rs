//! How a store works, whatever implements it.

use std::time::Duration;

/// Rows of one request. Longer lists are cut, so that a short request behind them waits for a few milliseconds at most.
pub(super) const ROWS_AT_ONCE: usize = 512;

/// For how long a store that was away may answer with the error of its last attempt to connect, at most.
pub(crate) const RECONNECT_MAX: Duration = Duration::from_millis(400);

/// Users that one read of a list looks at, at most: some 10 ms, of which most are not in it.
pub(super) const SCANNED_AT_ONCE: usize = 8_192;

/// Who may use the database beside this daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nobody: the daemon believes that nobody else changes what it knows.
    Exclusive,
    /// The other nodes of its cluster, if the database can be shared: one in a file is its node's alone. What is written of
    /// the durable part is marked until it is published, and a start leaves the users that are present to
    /// [`Store::load_present`](super::Store::load_present).
    Shared,
}

/// How the store works. Every bound has its reason beside its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenOptions {
    /// Who else may use the database.
    pub(crate) access: Access,
    /// Threads or tasks that read single users, each with its own connection; one more reads lists.
    pub(crate) readers: usize,
    /// For how long a transaction waits for a lock that another process holds.
    pub(crate) busy_timeout: Duration,
    /// Requests that may wait for the writer, and as many again for each lane of the readers: refused at once beyond.
    pub(crate) queue_max: usize,
    /// Rows that share one commit, at most.
    pub(crate) batch_max: usize,
    /// After how long a caller is answered even if the disk has not.
    pub(crate) answer_within: Duration,
    /// How often what was written to the log is checked, with the next write.
    pub(crate) check_log_every: Duration,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            access: Access::Exclusive,
            // A read takes some 10 µs: the second thread is for a page that is not cached.
            readers: 2,
            // A request behind a transaction that waits for the lock is answered with it, so none waits for longer.
            busy_timeout: Duration::from_secs(1),
            // A quarter of a second of writing, at 60,000 rows a second; some 10 MiB.
            queue_max: 16_384,
            // The gain of sharing a commit is used up by then, and a transaction takes some 20 ms.
            batch_max: 1_024,
            // Twice the wait for a lock: only a disk that hangs takes longer.
            answer_within: Duration::from_secs(2),
            // Some milliseconds for 4 MiB, which is all there is most of the time.
            check_log_every: Duration::from_secs(10),
        }
    }
}
