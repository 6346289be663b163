//! The engine: everything that can happen to a user. It is cut along state: [`users`] (what is in memory), the presence
//! index, the [`publisher`] and its delivery, [`persistence`], [`deadlines`]. Each part owns its fields; a use case is a
//! file that reads as a list of steps, and [`recompute`] is what follows from each. `api` and `gateway` call the engine; it
//! calls `cluster`, `connection` and `store`. No HTTP and no WebSocket is known here.

mod activity;
mod cache;
mod connect;
mod custom_status;
mod deadlines;
mod disconnect;
mod drain;
mod drain_node;
mod durable_change;
mod end_reports;
mod explain;
mod forget;
mod gauges;
mod heartbeat;
mod kick;
mod lifecycle;
mod list;
mod loading;
mod metrics;
mod nodes;
mod persistence;
mod presence_index;
mod publisher;
mod recompute;
mod replication;
mod report;
mod resume;
mod revoke;
mod session_counts;
mod stalls;
#[cfg(test)]
mod tests;
mod throughput;
mod user_rate_limits;
mod users;
mod visits;
mod watch;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use presence::wire::error_code::Code;
use presence::wire::rest::{Counts, PostgresInfo, RateStats, SessionStats, StallStats};
use presence::{SessionId, SessionName};

use self::deadlines::Deadlines;
use self::drain::Moving;
pub(crate) use self::drain_node::DrainError;
pub(crate) use self::lifecycle::{DOWN_MAX, Running};
pub(crate) use self::list::ListRequest;
use self::loading::GatheredLoads;
pub(crate) use self::metrics::EngineMetrics;
pub(crate) use self::nodes::AskedNode;
use self::persistence::Persistence;
use self::presence_index::PresenceIndex;
use self::publisher::Publisher;
use self::replication::{ChosenRequests, PresentRequests, Staleness, StoredReads, Unwritten, Waiting};
pub(crate) use self::replication::{NameTaken, SessionAnswers};
use self::revoke::KnownRevocations;
use self::session_counts::SessionCounts;
use self::stalls::Stalls;
use self::throughput::Throughput;
use self::user_rate_limits::UserRateLimits;
use self::users::{UserLocks, Users};
use crate::clock::Clock;
use crate::cluster::{Cluster, Shared};
use crate::connection::ConnectionContext;
use crate::connection::drain::Drain;
use crate::connection::keepalive::PingOptions;
use crate::connection::ready::Ready;
pub(crate) use crate::connection::watch_list::WatchLimit;
use crate::limits::CurrentLimits;
use crate::revocation::RevokedTokens;
use crate::store::{Store, StoreError};

/// Why the engine did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EngineError {
    /// The store did not do its part; nothing is acknowledged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The user set too many custom statuses.
    #[error("rate limit reached: too many custom statuses; try again later")]
    RateLimited {
        /// When the next one fits.
        retry_after: Duration,
    },
    /// The user looks at too many ids.
    #[error("rate limit reached: too many user ids; try again later")]
    TooManyLookups {
        /// When they would have their turn.
        retry_after: Duration,
    },
    /// The user has as many reports as one may have.
    #[error("too many reports of this user")]
    TooManyReports,
    /// The user has as many connections as one may have.
    #[error("too many sessions of this user")]
    TooManySessions {
        /// When it may have a place.
        retry_after: Duration,
    },
    /// An operator revoked the user's tokens after the connection was admitted.
    #[error("tokens of this user were revoked")]
    TokensRevoked,
    /// The connection, or all connections of its user, would watch more users than they may watch.
    #[error("too many watched users")]
    TooManyWatched {
        /// Which of the two.
        limit: WatchLimit,
    },
    /// The other nodes can't be told.
    #[error("Redis can't be reached, or has not taken the change in time: it may be made all the same")]
    Unreachable,
    /// A task of the daemon failed, which is a bug. What it had written is on disk.
    #[error("internal error: a task panicked")]
    TaskPanicked,
}

impl EngineError {
    /// The stable error code of the REST and WebSocket interfaces.
    pub(crate) const fn code(&self) -> Code {
        match self {
            // Trying again is of no use: this can't be stored, whatever the state of the disk.
            Self::Store(StoreError::Refused { .. }) | Self::TaskPanicked => Code::Internal,
            Self::Store(_) => Code::StoreUnavailable,
            Self::Unreachable => Code::ClusterUnavailable,
            Self::TokensRevoked => Code::Forbidden,
            Self::RateLimited { .. } | Self::TooManyLookups { .. } => Code::RateLimited,
            Self::TooManyReports | Self::TooManySessions { .. } => Code::TooMany,
            Self::TooManyWatched { .. } => Code::TooManyWatched,
        }
    }
}

/// Figures of the engine for `/api/stats`.
#[derive(Debug, Clone, Default)]
pub(crate) struct EngineStats {
    pub(crate) users: Counts,
    pub(crate) sessions: SessionStats,
    pub(crate) rates: RateStats,
    pub(crate) stalls: StallStats,
    pub(crate) pending_writes: u64,
    /// The server of the database, if it has one.
    pub(crate) database_server: Option<PostgresInfo>,
}

/// The settings of the engine.
#[derive(Debug, Clone)]
pub(crate) struct EngineOptions {
    /// Grace periods and idleness.
    pub(crate) timers: presence::Timers,
    /// What clients may use.
    pub(crate) limits: Arc<CurrentLimits>,
    /// For how long a connect waits for the store, until the user is shown without what is stored.
    pub(crate) connect_waits: Duration,
    /// How often it is looked whether an hour is over.
    pub(crate) sweep_every: Duration,
    /// When connections are pinged and given up.
    pub(crate) pings: PingOptions,
    /// Connections closed per second while clients are moved to other nodes.
    pub(crate) drain_rate: NonZeroU32,
    /// Tells this run of the node from others; part of every cursor.
    pub(crate) incarnation: u64,
}

