//! The engine: users in shards behind short locks, and everything that can happen to them. `api` and `gateway` call it;
//! it calls `cluster`, `connection` and `store`. What a status is, is decided in the library `presence`; here it is kept,
//! ordered, published and written down. No HTTP and no WebSocket is known here.

mod cache;
mod changes;
pub(crate) mod connections;
mod custom_status;
mod deadlines;
mod delivery;
mod entry;
mod gauges;
mod lifecycle;
mod list;
mod metrics;
mod publishing;
mod rates;
mod removals;
mod report;
mod shard;
#[cfg(test)]
mod tests;
mod watch;
mod write_behind;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use presence::wire::record::{Record, Viewer};
use presence::wire::rest::{Explain, SessionStats};
use presence::{CustomStatus, Mono, Rate, SessionId, SlidingWindow, UserId};

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::connection::drain::Drain;
use crate::connection::keepalive::KeepaliveOptions;
use crate::connection::outbox::UserRef;
use crate::connection::ready::Ready;
use crate::connection::{Connection, Shared};
use crate::store::Store;

use deadlines::{Deadlines, Target};
pub(crate) use lifecycle::Running;
pub(crate) use list::ListRequest;
pub(crate) use metrics::EngineMetrics;
use shard::Shards;
pub(crate) use watch::WatchRefused;

/// Durable changes of one user happen one after the other; users that share a user lock wait for each other.
const USER_LOCKS: usize = 1024;

/// Why the engine refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EngineError {
    /// The store can't answer or can't write; nothing changed.
    #[error("the store is unavailable; nothing is acknowledged")]
    StoreUnavailable,
    /// Too many custom statuses of this user.
    #[error("too many choices; try again later")]
    RateLimited {
        /// When the next one fits.
        retry_after: Duration,
    },
    /// As many reports as one user may have.
    #[error("too many reports of this user")]
    TooManyReports,
}

/// Figures of the engine for `/api/stats`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EngineStats {
    pub(crate) users: presence::wire::rest::Counts,
    pub(crate) sessions: SessionStats,
    pub(crate) rates: presence::wire::rest::RateStats,
    pub(crate) pending_writes: u64,
}

/// What the engine is set to.
#[derive(Debug, Clone)]
pub(crate) struct EngineOptions {
    /// Grace and idleness.
    pub(crate) timers: presence::Timers,
    /// Connections of one user.
    pub(crate) sessions_per_user: usize,
    /// Reports of one user.
    pub(crate) reports_per_user: usize,
    /// Watched users of one connection.
    pub(crate) watched_per_connection: usize,
    /// Custom statuses of one user.
    pub(crate) choices: Rate,
    /// When connections are pinged and given up.
    pub(crate) keepalive_options: KeepaliveOptions,
    /// Which life of this node it is; part of every cursor.
    pub(crate) incarnation: u64,
}

