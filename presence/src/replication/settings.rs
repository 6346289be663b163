//! The durations and limits of replication, and the rules that tests take out.

use std::time::Duration;

/// A partition is unreachable when a call, the follower or the node's own tick takes longer.
pub const UNREACHABLE_AFTER: Duration = Duration::from_secs(2);
/// For how long nobody becomes OFFLINE after a partition is back and after a new epoch: until everyone who moved is heard of.
pub const OFFLINE_HOLD: Duration = Duration::from_secs(5);
/// How many ticks of its own a node reads, and none of another's, until that one is dead. Also the ticks of one lease.
pub const TICKS_PER_LEASE: u32 = 5;
/// A node whose last tick is older than this many intervals between ticks is silent: it has missed two.
pub const SILENT_AFTER_TICKS: u32 = 3;
/// How much later than agreed a grace period ends, so that a session that began elsewhere in time is known.
pub const GRACE_LATE: Duration = Duration::from_millis(200);
/// How much later than agreed a report ends: a refresh that came in time may still be under way.
pub const REPORT_LATE: Duration = Duration::from_secs(1);
/// After how long any node writes the record of an absent user that is still in the state: its author writes it within
/// 0.1 s, unless it died.
pub(super) const UNWRITTEN_AFTER: Duration = Duration::from_secs(15);
/// How many users one input looks at where all of a partition are looked at: 1 to 2 ms (60,000 users adopted, release build).
pub(super) const SCAN_USERS_MAX: usize = 1_000;
/// Within what time nodes begin the same work, each at a random moment: most then find it done.
pub(super) const SPREAD: Duration = Duration::from_secs(1);
/// Between two attempts to reach Redis: from this to three times as long.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(200);

/// What the operator sets, and what tests take out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// For how long a node may be silent.
    pub lease: Duration,
    /// For how long the sessions of a dead node count.
    pub node_grace: Duration,
    /// For how long the sessions of a node that stopped count.
    pub restart_grace: Duration,
    /// For how long a kick or a removal stays in the state (3,600 s). A node that was away for longer ends its connections.
    pub command_kept: Duration,
    /// The most sessions of one user, over all nodes.
    pub sessions_max: usize,
    /// The rules that a test takes out; none in a daemon.
    pub without: &'static [Rule],
}

#[cfg(test)]
impl Settings {
    /// The timers of a daemon that has no configuration.
    pub(super) const fn of_tests() -> Self {
        Self {
            lease: Duration::from_secs(15),
            node_grace: Duration::from_secs(12),
            restart_grace: Duration::from_secs(30),
            command_kept: Duration::from_secs(3_600),
            sessions_max: 32,
            without: &[],
        }
    }
}

impl Settings {
    /// How often a node appends a tick.
    #[must_use]
    pub fn tick_every(&self) -> Duration {
        self.lease / TICKS_PER_LEASE
    }

    pub(super) fn has(&self, rule: Rule) -> bool {
        !self.without.contains(&rule)
    }
}

/// The rules that tests take out one by one, to show that each is needed and that its absence is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Whoever reads something of its own that is behind what it knows offers.
    SelfCorrection,
    /// An entry that names another predecessor than the last one applied means that some were missed.
    Predecessor,
    /// A node offers only when its replica is in the epoch it registered in.
    OfferInEpoch,
    /// No OFFLINE is offered while unreachable and for 5 s after.
    HoldOffers,
    /// No OFFLINE is told to watchers while unreachable and for 5 s after.
    HoldTelling,
    /// The same for 5 s after a new epoch.
    HoldAfterEpoch,
    /// Replicas keep what a new epoch lacks.
    KeepOldEpoch,
    /// A read without entries is followed by a look at the head.
    LookAtHead,
    /// What is not above what was told is offered again, above it.
    OfferAboveTold,
    /// Contributions of a node that was ended stay until their grace period is over.
    NodeGrace,
    /// A node is dead only after five ticks of the reader's own.
    OwnTicks,

    /// A state that is older than what was applied, in the same epoch, is not read.
    WaitForEpoch,
    /// Cursors don't pass what is withheld.
    CursorsWait,
    /// After something took too long, offers wait until the copy is current.
    OfferWhenCurrent,
    /// What nobody has is offered after a lease and 5 s.
    OfferKept,
    /// Of absent users nothing is removed before the database has it.
    DropAfterWrite,
    /// A node reads a command before it counts on with its connections.
    CommandsEndSessions,
    /// A user's sessions over all nodes are limited.
    SessionLimit,
    /// A late tick through the log makes a partition unreachable, and only a new one brings it back.
    TickThroughLog,
    /// Changes whose row is marked `unpublished` are offered.
    OfferUnpublished,
    /// A durable part gives way to one with a higher version only.
    VersionsOrder,
    /// What other services read is listed anew where it is not as it should be.
    ListAnew,
    /// Of users who changed while custom statuses are listed, what the database had is not taken.
    ListUnchanged,
}

impl Rule {
    /// Every rule, in the order above.
    pub const ALL: [Self; 23] = [
        Self::SelfCorrection,
        Self::Predecessor,
        Self::OfferInEpoch,
        Self::HoldOffers,
        Self::HoldTelling,
        Self::HoldAfterEpoch,
        Self::KeepOldEpoch,
        Self::LookAtHead,
        Self::OfferAboveTold,
        Self::NodeGrace,
        Self::OwnTicks,
        Self::WaitForEpoch,
        Self::CursorsWait,
        Self::OfferWhenCurrent,
        Self::OfferKept,
        Self::DropAfterWrite,
        Self::CommandsEndSessions,
        Self::SessionLimit,
        Self::TickThroughLog,
        Self::OfferUnpublished,
        Self::VersionsOrder,
        Self::ListAnew,
        Self::ListUnchanged,
    ];
}
