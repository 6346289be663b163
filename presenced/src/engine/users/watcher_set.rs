//! The connections that watch one user by name. Most users have few watchers, and every connection may be in dozens of
//! these sets: a few are an ordered list without spare room, half the size of a hash table.

use std::sync::Arc;

use super::watcher_table::{Address, WatcherTable};
use crate::connection::Connection;

/// The longest list. Adding one and taking one away move half of it, 256 bytes.
const LIST_MAX: usize = 64;
/// A table that has become this short is a list again: well below [`LIST_MAX`], so that one watcher who comes and goes does
/// not make it change each time.
const TABLE_MIN: usize = LIST_MAX / 4;

/// The connections that watch one user by name, in no order that means anything.
pub(super) enum WatcherSet {
    /// In the order of their addresses in memory.
    List(Box<[Arc<Connection>]>),
    /// Boxed, because few users have so many.
    Table(Box<WatcherTable>),
}

impl Default for WatcherSet {
    fn default() -> Self {
        Self::List(Box::default())
    }
}

impl WatcherSet {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Table(table) => table.connections().len(),
        }
    }

    pub(super) fn contains(&self, conn: &Connection) -> bool {
        match self {
            Self::List(list) => place_of(list, conn).is_ok(),
            Self::Table(table) => table.contains(conn),
        }
    }

    /// [`Self::contains`], for who asks for many, mostly in the order of [`Self::connections`]; `near` is for the next call.
    pub(super) fn contains_near(&self, conn: &Connection, near: &mut usize) -> bool {
        match self {
            Self::List(_) => self.contains(conn),
            Self::Table(table) => table.contains_near(conn, near),
        }
    }

    pub(super) fn connections(&self) -> &[Arc<Connection>] {
        match self {
            Self::List(list) => list,
            Self::Table(table) => table.connections(),
        }
    }

    /// Whether the connection was not in it before.
    pub(super) fn insert(&mut self, conn: &Arc<Connection>) -> bool {
        match self {
            Self::Table(table) => table.insert(conn),
            Self::List(list) => {
                let Err(place) = place_of(list, conn) else {
                    return false;
                };
                let mut longer = std::mem::take(list).into_vec();
                if longer.len() == LIST_MAX {
                    let mut table = WatcherTable::default();
                    for one in longer.iter().chain([conn]) {
                        table.insert(one);
                    }
                    *self = Self::Table(Box::new(table));
                    return true;
                }
                longer.reserve_exact(1);
                longer.insert(place, Arc::clone(conn));
                *list = longer.into_boxed_slice();
                true
            }
        }
    }

    /// Gives memory back once most have gone.
    pub(super) fn remove(&mut self, conn: &Connection) {
        match self {
            Self::List(list) => {
                if let Ok(place) = place_of(list, conn) {
                    let mut shorter = std::mem::take(list).into_vec();
                    shorter.remove(place);
                    *list = shorter.into_boxed_slice();
                }
            }
            Self::Table(table) => {
                table.remove(conn);
                if table.connections().len() <= TABLE_MIN {
                    let mut list = std::mem::take(&mut **table).into_connections();
                    list.sort_unstable_by_key(|conn| Address::of(conn));
                    *self = Self::List(list.into_boxed_slice());
                }
            }
        }
    }
}

