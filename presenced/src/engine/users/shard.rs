//! One shard of the users: entries in slots, found by id. Everything here happens under the shard's short lock.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use presence::UserId;
use slab::Slab;

use super::entry::Entry;
use super::hash;
use super::user_state::UserState;
use crate::connection::user_pin::{ReleasedUsers, UserPin, UserRef};
use crate::engine::publisher::Publication;

/// How many drops a shard remembers.
const EVICTED_REMEMBERED: usize = 64;

/// How many entries of a shard had been dropped at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct Evictions(u64);

/// The shard of a user.
pub(super) struct Shard {
    index: usize,
    by_id: HashMap<UserId, UserRef>,
    pub(super) entries: Slab<Entry>,
    /// How many entries were ever dropped.
    evictions: u64,
    /// Hashes of the users dropped last: a load from the store that overlaps the drop of its user must be made again.
    evicted: VecDeque<u64>,
    released: Arc<ReleasedUsers>,
}

impl Shard {
    pub(super) fn new(index: usize, released: Arc<ReleasedUsers>) -> Self {
        Self {
            index,
            by_id: HashMap::new(),
            entries: Slab::new(),
            evictions: 0,
            evicted: VecDeque::new(),
            released,
        }
    }

    pub(super) fn find(&self, user: &UserId) -> Option<UserRef> {
        self.by_id.get(user).copied()
    }

    /// Puts a user into memory that is not there.
    pub(super) fn insert(&mut self, user: &UserId, state: UserState, publication: Publication) -> UserRef {
        let vacant = self.entries.vacant_entry();
        let at = UserRef::new(self.index, vacant.key());
        vacant.insert(Entry::new(user.clone(), state, publication));
        self.by_id.insert(user.clone(), at);
        at
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
        self.by_id.remove(entry.user());
        self.evictions += 1;
        if self.evicted.len() == EVICTED_REMEMBERED {
            self.evicted.pop_front();
        }
        self.evicted.push_back(hash(entry.user()));
        if self.by_id.capacity() > 64 && self.by_id.len() < self.by_id.capacity() / 4 {
            self.by_id.shrink_to_fit();
            self.entries.shrink_to_fit();
        }
    }

    pub(super) fn evictions(&self) -> Evictions {
        Evictions(self.evictions)
    }

    /// Whether the user may have been dropped since then, so that what was read of it meanwhile may be older than what was
    /// in memory.
    pub(super) fn may_have_evicted(&self, user: &UserId, since: Evictions) -> bool {
        let count = usize::try_from(self.evictions - since.0).unwrap_or(usize::MAX);
        count > self.evicted.len() || self.evicted.iter().rev().take(count).any(|one| *one == hash(user))
    }
}
