//! The users in memory: entries in shards behind short locks, which are never held across an await. An entry is reached
//! through a [`LockedEntry`], a guard that holds its shard's lock; a [`UserPin`] keeps it in memory meanwhile. What the
//! entries mean is decided elsewhere.

mod entry;
mod load_table;
mod shard;
mod shared_state;
#[cfg(test)]
mod tests;
mod user_lock;
mod user_state;
mod watcher_set;
mod watcher_table;

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use presence::UserId;

use self::entry::Entry;
pub(super) use self::load_table::{Answers, Lane, Loaded, PendingLoad};
use self::shard::Shard;
pub(super) use self::shared_state::Said;
pub(super) use self::user_lock::{UserLock, UserLocks};
pub(super) use self::user_state::{ExpiredSource, UserState};
use super::publisher::Publication;
use crate::connection::Connection;
use crate::connection::user_pin::{ReleasedUsers, UserPin, UserRef};

/// How many shards there are: far above the number of cores, so that two callers rarely want the same lock.
pub(super) const SHARDS: usize = 64;
const _: () = assert!(SHARDS.is_power_of_two() && SHARDS <= UserRef::SHARDS_MAX);

/// All users in memory.
pub(super) struct Users {
    shards: Box<[Mutex<Shard>]>,
    /// Entries that lost their last pin, to be dropped if nothing else needs them.
    released: Arc<ReleasedUsers>,
}

/// One user's entry, locked. Never held across an await, and no second one is taken meanwhile: two users may share a
/// shard. When it is dropped and nothing needs the user in memory, the entry is dropped too.
pub(super) struct LockedEntry<'a> {
    shard: MutexGuard<'a, Shard>,
    at: UserRef,
}

impl Users {
    /// `partitions` is how many there are of the users; none if this node is alone.
    pub(super) fn new(partitions: Option<u16>) -> Self {
        let released = Arc::<ReleasedUsers>::default();
        Self {
            shards: (0..SHARDS)
                .map(|index| Mutex::new(Shard::new(index, partitions, Arc::clone(&released))))
                .collect(),
            released,
        }
    }

