//! Several nodes that share one Redis: each partition of the users is a state and a log there. What a node makes of them is
//! decided in `presence`; here are the scripts, the connections, and what waits between them and the engine.

mod answers;
mod beats;
mod inbox;
mod keys;
mod link;
mod look;
mod lookup;
mod members;
mod meta;
mod partition;
mod reach;
mod rivals;
mod runner;
mod scripts;
mod server_info;
mod servers;
#[cfg(test)]
pub(crate) mod tests;
mod waiters;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use presence::replication::{CLOCKS_DIFFER_MAX, Epoch, Incarnation, NodeInfo, Settings, cluster_cursor, partition_of};
use presence::wire::rest::RedisStats;
use presence::{Cursor, Freshness, NodeName, Reading, Revision, UserId, Wall};

use self::beats::Beats;
pub(crate) use self::meta::{DatabaseFacts, SharedFacts};
pub(crate) use self::partition::SharedPartition;
pub(crate) use self::rivals::{Company, OwnNode};
pub(crate) use self::runner::Runner;
pub(crate) use self::servers::{RedisOptions, RedisServers};

/// For how long a call waits for its own change to come back from the log; then it is answered from what the node knows.
pub(crate) const OWN_CHANGE_WAITS: Duration = Duration::from_millis(150);

/// How a node takes part in a cluster.
pub(crate) struct SharedOptions {
    pub(crate) node: NodeInfo,
    /// This run, and the one before if the data directory knows it.
    pub(crate) incarnation: Incarnation,
    pub(crate) previous: Vec<(Incarnation, Duration)>,
    pub(crate) partitions: u16,
    pub(crate) settings: Settings,
    /// A random number.
    pub(crate) seed: u64,
}

/// A node among others that share its users.
pub(crate) struct Shared {
    name: NodeName,
    incarnation: Incarnation,
    tick_every: Duration,
    servers: Arc<RedisServers>,
    /// For how long a node may be silent.
    lease: Duration,
    /// No user was removed at a higher revision, as far as this node has read.
    removed_to: AtomicU64,
    /// The names of the others.
    names: Mutex<HashMap<Incarnation, NodeName>>,
    partitions: Box<[SharedPartition]>,
    beats: Beats,
}

impl Shared {
    pub(crate) fn new(options: &SharedOptions, servers: Arc<RedisServers>, reading: Reading) -> Self {
        let partition = |number: u16| SharedPartition::new(options, number, reading);
        Self {
            name: NodeName::new(&options.node.name),
            incarnation: options.incarnation,
            tick_every: options.settings.tick_every(),
            servers,
            lease: options.settings.lease,
            removed_to: AtomicU64::new(0),
            names: Mutex::default(),
            partitions: (0..options.partitions).map(partition).collect(),
            beats: Beats::default(),
        }
    }