impl EngineOptions {
    /// Longer would be felt, and most loads take a millisecond.
    pub(crate) const CONNECT_WAITS: Duration = Duration::from_millis(150);
    /// Nothing waits for it.
    pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(60);
}

/// What the engine is built from.
pub(crate) struct EngineParts {
    pub(crate) options: EngineOptions,
    pub(crate) clock: Arc<Clock>,
    pub(crate) store: Store,
    pub(crate) cluster: Cluster,
    pub(crate) metrics: EngineMetrics,
    /// Shared with `auth`, which reads it.
    pub(crate) revoked_tokens: Arc<RevokedTokens>,
}

pub(crate) struct Engine {
    options: EngineOptions,
    clock: Arc<Clock>,
    cluster: Cluster,
    users: Users,
    gathered_loads: GatheredLoads,
    user_locks: UserLocks,
    index: PresenceIndex,
    publisher: Publisher,
    persistence: Persistence,
    deadlines: Arc<Deadlines>,
    limits: UserRateLimits,
    /// Connections that wait for a turn of the delivery.
    ready: Arc<Ready>,
    context: Arc<ConnectionContext>,
    session_counts: SessionCounts,
    throughput: Arc<Throughput>,
    stalls: Stalls,
    next_session: AtomicU64,
    /// Calls that wait for the log.
    waiting: Waiting,
    /// Users whose record in the database is behind the log.
    unwritten: Unwritten,
    present_requests: PresentRequests,
    chosen_requests: ChosenRequests,
    stored_reads: StoredReads,
    /// Of how many users of nodes that are gone the database did not tell its times, since the log was told.
    unread_times: AtomicU64,
    staleness: Staleness,
    moving: Moving,
    revocations: KnownRevocations,
    metrics: Arc<EngineMetrics>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that is not running yet: [`Self::launch`] does that.
    pub(crate) fn new(parts: EngineParts) -> Arc<Self> {
        let EngineParts {
            options,
            clock,
            store,
            cluster,
            metrics,
            revoked_tokens,
        } = parts;
        let deadlines = Deadlines::new(clock.mono());
        let ready = Ready::new(Arc::clone(&clock));
        let (throughput, metrics) = (Arc::<Throughput>::default(), Arc::new(metrics));
        let arm = Arc::clone(&deadlines);
        let context = Arc::new(ConnectionContext {
            clock: Arc::clone(&clock),
            ready: Arc::clone(&ready),
            arm: Box::new(move |conn, at| arm.arm_connection(conn, at)),
            pings: options.pings,
            limits: Arc::clone(&options.limits),
            // Well within the restart grace, so that users whose clients reconnect as told are never OFFLINE.
            drain: Drain::new(options.timers.restart_grace / 3),
        });
        let publisher = Publisher::new(
            options.incarnation,
            cluster.floor(),
            Arc::clone(&ready),
            Arc::clone(&throughput),
            Arc::clone(&metrics),
        );
        let partitions = cluster.shared().map(Shared::partitions);
        Arc::new(Self {
            limits: UserRateLimits::new(Arc::clone(&options.limits)),
            options,
            clock,
            cluster,
            users: Users::new(partitions),
            gathered_loads: GatheredLoads::default(),
            user_locks: UserLocks::new(),
            index: PresenceIndex::new(),
            publisher,
            persistence: Persistence::new(store),
            deadlines,
            ready,
            context,
            session_counts: SessionCounts::default(),
            throughput,
            stalls: Stalls::default(),
            next_session: AtomicU64::new(1),
            waiting: Waiting::default(),
            unwritten: Unwritten::default(),
            present_requests: PresentRequests::default(),
            chosen_requests: ChosenRequests::default(),
            stored_reads: StoredReads::default(),
            unread_times: AtomicU64::new(0),
            staleness: Staleness::default(),
            moving: Moving::default(),
            revocations: KnownRevocations::new(revoked_tokens),
            metrics,
        })
    }

    /// What connections share.
    pub(crate) fn connection_context(&self) -> Arc<ConnectionContext> {
        Arc::clone(&self.context)
    }

    /// The name of a new connection, which no other one of this run has.
    pub(crate) fn new_session(&self) -> SessionName {
        let number = self.next_session.fetch_add(1, Ordering::Relaxed);
        SessionName {
            run: self.session_run(),
            session: SessionId(number),
        }
    }

    /// This run, as session ids tell it.
    fn session_run(&self) -> u32 {
        self.incarnation().run()
    }

    /// The node's name.
    pub(crate) fn node(&self) -> &str {
        self.cluster.node()
    }

    /// Figures, without a pass over anything that grows.
    pub(crate) fn stats(&self) -> EngineStats {
        EngineStats {
            users: self.index.counts(),
            sessions: self.session_counts.stats(&self.index),
            rates: self.throughput.stats(),
            stalls: self.stalls.stats(),
            pending_writes: self.pending_writes(),
            database_server: self.persistence.store.server(),
        }
    }

    /// Whether the user is in memory.
    #[cfg(test)]
    fn is_in_memory(&self, user: &presence::UserId) -> bool {
        self.users.sweep();
        self.users.find(user).is_some()
    }
}
