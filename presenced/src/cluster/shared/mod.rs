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
mod reach;
mod rivals;
mod runner;
mod scripts;
mod server_info;
mod servers;
#[cfg(test)]
pub(crate) mod tests;
mod waiters;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use presence::replication::{
    CLOCKS_DIFFER_MAX, Epoch, Incarnation, Input, MovedTimes, NodeInfo, Partition, Settings, Start, cluster_cursor,
    partition_of,
};
use presence::wire::rest::RedisStats;
use presence::{Cursor, Freshness, Mono, NodeName, Reading, Revision, UserId, Wall};

use self::beats::Beats;
use self::inbox::Inbox;
use self::lookup::Lookup;
pub(crate) use self::meta::{DatabaseFacts, SharedFacts};
pub(crate) use self::rivals::{Company, OwnNode};
pub(crate) use self::runner::Runner;
pub(crate) use self::servers::{RedisOptions, RedisServers};
use self::waiters::Waiters;

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

/// One partition of the users.
pub(crate) struct SharedPartition {
    machine: Mutex<Partition>,
    inbox: Arc<Inbox>,
    waiters: Waiters,
    is_stale: AtomicBool,
    /// Whether some who are OFFLINE are not told yet, until everyone who moved was heard of.
    is_withholding: AtomicBool,
    /// The nodes that are registered, as of that many changes.
    registered: Mutex<(u64, HashSet<Incarnation>)>,
    epoch: Mutex<Option<Epoch>>,
    /// Everything up to this revision was applied, and handed to the outboxes but for records that the database has.
    read_to: AtomicU64,
    /// Everything up to this revision was handed to the outboxes.
    told_to: AtomicU64,
    lookup: Lookup,
}

impl Shared {
    pub(crate) fn new(options: &SharedOptions, servers: Arc<RedisServers>, reading: Reading) -> Self {
        let partition = |number: u16| SharedPartition {
            machine: Mutex::new(Partition::new(
                Start {
                    own: options.incarnation,
                    previous: options.previous.clone(),
                    node: options.node.clone(),
                    settings: options.settings,
                    seed: options.seed.wrapping_add(number.into()),
                },
                reading,
            )),
            inbox: Arc::default(),
            waiters: Waiters::default(),
            is_stale: AtomicBool::new(true),
            is_withholding: AtomicBool::new(false),
            registered: Mutex::default(),
            epoch: Mutex::default(),
            read_to: AtomicU64::new(0),
            told_to: AtomicU64::new(0),
            lookup: Lookup::default(),
        };
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
        let read = Revision::new(self.partition_of(user).read_to.load(Ordering::SeqCst));
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
        *self.partition(number).epoch.lock() = Some(epoch);
    }

    /// The cursor after all that was handed to the outboxes; none before every partition is in an epoch.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        cluster_cursor(self.partitions.iter().map(|one| {
            let told = Revision::new(one.told_to.load(Ordering::SeqCst));
            one.epoch.lock().map(|epoch| (epoch, told))
        }))
    }

    /// How often a node tells the others of itself.
    pub(crate) fn tick_every(&self) -> Duration {
        self.tick_every
    }

    /// How many users are on their way to the log.
    pub(crate) fn on_the_way(&self) -> usize {
        let partitions = self.partitions.iter();
        partitions.map(|one| one.inbox.len() + one.machine().on_the_way()).sum()
    }

    /// How many partitions may be behind.
    pub(crate) fn stale_partitions(&self) -> u64 {
        let stale = self.partitions.iter().filter(|one| one.is_stale.load(Ordering::SeqCst));
        stale.count() as u64
    }

    /// The timer loop runs: call it when a stall before this was noted.
    pub(crate) fn note_beat(&self) {
        self.beats.note();
    }

    /// Whether this node knows all that the cluster knows of a user.
    pub(crate) fn freshness_of(&self, user: &UserId) -> Freshness {
        let partition = self.partition_of(user);
        match self.beats.are_missing() || partition.is_withholding.load(Ordering::SeqCst) {
            true => Freshness::Stale,
            false => partition.freshness(),
        }
    }

    /// Whether some partition may be behind.
    pub(crate) fn is_stale(&self) -> bool {
        self.beats.are_missing() || self.partitions.iter().any(|one| one.is_stale.load(Ordering::SeqCst))
    }

    /// Whether some are not told yet.
    pub(crate) fn is_withholding(&self) -> bool {
        let mut partitions = self.partitions.iter();
        partitions.any(|one| one.is_withholding.load(Ordering::SeqCst))
    }

    /// Up to this revision everything of every partition was handed to the outboxes.
    pub(crate) fn told_to(&self) -> u64 {
        let told = self.partitions.iter().map(|one| one.told_to.load(Ordering::SeqCst));
        told.min().unwrap_or(0)
    }
}