    /// The user's entry, if the user is in memory.
    pub(super) fn find(&self, user: &UserId) -> Option<LockedEntry<'_>> {
        let shard = self.shard_of(user);
        let at = shard.find(user)?;
        Some(LockedEntry::new(shard, at))
    }

    /// The entry that a pin keeps in memory.
    pub(super) fn lock(&self, pin: &UserPin) -> LockedEntry<'_> {
        self.lock_at(pin.user())
    }

    /// The entry at a place that something else keeps occupied: a watcher of it, or what must be written of it.
    ///
    /// # Panics
    ///
    /// If nothing is there, which is a bug of the holder of the reference.
    pub(super) fn lock_at(&self, at: UserRef) -> LockedEntry<'_> {
        let entry = self.get(at);
        assert!(entry.is_some(), "the entry of a reference in use was dropped");
        entry.unwrap_or_else(|| unreachable!())
    }

    /// The entry at a place that another user may have taken, or that may be free, by now.
    pub(super) fn get(&self, at: UserRef) -> Option<LockedEntry<'_>> {
        let shard = self.shards[at.shard()].lock();
        shard.is_occupied(at.slot()).then(|| LockedEntry::new(shard, at))
    }

    /// A pin of the user's entry, if the user is in memory.
    pub(super) fn pin(&self, user: &UserId) -> Option<UserPin> {
        self.find(user).map(|entry| entry.pin())
    }

    /// A pin of the user's entry; if the user is not in memory, the load to wait for, which `begin` makes if there is none.
    pub(super) fn pin_or_join(
        &self,
        user: &UserId,
        lane: Lane,
        begin: impl FnOnce() -> PendingLoad,
    ) -> Result<UserPin, PendingLoad> {
        let mut shard = self.shard_of(user);
        match shard.find(user) {
            Some(at) => Ok(LockedEntry::new(shard, at).pin()),
            None => Err(shard.loads.join(user, lane, begin)),
        }
    }

    /// The load of the user has succeeded: the entry, put into memory if it is not there already. None if what was loaded may be too
    /// old, because the user changed in memory since the load began.
    pub(super) fn finish_load(
        &self,
        user: &UserId,
        lane: Lane,
        load: impl FnOnce() -> (UserState, Publication),
    ) -> Option<LockedEntry<'_>> {
        let mut shard = self.shard_of(user);
        let is_overtaken = shard.loads.finish(user, lane);
        if is_overtaken && shard.find(user).is_none() {
            return None;
        }
        Some(Self::find_or_insert(shard, user, load))
    }

    /// The load of the user has failed.
    pub(super) fn abandon_load(&self, user: &UserId, lane: Lane) {
        self.shard_of(user).loads.finish(user, lane);
    }

    /// The user's entry, made if the user is not in memory.
    pub(super) fn insert(&self, user: &UserId, make: impl FnOnce() -> (UserState, Publication)) -> LockedEntry<'_> {
        Self::find_or_insert(self.shard_of(user), user, make)
    }

    /// The users of a partition with sessions on this node.
    pub(super) fn connected_in(&self, partition: u16) -> Vec<UserId> {
        let shards = self.shards.iter();
        shards.flat_map(|shard| shard.lock().connected_in(partition)).collect()
    }

    /// Those of the users with connections on this node. A pass over everyone in memory.
    pub(super) fn connected_of(&self, is_wanted: impl Fn(&UserId) -> bool) -> Vec<UserId> {
        let mut wanted = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let connected = shard.everyone().filter(|(_, entry)| !entry.connections().is_empty());
            let users = connected.map(|(_, entry)| entry.user());
            wanted.extend(users.filter(|user| is_wanted(user)).cloned());
        }
        wanted
    }

    /// All connections of users, and observers' that watch some by name, perhaps several times: those of one shard after the other.
    /// A pass over everyone in memory.
    pub(super) fn audiences(&self) -> impl Iterator<Item = Vec<Arc<Connection>>> {
        self.shards.iter().map(|shard| {
            let shard = shard.lock();
            let mut audience = Vec::new();
            for (_, entry) in shard.everyone() {
                let observers = entry.watchers().iter().filter(|watcher| watcher.user().is_none());
                audience.extend(entry.connections().iter().chain(observers).map(Arc::clone));
            }
            audience
        })
    }

    /// The users of whom the limit holds a change back. A pass over everyone in memory.
    pub(super) fn held(&self) -> Vec<UserRef> {
        let mut held = Vec::new();
        for (index, shard) in self.shards.iter().enumerate() {
            let shard = shard.lock();
            let is_held = |(_, entry): &(usize, &Entry)| entry.publication.held_until().is_some();
            let slots = shard.everyone().filter(is_held);
            held.extend(slots.map(|(slot, _)| UserRef::new(index, slot)));
        }
        held
    }

    /// Drops the entries that lost their last pin and that nothing else needs. An entry whose shard is locked is left
    /// for the next call.
    pub(super) fn sweep(&self) {
        for at in self.released.take() {
            match self.shards[at.shard()].try_lock() {
                Some(mut shard) => shard.release(at),
                None => self.released.push(at),
            }
        }
    }

    /// How many entries were looked at so far.
    #[cfg(test)]
    pub(super) fn visits(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().visits.count()).sum()
    }

    fn find_or_insert<'a>(
        mut shard: MutexGuard<'a, Shard>,
        user: &UserId,
        make: impl FnOnce() -> (UserState, Publication),
    ) -> LockedEntry<'a> {
        let at = shard.find(user).unwrap_or_else(|| {
            let (state, publication) = make();
            shard.insert(user, state, publication)
        });
        LockedEntry::new(shard, at)
    }

    fn shard_of(&self, user: &UserId) -> MutexGuard<'_, Shard> {
        self.shards[shard_of(user)].lock()
    }
}

impl<'a> LockedEntry<'a> {
    fn new(shard: MutexGuard<'a, Shard>, at: UserRef) -> Self {
        shard.visits.add(1);
        Self { shard, at }
    }

    /// Where the entry is.
    pub(super) fn at(&self) -> UserRef {
        self.at
    }

    /// The user changed: a load of it that is under way is repeated, if it can't find the user in memory when it ends.
    pub(super) fn overtake_loads(&mut self) {
        self.shard.overtake_loads(self.at);
    }

    /// Keeps the entry in memory after it is unlocked.
    pub(super) fn pin(&self) -> UserPin {
        self.shard.pin(self.at)
    }
}

impl Deref for LockedEntry<'_> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        self.shard.entry(self.at.slot())
    }
}

impl DerefMut for LockedEntry<'_> {
    fn deref_mut(&mut self) -> &mut Entry {
        self.shard.entry_mut(self.at.slot())
    }
}

impl Drop for LockedEntry<'_> {
    fn drop(&mut self) {
        self.shard.note_sessions(self.at);
        self.shard.evict_idle(self.at);
    }
}

/// The shard of a user, the same in every run.
pub(super) fn shard_of(user: &UserId) -> usize {
    hash(user) as usize % SHARDS
}

/// FNV-1a over the id, the same in every run. It does not withstand hostile ids, which at worst share a lock.
fn hash(user: &UserId) -> u64 {
    let bytes = user.as_str().bytes();
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}
