//! One shard of the users: entries in slots, found by id. Everything here happens under the shard's short lock.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};
use presence::UserId;
use presence::replication::partition_of;
use slab::Slab;

use super::entry::Entry;
use super::load_table::LoadTable;
use super::user_state::UserState;
use crate::connection::user_pin::{ReleasedUsers, UserPin, UserRef};
use crate::engine::publisher::Publication;
use crate::engine::visits::Visits;

/// For how many entries room is made at least. Beyond, a quarter more at a time: a slab that grows by itself doubles, and entries
/// are most of what a user takes. So one is moved four times on average.
const ENTRIES_MIN: usize = 4;
/// An empty shard keeps room for so many: users may come and go one at a time.
const ENTRIES_KEPT: usize = 16;

/// The shard of a user.
pub(super) struct Shard {
    index: usize,
    /// Finds the entries by id. It has the references alone: the ids are in the entries.
    by_id: HashTable<UserRef>,
    hasher: DefaultHashBuilder,
    entries: Slab<Entry>,
    /// The loads of its users that are under way.
    pub(super) loads: LoadTable,
    released: Arc<ReleasedUsers>,
    /// How many partitions there are of the users; none if this node is alone.
    partitions: Option<u16>,
    /// The slots of users with sessions on this node, by partition, so that nobody looks for them among everyone in memory.
    connected: BTreeSet<(u16, usize)>,
    /// Of entries: those that were locked, and those of passes.
    pub(super) visits: Visits,
}

impl Shard {
    pub(super) fn new(index: usize, partitions: Option<u16>, released: Arc<ReleasedUsers>) -> Self {
        Self {
            index,
            by_id: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            entries: Slab::new(),
            loads: LoadTable::default(),
            released,
            partitions,
            connected: BTreeSet::new(),
            visits: Visits::default(),
        }
    }

    /// The entry in a slot that something keeps occupied.
    pub(super) fn entry(&self, slot: usize) -> &Entry {
        &self.entries[slot]
    }

    /// The same, to be changed.
    pub(super) fn entry_mut(&mut self, slot: usize) -> &mut Entry {
        &mut self.entries[slot]
    }

    /// Whether somebody is in the slot.
    pub(super) fn is_occupied(&self, slot: usize) -> bool {
        self.entries.contains(slot)
    }

    /// Everyone, with the slot: a pass, for what concerns everyone in memory.
    pub(super) fn everyone(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.visits.of(self.entries.iter())
    }

    pub(super) fn find(&self, user: &UserId) -> Option<UserRef> {
        let is_user = |at: &UserRef| self.entries[at.slot()].user() == user;
        self.by_id.find(self.hasher.hash_one(user), is_user).copied()
    }

    /// Puts a user into memory that is not there.
    pub(super) fn insert(&mut self, user: &UserId, state: UserState, publication: Publication) -> UserRef {
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact((self.entries.len() / 4).max(ENTRIES_MIN));
        }
        let vacant = self.entries.vacant_entry();
        let at = UserRef::new(self.index, vacant.key());
        vacant.insert(Entry::new(user.clone(), state, publication));
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash_of = |at: &UserRef| hasher.hash_one(entries[at.slot()].user());
        self.by_id.insert_unique(hasher.hash_one(user), at, hash_of);
        at
    }

    /// The user there may have sessions now, or none any more.
    pub(super) fn note_sessions(&mut self, at: UserRef) {
        let (Some(partitions), Some(entry)) = (self.partitions, self.entries.get_mut(at.slot())) else {
            return;
        };
        if entry.take_sessions_changed() {
            let place = (partition_of(entry.user(), partitions), at.slot());
            match entry.state.is_connected() {
                true => self.connected.insert(place),
                false => self.connected.remove(&place),
            };
        }
    }

    /// The users of a partition with sessions on this node.
    pub(super) fn connected_in(&self, partition: u16) -> Vec<UserId> {
        let slots = self.connected.range((partition, 0)..=(partition, usize::MAX));
        self.visits
            .of(slots)
            .map(|(_, slot)| self.entries[*slot].user().clone())
            .collect()
    }

    /// How many entries there are, and room for how many.
    #[cfg(test)]
    pub(super) fn count_and_room(&self) -> (usize, usize) {
        (self.entries.len(), self.entries.capacity())
    }

    /// How many users are noted as having sessions on this node.
    #[cfg(test)]
    pub(super) fn count_connected(&self) -> usize {
        self.connected.len()
    }

    /// Pins the entry there.
    pub(super) fn pin(&self, at: UserRef) -> UserPin {
        self.entries[at.slot()].pin(at, &self.released)
    }

    /// The last pin of the entry there was dropped, unless there are new ones: drops what is not needed any more.
    pub(super) fn release(&mut self, at: UserRef) {
        self.evict_idle(at);
        if let Some(entry) = self.entries.get_mut(at.slot()) {
            entry.drop_unused_pin_count();
        }
    }

    /// Drops the entry from memory if it is there and nothing needs it.
    pub(super) fn evict_idle(&mut self, at: UserRef) {
        if !self.entries.get(at.slot()).is_some_and(Entry::is_idle) {
            return;
        }
        let entry = self.entries.remove(at.slot());
        let hash = self.hasher.hash_one(entry.user());
        if let Ok(found) = self.by_id.find_entry(hash, |one| *one == at) {
            found.remove();
        }
        self.give_back();
    }

    /// Gives memory back once most users have left, and all of it that is worth the trouble after the last one: an entry far
    /// behind keeps the room of all before it.
    fn give_back(&mut self) {
        if self.entries.is_empty() && self.entries.capacity() > ENTRIES_KEPT {
            self.by_id = HashTable::new();
            self.entries = Slab::new();
        } else if self.by_id.capacity() > 64 && self.by_id.len() < self.by_id.capacity() / 4 {
            let (entries, hasher) = (&self.entries, &self.hasher);
            let hash_of = |at: &UserRef| hasher.hash_one(entries[at.slot()].user());
            self.by_id.shrink_to_fit(hash_of);
            self.entries.shrink_to_fit();
        }
    }

    /// The user there changed: what is being read of it may be older.
    pub(super) fn overtake_loads(&mut self, at: UserRef) {
        if let Some(entry) = self.entries.get(at.slot()) {
            self.loads.overtake(entry.user());
        }
    }
}