/// What the engine stands on.
pub(crate) struct EngineParts {
    pub(crate) options: EngineOptions,
    pub(crate) clock: Arc<Clock>,
    pub(crate) store: Store,
    pub(crate) cluster: Cluster,
    pub(crate) metrics: EngineMetrics,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// The engine.
pub(crate) struct Engine {
    options: EngineOptions,
    clock: Arc<Clock>,
    store: Store,
    cluster: Cluster,
    shards: Shards,
    changes: changes::Changes,
    timers: Arc<Deadlines>,
    ready: Arc<Ready>,
    shared: Arc<Shared>,
    /// Who watches everyone.
    observers: RwLock<Vec<Arc<Connection>>>,
    /// When each user chose of late; those whose limit is over are forgotten.
    choices: Mutex<hashbrown::HashMap<UserId, SlidingWindow>>,
    user_locks: Box<[tokio::sync::Mutex<()>]>,
    /// Users whose status waits to be written.
    behind: write_behind::WriteBehind,
    /// Users whose profile is to be read from the store again, pinned.
    degraded: Mutex<Vec<UserRef>>,
    /// Users with a write that was late, which may be done or not, pinned.
    late: Mutex<Vec<(UserRef, cache::UnknownOutcome)>>,
    tallies: Tallies,
    rates: rates::Rates,
    next_session: AtomicU64,
    pub(crate) metrics: EngineMetrics,
}

/// Counts that are kept as things change, so that nobody has to count.
#[derive(Default)]
struct Tallies {
    /// Present users, in the order of `Status::ALL`.
    by_status: [AtomicU64; 3],
    connections: AtomicU64,
    observers: AtomicU64,
    reports: AtomicU64,
    in_grace: AtomicU64,
    watchers: AtomicU64,
    watches: AtomicU64,
}

impl Engine {
    /// An engine that is not running yet: [`Self::start`] does that.
    pub(crate) fn new(parts: EngineParts) -> Arc<Self> {
        let EngineParts {
            options,
            clock,
            store,
            cluster,
            metrics,
        } = parts;
        let timers = Deadlines::new(clock.mono());
        let ready = Ready::new(Arc::clone(&clock));
        let arm = Arc::clone(&timers);
        let shared = Arc::new(Shared {
            clock: Arc::clone(&clock),
            ready: Arc::clone(&ready),
            arm: Box::new(move |conn, at| arm.arm(at, Target::Connection(Arc::downgrade(conn)))),
            keepalive_options: options.keepalive_options,
            // Well within the restart grace, so that who comes back in time was never away.
            drain: Drain::new(options.timers.restart_grace / 3),
        });
        Arc::new(Self {
            changes: changes::Changes::new(options.incarnation),
            options,
            clock,
            store,
            cluster,
            shards: Shards::new(),
            timers,
            ready,
            shared,
            observers: RwLock::default(),
            choices: Mutex::default(),
            user_locks: (0..USER_LOCKS).map(|_| tokio::sync::Mutex::new(())).collect(),
            behind: write_behind::WriteBehind::default(),
            degraded: Mutex::default(),
            late: Mutex::default(),
            tallies: Tallies::default(),
            rates: rates::Rates::default(),
            next_session: AtomicU64::new(1),
            metrics,
        })
    }

    /// What connections share.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// A name for a new connection, unique in this run; the public name says nothing about others.
    pub(crate) fn new_session(&self) -> (SessionId, Box<str>) {
        let number = self.next_session.fetch_add(1, Ordering::Relaxed);
        (
            SessionId(number),
            format!("{:x}-{number:x}", self.options.incarnation & 0xffff_ffff).into(),
        )
    }

    /// The node's name.
    pub(crate) fn node(&self) -> &str {
        self.cluster.node()
    }

    /// The record of one user; never seen: OFFLINE, null times, revision 0.
    pub(crate) async fn record(&self, user: &UserId, viewer: Viewer) -> Result<Record, EngineError> {
        let found = {
            let shard = self.shards.of_user(user);
            shard
                .find(user)
                .and_then(|at| shard.peek(at))
                .map(|entry| self.record_of(entry, viewer))
        };
        match found {
            Some(record) => Ok(record),
            None => {
                let pinned = self.pin_loaded(std::slice::from_ref(user)).await?;
                let record = pinned.refs().first().and_then(|at| self.record_at(*at, viewer));
                Ok(record.unwrap_or_else(|| Record::never_seen(user.clone(), viewer)))
            }
        }
    }

    /// The records of several, in the order asked. `own` is the caller's own id, whose record shows more.
    pub(crate) async fn records(
        &self,
        users: &[UserId],
        viewer: Viewer,
        own: Option<&UserId>,
    ) -> Result<Vec<Record>, EngineError> {
        let pinned = self.pin_loaded(users).await?;
        let records = users.iter().zip(pinned.refs()).map(|(user, at)| {
            let viewer = if viewer == Viewer::Public && own == Some(user) {
                Viewer::Own
            } else {
                viewer
            };
            self.record_at(*at, viewer)
                .unwrap_or_else(|| Record::never_seen(user.clone(), viewer))
        });
        Ok(records.collect())
    }

