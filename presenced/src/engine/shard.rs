//! One shard of the users: entries in slots, found by id, and the present ones in order. Everything here happens under the
//! shard's short lock, which is never held across an await and taken before any outbox's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use presence::{Profile, Status, UserId};
use slab::Slab;

use super::entry::Entry;
use crate::connection::outbox::UserRef;

/// How many shards there are; a power of two, far above the number of cores so that locks rarely meet.
pub(crate) const SHARDS: usize = 64;
/// How many drops a shard remembers.
const EVICTED_REMEMBERED: usize = 64;
const SLOT_BITS: u32 = u32::BITS - SHARDS.trailing_zeros();

/// The shard of a user.
pub(crate) struct Shard {
    index: usize,
    by_id: HashMap<UserId, u32>,
    entries: Slab<Entry>,
    /// Present users by status, in order of their ids.
    present: BTreeMap<Status, BTreeSet<UserId>>,
    /// How many entries were ever dropped.
    evictions: u64,
    /// Hashes of the users dropped last: a load from the store that overlaps the drop of its user must be made again.
    evicted: VecDeque<u64>,
}

impl Shard {
    fn new(index: usize) -> Self {
        Self {
            index,
            by_id: HashMap::new(),
            entries: Slab::new(),
            present: BTreeMap::new(),
            evictions: 0,
            evicted: VecDeque::new(),
        }
    }

    /// Where the user's entry is, if it is in memory.
    pub(crate) fn find(&self, user: &UserId) -> Option<UserRef> {
        self.by_id.get(user).map(|slot| self.user_ref(*slot))
    }

    /// The entry. A reference is good while it is pinned, present or watched.
    pub(crate) fn entry(&mut self, user: UserRef) -> Option<&mut Entry> {
        self.entries.get_mut(slot_of(user))
    }

    /// The entry, to read.
    pub(crate) fn peek(&self, user: UserRef) -> Option<&Entry> {
        self.entries.get(slot_of(user))
    }

    /// Puts a user into memory, unless it is there.
    pub(crate) fn insert(&mut self, user: &UserId, profile: impl FnOnce() -> Profile, changed: u64) -> UserRef {
        if let Some(found) = self.find(user) {
            return found;
        }
        let slot = self.entries.insert(Entry::new(user.clone(), profile(), changed));
        // A slab of 2^26 entries would need more memory than the machine has.
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        self.by_id.insert(user.clone(), slot);
        self.user_ref(slot)
    }

    /// Drops the entry from memory if nothing needs it there.
    pub(crate) fn evict_idle(&mut self, user: UserRef) {
        if self.peek(user).is_some_and(Entry::is_idle) {
            let entry = self.entries.remove(slot_of(user));
            self.by_id.remove(&entry.user);
            self.evictions += 1;
            if self.evicted.len() == EVICTED_REMEMBERED {
                self.evicted.pop_front();
            }
            self.evicted.push_back(hash(&entry.user));
            if self.by_id.capacity() > 64 && self.by_id.len() < self.by_id.capacity() / 4 {
                self.by_id.shrink_to_fit();
                self.entries.shrink_to_fit();
            }
        }
    }

    /// How many entries were ever dropped.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Whether the user may have been dropped since there were so many drops, so that what was read of it meanwhile may
    /// be older than what was in memory.
    pub(crate) fn may_have_evicted(&self, user: &UserId, since: u64) -> bool {
        let count = usize::try_from(self.evictions - since).unwrap_or(usize::MAX);
        count > self.evicted.len() || self.evicted.iter().rev().take(count).any(|one| *one == hash(user))
    }

    /// Keeps the order of present users: under which status the user was and is listed.
    pub(crate) fn list(&mut self, user: &UserId, before: Option<Status>, now: Option<Status>) {
        if before == now {
            return;
        }
        if let Some(set) = before.and_then(|status| self.present.get_mut(&status)) {
            set.remove(user);
        }
        if let Some(status) = now {
            self.present.entry(status).or_default().insert(user.clone());
        }
    }

    /// The next present users after a bound, in order of their ids, at most `count`.
    pub(crate) fn present_after(&self, status: Option<Status>, after: Bound<&str>, count: usize) -> Vec<UserId> {
        let mut found: Vec<UserId> = self
            .present
            .iter()
            .filter(|(listed, _)| status.is_none_or(|status| status == **listed))
            .flat_map(|(_, users)| users.range::<str, _>((after, Bound::Unbounded)).take(count))
            .cloned()
            .collect();
        found.sort_unstable();
        found.truncate(count);
        found
    }

    fn user_ref(&self, slot: u32) -> UserRef {
        UserRef(((self.index as u32) << SLOT_BITS) | slot)
    }
}

/// All shards, and how far each is with publishing.
pub(crate) struct Shards {
    shards: Box<[Mutex<Shard>]>,
    /// A lower bound of the change each shard is just publishing; `u64::MAX` while none.
    publishing: Box<[AtomicU64]>,
}

impl Shards {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|index| Mutex::new(Shard::new(index))).collect(),
            publishing: (0..SHARDS).map(|_| AtomicU64::new(u64::MAX)).collect(),
        }
    }

    /// The shard of a user id.
    pub(crate) fn of_user(&self, user: &UserId) -> MutexGuard<'_, Shard> {
        self.lock(shard_of(user))
    }

    /// The shard of a reference.
    pub(crate) fn of_ref(&self, user: UserRef) -> MutexGuard<'_, Shard> {
        self.lock(index_of(user))
    }

    /// The shard with this index, below [`SHARDS`].
    pub(crate) fn lock(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.shards[index % SHARDS].lock()
    }

    /// A change of this user is about to get a number above `last`. Under the shard's lock.
    pub(crate) fn begin_publishing(&self, user: UserRef, last: u64) {
        self.publishing[index_of(user)].store(last + 1, Ordering::SeqCst);
    }

    /// Everyone who is still to be sent that change has been marked. Under the shard's lock.
    pub(crate) fn end_publishing(&self, user: UserRef) {
        self.publishing[index_of(user)].store(u64::MAX, Ordering::SeqCst);
    }

    /// The highest number such that every change up to it has been marked with everyone who is still to be sent it, given the last
    /// number taken, read before.
    pub(crate) fn complete_to(&self, last: u64) -> u64 {
        let pending = self.publishing.iter().map(|shard| shard.load(Ordering::SeqCst)).min();
        last.min(pending.unwrap_or(u64::MAX).saturating_sub(1))
    }
}

/// The shard of a user: FNV-1a over its bytes, the same in every run.
pub(crate) fn shard_of(user: &UserId) -> usize {
    hash(user) as usize % SHARDS
}

/// A hash of the user id that is the same in every run; not meant to withstand chosen ids, which at worst share a lock.
pub(crate) fn hash(user: &UserId) -> u64 {
    let bytes = user.as_str().bytes();
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

fn index_of(user: UserRef) -> usize {
    (user.0 >> SLOT_BITS) as usize
}

fn slot_of(user: UserRef) -> usize {
    (user.0 & ((1 << SLOT_BITS) - 1)) as usize
}