/// Where the connection is in a list, or where it belongs.
fn place_of(list: &[Arc<Connection>], conn: &Connection) -> Result<usize, usize> {
    list.binary_search_by_key(&Address::of(conn), |one| Address::of(one))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::tests::stepped_engine::Stepped;

    /// Connections of nobody.
    fn connections(count: usize) -> Vec<Arc<Connection>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let stepped = runtime.expect("a runtime").block_on(Stepped::new());
        std::iter::repeat_with(|| stepped.observe().conn).take(count).collect()
    }

    fn addresses<'a>(watchers: impl Iterator<Item = &'a Arc<Connection>>) -> Vec<*const Connection> {
        let mut addresses: Vec<_> = watchers.map(Arc::as_ptr).collect();
        addresses.sort_unstable();
        addresses
    }

    /// Every user in memory has one.
    #[test]
    fn a_set_of_watchers_is_small() {
        assert!(size_of::<WatcherSet>() <= 16, "{}", size_of::<WatcherSet>());
    }

    #[test]
    fn a_set_becomes_a_table_beyond_its_bound_and_a_list_far_below() {
        let connections = connections(LIST_MAX + 1);
        let is_list = |set: &WatcherSet| matches!(set, WatcherSet::List(_));
        let mut set = WatcherSet::default();
        for (index, conn) in connections.iter().enumerate() {
            assert!(set.insert(conn));
            assert_eq!(is_list(&set), index < LIST_MAX, "with {}", index + 1);
        }
        for left in (0..=LIST_MAX).rev() {
            set.remove(&connections[left]);
            assert_eq!(is_list(&set), left <= TABLE_MIN, "with {left}");
        }
        assert!(set.is_empty());
        assert!(connections.iter().all(|conn| Arc::strong_count(conn) == 1), "let go of");
    }

    #[test]
    fn many_watchers_are_in_the_order_in_which_they_began() {
        let connections = connections(200);
        let mut set = WatcherSet::default();
        for conn in &connections {
            set.insert(conn);
        }
        let order = |set: &WatcherSet| -> Vec<_> { set.connections().iter().map(Arc::as_ptr).collect() };
        // The first ones were a list, in the order of their addresses.
        let mut expected: Vec<_> = connections.iter().map(Arc::as_ptr).collect();
        expected[..LIST_MAX].sort_unstable();
        assert_eq!(order(&set), expected);
        set.remove(&connections[100]);
        expected.swap_remove(100);
        assert_eq!(order(&set), expected, "the last one took the place");
    }

    #[test]
    fn a_watcher_is_found_wherever_the_last_one_stood() {
        let connections = connections(100);
        let (watchers, others) = connections.split_at(80);
        let mut set = WatcherSet::default();
        for conn in watchers {
            set.insert(conn);
        }
        for before in 0..=80_usize {
            for conn in &connections {
                let is_watcher = !others.iter().any(|other| Arc::ptr_eq(other, conn));
                assert_eq!(
                    set.contains_near(conn, &mut before.clone()),
                    is_watcher,
                    "after {before}"
                );
            }
        }
        let mut near = 7;
        assert!(set.contains_near(set.connections().get(50).expect("a watcher"), &mut near));
        assert_eq!(near, 50);
        assert!(!set.contains_near(&others[0], &mut near), "not found");
        assert_eq!(near, 50, "it stays for the next one");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_set_has_what_was_inserted_and_not_removed(
            steps in proptest::collection::vec((0_usize..100, 0_usize..10), 800),
        ) {
            let connections = connections(100);
            let (mut set, mut model) = (WatcherSet::default(), Vec::new());
            for (number, (index, kind)) in steps.into_iter().enumerate() {
                // In turns it becomes a table and a list again.
                let inserts_of_ten = if number / 200 % 2 == 0 { 9 } else { 1 };
                let conn = &connections[index];
                let is_known = model.iter().any(|one| Arc::ptr_eq(one, conn));
                prop_assert_eq!(set.contains(conn), is_known);
                prop_assert_eq!(set.contains_near(conn, &mut (number % 120)), is_known);
                if kind < inserts_of_ten {
                    prop_assert_eq!(set.insert(conn), !is_known);
                    if !is_known {
                        model.push(Arc::clone(conn));
                    }
                } else {
                    set.remove(conn);
                    model.retain(|one| !Arc::ptr_eq(one, conn));
                }
                prop_assert_eq!(set.is_empty(), model.is_empty());
                prop_assert_eq!(addresses(set.connections().iter()), addresses(model.iter()));
            }
        }
    }
}