    /// The custom status of one user; never seen: ONLINE.
    pub(crate) async fn custom_status(&self, user: &UserId) -> Result<CustomStatus, EngineError> {
        let record = self.record(user, Viewer::Internal).await?;
        // What was made up without the store is no answer to what the user chose.
        if record.degraded {
            return Err(EngineError::StoreUnavailable);
        }
        Ok(record.custom_status.unwrap_or_default())
    }

    /// Why this user is shown so, and what will change it next.
    pub(crate) async fn explain(&self, user: &UserId) -> Result<Explain, EngineError> {
        let pinned = self.pin_loaded(std::slice::from_ref(user)).await?;
        let at = pinned.refs().first().copied().unwrap_or(UserRef(0));
        let now = self.clock.now();
        let shard = self.shards.of_ref(at);
        let entry = shard.peek(at).ok_or(EngineError::StoreUnavailable)?;
        let name_of = |id| {
            entry
                .conns
                .iter()
                .find(|conn| conn.id() == id)
                .map_or_else(String::new, |conn| conn.name().into())
        };
        Ok(presence::explain::explain(
            user,
            now,
            (self.node(), &entry.sessions),
            &entry.profile,
            name_of,
        ))
    }

    /// Figures, without a pass over anything that grows.
    pub(crate) fn stats(&self) -> EngineStats {
        let count = |tally: &AtomicU64| tally.load(Ordering::Relaxed);
        EngineStats {
            users: self.counts(),
            sessions: SessionStats {
                connections: count(&self.tallies.connections),
                observers: count(&self.tallies.observers),
                reports: count(&self.tallies.reports),
                in_grace: count(&self.tallies.in_grace),
                watchers: count(&self.tallies.watchers),
                watches: count(&self.tallies.watches),
            },
            rates: self.rates.stats(),
            pending_writes: self.behind.pending(),
        }
    }

    /// From now on lost connections are kept for the restart of the daemon, and every connection is told to go.
    pub(crate) fn begin_drain(&self) {
        self.shared.drain.begin();
    }

    /// Whether the daemon is going down.
    pub(crate) fn is_draining(&self) -> bool {
        self.shared.drain.has_begun()
    }

    /// The wheel came to a user's deadline.
    fn on_user_deadline(&self, user: UserRef, at: Mono) {
        // Nobody can come back in time while the door is closed: whoever is in grace stays so until after the restart.
        if self.is_draining() {
            return;
        }
        let mut shard = self.shards.of_ref(user);
        let is_current = shard.peek(user).is_some_and(|entry| entry.armed == Some(at));
        if is_current {
            if let Some(entry) = shard.entry(user) {
                entry.armed = None;
            }
            self.recompute(&mut shard, user, self.clock.now());
            shard.evict_idle(user);
        }
    }

    /// The wheel came to a connection's deadline.
    fn on_conn_deadline(&self, conn: &Arc<Connection>, at: Mono) {
        let armed = conn
            .armed
            .compare_exchange(at.as_millis(), u64::MAX, Ordering::SeqCst, Ordering::SeqCst);
        if armed.is_ok()
            && let Some(next) = conn.on_deadline(self.clock.now())
        {
            conn.arm(next);
        }
    }

    fn record_of(&self, entry: &entry::Entry, viewer: Viewer) -> Record {
        self.cluster
            .record(&entry.user, &entry.profile, entry.sessions.contribution(), viewer)
    }

    fn record_at(&self, user: UserRef, viewer: Viewer) -> Option<Record> {
        self.shards
            .of_ref(user)
            .peek(user)
            .map(|entry| self.record_of(entry, viewer))
    }

    /// Whether the user has a entry.
    #[cfg(test)]
    fn is_in_memory(&self, user: &UserId) -> bool {
        self.shards.of_user(user).find(user).is_some()
    }

    fn user_lock(&self, user: &UserId) -> &tokio::sync::Mutex<()> {
        &self.user_locks[shard::hash(user) as usize % USER_LOCKS]
    }
}
