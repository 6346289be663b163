//! What the daemon keeps of one partition: its machine, what waits for it, and what it has told.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use presence::replication::{Epoch, Incarnation, Input, MovedTimes, Partition, Start};
use presence::{Freshness, Mono, NodeName, Reading, Revision, UserId};

use super::inbox::Inbox;
use super::lookup::Lookup;
use super::waiters::Waiters;
use super::{OWN_CHANGE_WAITS, Shared, SharedOptions};

/// One partition of the users.
pub(crate) struct SharedPartition {
    machine: Mutex<Partition>,
    pub(super) inbox: Arc<Inbox>,
    waiters: Waiters,
    /// Whether this node can't reach it.
    is_stale: AtomicBool,
    /// Whether Redis refuses what some node adds to it.
    are_additions_refused: AtomicBool,
    /// Whether some who are OFFLINE are not told yet, until everyone who moved was heard of.
    is_withholding: AtomicBool,
    /// The nodes that are registered, as of that many changes.
    registered: Mutex<(u64, HashSet<Incarnation>)>,
    epoch: Mutex<Option<Epoch>>,
    /// Everything up to this revision was applied, and handed to the outboxes but for records that the database has.
    read_to: AtomicU64,
    /// Everything up to this revision was handed to the outboxes.
    told_to: AtomicU64,
    pub(super) lookup: Lookup,
}

impl SharedPartition {
    /// A partition of which nothing is known yet.
    pub(super) fn new(options: &SharedOptions, number: u16, reading: Reading) -> Self {
        Self {
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
            are_additions_refused: AtomicBool::new(false),
            is_withholding: AtomicBool::new(false),
            registered: Mutex::default(),
            epoch: Mutex::default(),
            read_to: AtomicU64::new(0),
            told_to: AtomicU64::new(0),
            lookup: Lookup::default(),
        }
    }

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

    /// Whether the log can be reached, and lacks something of the user: what this node says of it has not taken effect yet.
    pub(crate) fn lacks(&self, user: &UserId) -> bool {
        let is_on_the_way = self.inbox.has(user);
        let machine = self.machine();
        machine.is_reachable() && (is_on_the_way || machine.is_waiting_for(user))
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

    /// Whether it may be that it does not know all that some node knows.
    pub(super) fn may_lack_some(&self) -> bool {
        self.is_stale.load(Ordering::SeqCst) || self.are_additions_refused.load(Ordering::SeqCst)
    }

    /// Whether it knows all that the cluster's log has.
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

    pub(crate) fn set_additions_refused(&self, are_refused: bool) {
        self.are_additions_refused.store(are_refused, Ordering::SeqCst);
    }

    /// Whether some are not told yet; that is over only when [`Self::note_withholding`] says so: the effects of now come first.
    pub(crate) fn begin_withholding(&self, machine: &Partition) -> bool {
        let is_withholding = machine.is_withholding();
        self.is_withholding.fetch_or(is_withholding, Ordering::SeqCst);
        is_withholding
    }

    /// Whether some are not told yet.
    pub(super) fn is_withholding(&self) -> bool {
        self.is_withholding.load(Ordering::SeqCst)
    }

    pub(crate) fn note_withholding(&self, is_withholding: bool) {
        self.is_withholding.store(is_withholding, Ordering::SeqCst);
    }

    /// It is in this epoch.
    pub(super) fn note_epoch(&self, epoch: Epoch) {
        *self.epoch.lock() = Some(epoch);
    }

    /// Its epoch, and up to where everything was handed to the outboxes; none before it is in one.
    pub(super) fn place(&self) -> Option<(Epoch, Revision)> {
        let told = Revision::new(self.told_to());
        self.epoch.lock().map(|epoch| (epoch, told))
    }

    /// How many users are on their way to the log.
    pub(super) fn on_the_way(&self) -> usize {
        self.inbox.len() + self.machine().on_the_way()
    }

    /// Everything up to this revision was applied, and handed to the outboxes but for records that the database has.
    pub(super) fn read_to(&self) -> Revision {
        Revision::new(self.read_to.load(Ordering::SeqCst))
    }

    /// Everything up to this revision was handed to the outboxes.
    pub(super) fn told_to(&self) -> u64 {
        self.told_to.load(Ordering::SeqCst)
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