    pub(crate) fn name(&self) -> &NodeName {
        &self.name
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The servers of Redis at the last look; none before the first.
    pub(crate) fn redis(&self) -> Vec<RedisStats> {
        self.servers.seen()
    }

    /// For how long a node may be silent.
    pub(crate) fn lease(&self) -> Duration {
        self.lease
    }

    /// The name of the node that this is a run of; the run itself, if it is not known any more.
    pub(crate) fn name_of(&self, incarnation: Incarnation) -> NodeName {
        if incarnation == self.incarnation {
            return self.name.clone();
        }
        let names = self.names.lock();
        names
            .get(&incarnation)
            .cloned()
            .unwrap_or_else(|| NodeName::new(&incarnation.to_string()))
    }

    /// So many sessions may one user have from now on, over all nodes.
    pub(crate) fn set_sessions_max(&self, sessions: usize) {
        for partition in &self.partitions {
            partition.tell(move |machine, _| machine.set_sessions_max(sessions));
        }
    }

    /// The revision at which to tell a record that last changed at `changed`. Of whom nothing is known may have been forgotten,
    /// and clients drop what is older than what they have.
    pub(crate) fn told(&self, changed: Revision) -> Revision {
        match changed {
            Revision::NEVER => Revision::new(self.removed_to.load(Ordering::SeqCst)),
            changed => changed,
        }
    }

    /// The revision at which to tell a row of the database. Where another node has written it and this one has not read the entry of
    /// the log yet, as of what was read: what the entry brings must be above that. A row of a later time than the log's is of before
    /// the cluster, from a clock that was wrong, and no entry brings it.
    pub(crate) fn told_of_row(&self, user: &UserId, row: Revision, now: Wall) -> Revision {
        let read = self.partition_of(user).read_to();
        let is_of_log = read != Revision::NEVER && row.time() <= now.after(CLOCKS_DIFFER_MAX);
        if is_of_log { row.min(read) } else { row }
    }

    /// A user was removed at this revision.
    pub(crate) fn note_removal(&self, revision: Revision) {
        self.removed_to.fetch_max(revision.get(), Ordering::SeqCst);
    }

    /// How many partitions there are.
    pub(crate) fn partitions(&self) -> u16 {
        u16::try_from(self.partitions.len()).unwrap_or(u16::MAX)
    }

    /// The partition with this number.
    pub(crate) fn partition(&self, number: u16) -> &SharedPartition {
        &self.partitions[usize::from(number)]
    }

    /// The number of the partition of a user.
    pub(crate) fn number_of(&self, user: &UserId) -> u16 {
        partition_of(user, self.partitions())
    }

    /// The partition of a user.
    pub(crate) fn partition_of(&self, user: &UserId) -> &SharedPartition {
        self.partition(self.number_of(user))
    }

    /// The connections of a partition.
    pub(crate) fn runner(&self, number: u16) -> Runner {
        let inbox = Arc::clone(&self.partition(number).inbox);
        Runner::new(number, Arc::clone(&self.servers), inbox)
    }

    /// The partition is in this epoch.
    pub(crate) fn note_epoch(&self, number: u16, epoch: Epoch) {
        self.partition(number).note_epoch(epoch);
    }

    /// The cursor after all that was handed to the outboxes; none before every partition is in an epoch.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        cluster_cursor(self.partitions.iter().map(SharedPartition::place))
    }

    /// How often a node tells the others of itself.
    pub(crate) fn tick_every(&self) -> Duration {
        self.tick_every
    }

    /// How many users are on their way to the log.
    pub(crate) fn on_the_way(&self) -> usize {
        self.partitions.iter().map(SharedPartition::on_the_way).sum()
    }

    /// Of how many partitions records may be stale.
    pub(crate) fn stale_partitions(&self) -> u64 {
        let stale = self.partitions.iter().filter(|one| one.may_lack_some());
        stale.count() as u64
    }

    /// The timer loop runs: call it when a stall before this was noted.
    pub(crate) fn note_beat(&self) {
        self.beats.note();
    }

    /// Whether this node knows all that the cluster knows of a user.
    pub(crate) fn freshness_of(&self, user: &UserId) -> Freshness {
        let partition = self.partition_of(user);
        match self.beats.are_missing() || partition.is_withholding() || partition.may_lack_some() {
            true => Freshness::Stale,
            false => Freshness::Current,
        }
    }

    /// Whether some partition may be behind.
    pub(crate) fn is_stale(&self) -> bool {
        self.beats.are_missing() || self.partitions.iter().any(SharedPartition::may_lack_some)
    }

    /// Whether some are not told yet.
    pub(crate) fn is_withholding(&self) -> bool {
        self.partitions.iter().any(SharedPartition::is_withholding)
    }

    /// Up to this revision everything of every partition was handed to the outboxes.
    pub(crate) fn told_to(&self) -> u64 {
        let told = self.partitions.iter().map(SharedPartition::told_to);
        told.min().unwrap_or(0)
    }
}