impl SharedPartition {
    /// The machine. Whoever holds it may lock a user; whoever has locked a user must not ask for it.
    pub(crate) fn machine(&self) -> MutexGuard<'_, Partition> {
        self.machine.lock()
    }

    /// The user changed on this node.
    pub(crate) fn touch(&self, user: &UserId) {
        self.inbox.touch(user);
    }

    /// Gives the partition a message.
    pub(crate) fn tell(&self, message: impl FnOnce(&mut Partition, Input<'_>) + Send + 'static) {
        self.inbox.tell(Box::new(message));
    }

    /// Whether something of the user is on its way to the log.
    pub(crate) fn is_waiting_for(&self, user: &UserId) -> bool {
        self.inbox.has(user) || self.machine().is_waiting_for(user)
    }

    /// Waits until the log has all that was told so far of the user, or a short while. Whether it has.
    pub(crate) async fn wait_for_log(&self, user: &UserId) -> bool {
        let waits = self.waiters.add(user);
        // What it waits for may be done: without this nothing would tell so.
        self.inbox.wake();
        matches!(tokio::time::timeout(OWN_CHANGE_WAITS, waits).await, Ok(Ok(())))
    }

    /// Other nodes may have registered.
    pub(crate) fn note_nodes(&self, machine: &Partition, shared: &Shared) {
        let changes = machine.registrations();
        let mut registered = self.registered.lock();
        if registered.0 != changes {
            *registered = (changes, machine.nodes().map(|(one, _)| one).collect());
            let nodes = machine
                .nodes()
                .filter_map(|(one, node)| Some((one, NodeName::new(&node?.name))));
            shared.names.lock().extend(nodes);
        }
    }

    /// How often a registration began or ended, as far as was read.
    pub(crate) fn registrations(&self) -> u64 {
        self.registered.lock().0
    }

    /// Whether this run of a node is registered; if not, what it contributed is in grace.
    pub(crate) fn is_registered(&self, incarnation: Incarnation) -> bool {
        self.registered.lock().1.contains(&incarnation)
    }

    /// Whether nodes other than this one are registered.
    pub(crate) fn has_others_than(&self, own: Incarnation) -> bool {
        self.registered.lock().1.iter().any(|one| *one != own)
    }

    /// What the next [`Self::wake`] is about: call it before the inbox is emptied.
    pub(crate) fn last_waiter(&self) -> u64 {
        self.waiters.last()
    }

    /// Calls that began to wait by then go on, if the log has what they wait for.
    pub(crate) fn wake(&self, last: u64) {
        let machine = self.machine();
        // While the log can't be reached, what was told to the partition takes effect here at once.
        let is_reachable = machine.is_reachable();
        self.waiters
            .wake(last, |user| is_reachable && machine.is_waiting_for(user));
    }

    /// The times of a user moved alone.
    pub(crate) fn tell_times(&self, times: MovedTimes) {
        self.tell(|partition, _| partition.handle_times(times));
    }

    /// Closes the connection for single users if it was not needed for a while.
    pub(crate) fn close_idle_lookup(&self, now: Mono) {
        self.lookup.close_idle(now);
    }

    /// Whether it knows all that the cluster knows.
    pub(crate) fn freshness(&self) -> Freshness {
        match self.is_stale.load(Ordering::SeqCst) {
            true => Freshness::Stale,
            false => Freshness::Current,
        }
    }

    /// The process did not run for so long: what it knows is of before from now on, and the machine hears of it next.
    pub(crate) fn note_stall(&self, length: Duration) {
        let machine = self.machine();
        self.tell(move |machine, input| machine.handle_stall(input, length));
        self.set_stale(true);
        drop(machine);
    }

    pub(crate) fn set_stale(&self, is_stale: bool) {
        self.is_stale.store(is_stale, Ordering::SeqCst);
    }

    /// Whether some are not told yet; that is over only when [`Self::note_withholding`] says so: the effects of now come first.
    pub(crate) fn begin_withholding(&self, machine: &Partition) -> bool {
        let is_withholding = machine.is_withholding();
        self.is_withholding.fetch_or(is_withholding, Ordering::SeqCst);
        is_withholding
    }

    pub(crate) fn note_withholding(&self, is_withholding: bool) {
        self.is_withholding.store(is_withholding, Ordering::SeqCst);
    }

    /// What was applied so far was handed to the outboxes, but for records that the database has.
    pub(crate) fn note_read(&self, to: u64) {
        self.read_to.store(to, Ordering::SeqCst);
    }

    /// What was applied so far was handed to the outboxes.
    pub(crate) fn note_told(&self, to: u64) {
        self.told_to.store(to, Ordering::SeqCst);
    }
}
