//! References to the entries of users, as connections hold them. A [`UserRef`] is a place; a [`UserPin`] keeps the entry
//! in that place for as long as it lives. The engine's users make both; nothing here knows what an entry is.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

/// Bits of a reference that name the slot; the bits above name the shard.
const SLOT_BITS: u32 = 26;

/// Where a user's entry is: shard and slot. Without a pin, another user may have taken the slot meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct UserRef(u32);

impl UserRef {
    /// The most shards that references can name.
    pub(crate) const SHARDS_MAX: usize = 1 << (u32::BITS - SLOT_BITS);

    /// The reference to a slot of a shard.
    ///
    /// # Panics
    ///
    /// If one of them has more bits than a reference keeps: 2^26 entries of one shard need more memory than a machine has.
    pub(crate) fn new(shard: usize, slot: usize) -> Self {
        assert!(
            shard < Self::SHARDS_MAX && slot < 1 << SLOT_BITS,
            "{shard}/{slot} fits no reference"
        );
        Self((shard << SLOT_BITS | slot) as u32)
    }

    pub(crate) const fn shard(self) -> usize {
        (self.0 >> SLOT_BITS) as usize
    }

    pub(crate) const fn slot(self) -> usize {
        (self.0 & ((1 << SLOT_BITS) - 1)) as usize
    }
}

/// The entries whose last pin was dropped: nothing may need them in memory any more.
#[derive(Debug, Default)]
pub(crate) struct ReleasedUsers(Mutex<Vec<UserRef>>);

impl ReleasedUsers {
    pub(crate) fn take(&self) -> Vec<UserRef> {
        std::mem::take(&mut self.0.lock())
    }

    /// Keeps one for the next [`Self::take`].
    pub(crate) fn push(&self, user: UserRef) {
        self.0.lock().push(user);
    }
}

/// Counts the pins of one entry. The entry owns it.
#[derive(Debug)]
pub(crate) struct PinCount {
    user: UserRef,
    pins: AtomicU32,
    released: Arc<ReleasedUsers>,
}

impl PinCount {
    pub(crate) fn new(user: UserRef, released: Arc<ReleasedUsers>) -> Arc<Self> {
        Arc::new(Self {
            user,
            pins: AtomicU32::new(0),
            released,
        })
    }

    /// A pin of the entry. Only while the entry is locked: an unlocked one without pins may be leaving its slot.
    pub(crate) fn pin(self: &Arc<Self>) -> UserPin {
        self.pins.fetch_add(1, Ordering::SeqCst);
        UserPin(Arc::clone(self))
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::SeqCst) > 0
    }
}

/// Keeps a user's entry in its slot. Dropping it takes no lock of a shard, so it may be dropped anywhere.
#[derive(Debug)]
pub(crate) struct UserPin(Arc<PinCount>);

impl UserPin {
    pub(crate) fn user(&self) -> UserRef {
        self.0.user
    }
}

impl Clone for UserPin {
    fn clone(&self) -> Self {
        self.0.pin()
    }
}

impl Drop for UserPin {
    fn drop(&mut self) {
        if self.0.pins.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.released.push(self.0.user);
        }
    }
}

impl PartialEq for UserPin {
    fn eq(&self, other: &Self) -> bool {
        self.user() == other.user()
    }
}

impl Eq for UserPin {}

impl Hash for UserPin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.user().hash(state);
    }
}

impl hashbrown::Equivalent<UserPin> for UserRef {
    fn equivalent(&self, pin: &UserPin) -> bool {
        *self == pin.user()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_keeps_its_shard_and_slot() {
        for (shard, slot) in [(0, 0), (63, (1 << SLOT_BITS) - 1), (5, 77), (63, 0)] {
            let user = UserRef::new(shard, slot);
            assert_eq!((user.shard(), user.slot()), (shard, slot));
        }
    }

    #[test]
    #[should_panic(expected = "fits no reference")]
    fn a_slot_that_would_spill_into_the_shard_is_refused() {
        let _ = UserRef::new(0, 1 << SLOT_BITS);
    }

    #[test]
    fn an_entry_is_released_when_its_last_pin_is_dropped() {
        let released = Arc::new(ReleasedUsers::default());
        let count = PinCount::new(UserRef::new(1, 2), Arc::clone(&released));
        let first = count.pin();
        let second = first.clone();
        drop(first);
        assert!(count.is_pinned() && released.take().is_empty());
        drop(second);
        assert!(!count.is_pinned());
        assert_eq!(released.take(), vec![UserRef::new(1, 2)]);
        assert!(released.take().is_empty(), "taken once");
    }
}
