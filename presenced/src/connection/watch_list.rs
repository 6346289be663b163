//! The users that one connection watches by name. Its entries are kept in memory by the connection's place among their
//! watchers, so plain references stay good. Changed by the connection's own task alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::user_pin::UserRef;
use crate::limits::Limits;

#[derive(Debug, Default)]
pub(crate) struct WatchList(Mutex<Watches>);

#[derive(Debug, Default)]
struct Watches {
    /// In order. Half the size of a set, and what a search and a move cost more is little beside the entry's lock.
    users: Vec<UserRef>,
    /// What it shares with the other connections of its user; not set for an observer, which has no user.
    total: Option<Arc<WatchTotal>>,
}

/// How many users all connections of one user watch.
#[derive(Debug, Default)]
pub(crate) struct WatchTotal(AtomicUsize);

/// The limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchLimit {
    Connection,
    User,
}

impl WatchList {
    /// What the connections of its user share, or begin to share.
    pub(crate) fn total(&self) -> Arc<WatchTotal> {
        Arc::clone(self.0.lock().total.get_or_insert_default())
    }

    /// The connection becomes one of those that share this. Only the first call counts.
    pub(crate) fn share(&self, total: Arc<WatchTotal>) {
        self.0.lock().total.get_or_insert(total);
    }

    /// Makes room for these users, which are different ones: those that are not on the list must be added.
    pub(crate) fn make_room(&self, users: impl Iterator<Item = UserRef>, limits: &Limits) -> Result<(), WatchLimit> {
        let mut list = self.0.lock();
        let added = users.filter(|user| list.users.binary_search(user).is_err()).count();
        if list.users.len() + added > limits.watched_per_connection {
            return Err(WatchLimit::Connection);
        }
        if let Some(WatchTotal(total)) = list.total.as_deref() {
            let fits = |total: usize| (total + added <= limits.watched_per_user).then_some(total + added);
            let made = total.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits);
            made.map_err(|_| WatchLimit::User)?;
        }
        list.users.reserve(added);
        Ok(())
    }

    /// Adds one for which there is room. Whether the list was empty.
    pub(crate) fn add(&self, user: UserRef) -> bool {
        let users = &mut self.0.lock().users;
        let was_empty = users.is_empty();
        if let Err(place) = users.binary_search(&user) {
            users.insert(place, user);
        }
        was_empty
    }

    /// Takes one away, if it is there. Gives memory back once most have gone.
    pub(crate) fn remove(&self, user: UserRef) -> Removal {
        let mut list = self.0.lock();
        let Ok(place) = list.users.binary_search(&user) else {
            return Removal::NotWatched;
        };
        list.users.remove(place);
        list.give_back(1);
        if list.users.len() <= list.users.capacity() / 4 {
            list.users.shrink_to_fit();
        }
        match list.users.is_empty() {
            true => Removal::RemovedLast,
            false => Removal::Removed,
        }
    }

    /// Takes all away.
    pub(crate) fn take(&self) -> Vec<UserRef> {
        let mut list = self.0.lock();
        let taken = std::mem::take(&mut list.users);
        list.give_back(taken.len());
        taken
    }
}

impl Watches {
    /// That many fewer are watched.
    fn give_back(&self, count: usize) {
        if let Some(total) = &self.total {
            total.0.fetch_sub(count, Ordering::SeqCst);
        }
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

    fn watch(list: &WatchList, slots: &[usize], limits: (usize, usize)) -> Result<(), WatchLimit> {
        let limits = Limits {
            watched_per_connection: limits.0,
            watched_per_user: limits.1,
            ..Limits::default()
        };
        let users = || slots.iter().map(|slot| user(*slot));
        list.make_room(users(), &limits)?;
        for user in users() {
            let _ = list.add(user);
        }
        Ok(())
    }

    #[test]
    fn a_user_on_the_list_does_not_count_again() {
        let list = WatchList::default();
        assert!(list.add(user(1)), "the first");
        assert!(!list.add(user(2)));
        assert_eq!(
            watch(&list, &[1, 2, 3], (3, 1)),
            Ok(()),
            "an observer has no user's limit"
        );
        assert_eq!(watch(&list, &[1, 4], (3, 9)), Err(WatchLimit::Connection));
    }

    #[test]
    fn lists_of_one_user_share_its_limit_until_they_give_back() {
        let lists = [WatchList::default(), WatchList::default(), WatchList::default()];
        lists[1].share(lists[0].total());
        lists[2].share(lists[1].total());
        assert_eq!(watch(&lists[0], &[1, 2, 3], (3, 5)), Ok(()));
        assert_eq!(watch(&lists[1], &[1, 2], (3, 5)), Ok(()));
        assert_eq!(watch(&lists[2], &[1], (3, 5)), Err(WatchLimit::User));
        assert_eq!(watch(&lists[1], &[1, 2], (3, 5)), Ok(()), "nothing is added");
        assert_eq!(lists[1].remove(user(9)), Removal::NotWatched);
        assert_eq!(watch(&lists[2], &[1], (3, 5)), Err(WatchLimit::User));
        assert_eq!(lists[1].remove(user(1)), Removal::Removed);
        assert_eq!(watch(&lists[2], &[1], (3, 5)), Ok(()));
        assert_eq!(lists[0].take().len(), 3);
        assert_eq!(watch(&lists[2], &[2, 3], (3, 5)), Ok(()));
        assert_eq!(watch(&lists[1], &[3, 4], (3, 5)), Err(WatchLimit::User));
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
    fn a_list_takes_a_reference_a_user_and_gives_memory_back() {
        let list = WatchList::default();
        let slots: Vec<_> = (0..50).rev().collect();
        assert_eq!(watch(&list, &slots, (50, 50)), Ok(()));
        assert_eq!(list.0.lock().users.capacity(), 50);
        for slot in 1..50 {
            assert_eq!(list.remove(user(slot)), Removal::Removed);
        }
        assert!(list.0.lock().users.capacity() < 8);
        assert_eq!(list.remove(user(0)), Removal::RemovedLast);
        assert_eq!(list.0.lock().users.capacity(), 0);
    }

    #[test]
    fn a_list_is_taken_once() {
        let list = WatchList::default();
        list.add(user(1));
        assert_eq!(list.take(), [user(1)]);
        assert!(list.take().is_empty() && list.add(user(1)));
    }
}
