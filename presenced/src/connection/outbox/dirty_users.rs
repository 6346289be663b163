//! The users that changed since a connection was last told of them, each with the number of its last change. Mostly there is
//! none or one, which takes no memory of its own: a change before many watchers allocates nothing for each of them.

use hashbrown::HashMap;

use crate::connection::user_pin::{UserPin, UserRef};

/// The dirty users of one connection.
#[derive(Debug)]
pub(crate) enum DirtyUsers {
    /// At most one.
    Few(Option<(UserPin, u64)>),
    /// There were two at least. Boxed, because few connections have so many at any one time.
    Many(Box<HashMap<UserPin, u64>>),
}

impl Default for DirtyUsers {
    fn default() -> Self {
        Self::Few(None)
    }
}

impl DirtyUsers {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Few(one) => one.is_none(),
            Self::Many(table) => table.is_empty(),
        }
    }

    /// Notes a change. Whether the user was dirty before.
    pub(super) fn mark(&mut self, pin: impl FnOnce() -> UserPin, user: UserRef, number: u64) -> bool {
        if let Some(before) = self.number_of(user) {
            *before = number;
            return true;
        }
        self.insert(pin(), number);
        false
    }

    /// Puts a user back. The number of a change that was noted meanwhile stays: it is the higher one.
    pub(super) fn put_back(&mut self, pin: UserPin, number: u64) {
        if self.number_of(pin.user()).is_none() {
            self.insert(pin, number);
        }
    }

    /// Puts back all of these.
    pub(super) fn put_back_all(&mut self, left: Self) {
        match left {
            Self::Few(one) => one.into_iter().for_each(|(pin, number)| self.put_back(pin, number)),
            Self::Many(table) => table.into_iter().for_each(|(pin, number)| self.put_back(pin, number)),
        }
    }

    /// Whether the user was dirty.
    pub(super) fn remove(&mut self, user: UserRef) -> bool {
        match self {
            Self::Few(one) => one.take_if(|(pin, _)| pin.user() == user).is_some(),
            Self::Many(table) => table.remove(&user).is_some(),
        }
    }

    /// Takes out the users that a frame contains, each up to the change with this number. How many there were.
    pub(super) fn drop_told(&mut self, told: &[(UserRef, u64)]) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let mut dropped = 0;
        for (user, number) in told {
            let is_told = self.number_of(*user).is_some_and(|marked| *marked <= *number);
            dropped += u64::from(is_told && self.remove(*user));
        }
        dropped
    }

    /// Keeps the users for whom this returns true.
    pub(crate) fn retain(&mut self, mut is_kept: impl FnMut(&UserPin) -> bool) {
        match self {
            Self::Few(one) => drop(one.take_if(|(pin, _)| !is_kept(pin))),
            Self::Many(table) => table.retain(|pin, _| is_kept(pin)),
        }
    }

    /// Gives the memory back if nobody is dirty.
    pub(super) fn give_back(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// The number of the user's last change.
    fn number_of(&mut self, user: UserRef) -> Option<&mut u64> {
        match self {
            Self::Few(one) => one
                .as_mut()
                .filter(|(pin, _)| pin.user() == user)
                .map(|(_, number)| number),
            Self::Many(table) => table.get_mut(&user),
        }
    }

    /// Adds a user who is not dirty.
    fn insert(&mut self, pin: UserPin, number: u64) {
        match self {
            Self::Few(one) if one.is_none() => *one = Some((pin, number)),
            Self::Few(one) => {
                let mut table = HashMap::new();
                table.extend(one.take());
                table.insert(pin, number);
                *self = Self::Many(Box::new(table));
            }
            Self::Many(table) => drop(table.insert(pin, number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::connection::user_pin::{PinCount, ReleasedUsers};

    impl DirtyUsers {
        pub(crate) fn len(&self) -> usize {
            self.numbers().len()
        }

        /// The number of the user's last change, if the user is dirty.
        pub(crate) fn get(&self, user: UserRef) -> Option<u64> {
            self.numbers().get(&user).copied()
        }

        pub(crate) fn holds_memory(&self) -> bool {
            matches!(self, Self::Many(_))
        }

        fn numbers(&self) -> BTreeMap<UserRef, u64> {
            match self {
                Self::Few(one) => one.iter().map(|(pin, number)| (pin.user(), *number)).collect(),
                Self::Many(table) => table.iter().map(|(pin, number)| (pin.user(), *number)).collect(),
            }
        }
    }

    /// What is done to dirty users.
    #[derive(Debug, Clone)]
    enum DirtyStep {
        Mark(usize, u64),
        PutBack(usize, u64),
        PutBackAll(Vec<usize>, u64),
        Remove(usize),
        DropTold(Vec<usize>, u64),
        Retain(usize),
        GiveBack,
    }

    fn steps() -> impl Strategy<Value = Vec<DirtyStep>> {
        let (slot, number) = (0_usize..5, 0_u64..9);
        let slots = proptest::collection::vec(slot.clone(), 0..4);
        let step = prop_oneof![
            4 => (slot.clone(), number.clone()).prop_map(|(slot, number)| DirtyStep::Mark(slot, number)),
            1 => (slot.clone(), number.clone()).prop_map(|(slot, number)| DirtyStep::PutBack(slot, number)),
            1 => (slots.clone(), number.clone()).prop_map(|(slots, number)| DirtyStep::PutBackAll(slots, number)),
            1 => slot.clone().prop_map(DirtyStep::Remove),
            1 => (slots, number).prop_map(|(slots, number)| DirtyStep::DropTold(slots, number)),
            1 => slot.prop_map(DirtyStep::Retain),
            1 => Just(DirtyStep::GiveBack),
        ];
        proptest::collection::vec(step, 0..40)
    }

    fn user(slot: usize) -> UserRef {
        UserRef::new(0, slot)
    }

    /// The dirty users, and a map that must have the same.
    #[derive(Default)]
    struct Pair {
        dirty: DirtyUsers,
        model: BTreeMap<UserRef, u64>,
        released: Arc<ReleasedUsers>,
    }

    impl Pair {
        fn pin(&self, slot: usize) -> UserPin {
            PinCount::new(user(slot), Arc::clone(&self.released)).pin()
        }

        fn step(&mut self, step: DirtyStep) {
            match step {
                DirtyStep::Mark(slot, number) => {
                    let pin = self.pin(slot);
                    let was_dirty = self.model.insert(user(slot), number).is_some();
                    assert_eq!(self.dirty.mark(|| pin, user(slot), number), was_dirty);
                }
                DirtyStep::PutBack(slot, number) => {
                    self.dirty.put_back(self.pin(slot), number);
                    self.model.entry(user(slot)).or_insert(number);
                }
                DirtyStep::PutBackAll(slots, number) => {
                    let mut left = DirtyUsers::default();
                    for slot in slots {
                        left.put_back(self.pin(slot), number);
                        self.model.entry(user(slot)).or_insert(number);
                    }
                    self.dirty.put_back_all(left);
                }
                DirtyStep::Remove(slot) => {
                    assert_eq!(self.dirty.remove(user(slot)), self.model.remove(&user(slot)).is_some());
                }
                DirtyStep::DropTold(slots, number) => {
                    let told: Vec<_> = slots.into_iter().map(|slot| (user(slot), number)).collect();
                    let before = self.model.len();
                    self.model
                        .retain(|user, marked| *marked > number || !told.contains(&(*user, number)));
                    assert_eq!(self.dirty.drop_told(&told), (before - self.model.len()) as u64);
                }
                DirtyStep::Retain(slot) => {
                    self.dirty.retain(|pin| pin.user() != user(slot));
                    self.model.remove(&user(slot));
                }
                DirtyStep::GiveBack => self.dirty.give_back(),
            }
        }
    }

    /// Every connection has them twice while it has its turn.
    #[test]
    fn dirty_users_are_small() {
        assert!(size_of::<DirtyUsers>() <= 24, "{}", size_of::<DirtyUsers>());
    }

    proptest! {
        #[test]
        fn dirty_users_are_a_map_however_few_there_are(steps in steps()) {
            let mut pair = Pair::default();
            for step in steps {
                pair.step(step.clone());
                prop_assert_eq!(pair.dirty.numbers(), pair.model.clone(), "after {:?}", step);
                prop_assert_eq!(pair.dirty.is_empty(), pair.model.is_empty());
            }
            pair.dirty.retain(|_| false);
            pair.dirty.give_back();
            prop_assert!(!pair.dirty.holds_memory());
        }
    }
}
