//! The users that one connection watches by name. Its entries are kept in memory by the connection's place among their
//! watchers, so plain references stay good. Changed by the connection's own task alone.

use hashbrown::HashSet;
use parking_lot::Mutex;

use super::user_pin::UserRef;

#[derive(Debug, Default)]
pub(crate) struct WatchList(Mutex<HashSet<UserRef>>);

impl WatchList {
    /// How long the list would be with these users.
    pub(crate) fn len_with(&self, users: impl Iterator<Item = UserRef>) -> usize {
        let list = self.0.lock();
        list.len() + users.filter(|user| !list.contains(user)).count()
    }

    /// Adds one. Whether the list was empty.
    pub(crate) fn add(&self, user: UserRef) -> bool {
        let mut list = self.0.lock();
        let was_empty = list.is_empty();
        list.insert(user);
        was_empty
    }

    /// Takes one away, if it is there. Gives memory back when the list becomes empty.
    pub(crate) fn remove(&self, user: UserRef) -> Removal {
        let mut list = self.0.lock();
        if !list.remove(&user) {
            return Removal::NotWatched;
        }
        if !list.is_empty() {
            return Removal::Removed;
        }
        list.shrink_to_fit();
        Removal::RemovedLast
    }

    /// Takes all away.
    pub(crate) fn take(&self) -> HashSet<UserRef> {
        std::mem::take(&mut self.0.lock())
    }
}

/// What taking one away came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    NotWatched,
    Removed,
    /// The list is empty now.
    RemovedLast,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(slot: usize) -> UserRef {
        UserRef::new(0, slot)
    }

    #[test]
    fn a_user_on_the_list_does_not_count_again() {
        let list = WatchList::default();
        assert!(list.add(user(1)), "the first");
        assert!(!list.add(user(2)));
        assert_eq!(list.len_with([user(1), user(2), user(3)].into_iter()), 3);
    }

    #[test]
    fn removing_tells_the_last_from_others_and_from_none() {
        let list = WatchList::default();
        list.add(user(1));
        list.add(user(2));
        assert_eq!(list.remove(user(3)), Removal::NotWatched);
        assert_eq!(list.remove(user(1)), Removal::Removed);
        assert_eq!(list.remove(user(1)), Removal::NotWatched);
        assert_eq!(list.remove(user(2)), Removal::RemovedLast);
    }

    #[test]
    fn a_list_is_taken_once() {
        let list = WatchList::default();
        list.add(user(1));
        assert_eq!(list.take(), HashSet::from([user(1)]));
        assert!(list.take().is_empty() && list.add(user(1)));
    }
}
