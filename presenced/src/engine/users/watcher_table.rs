//! Many connections that watch one user, in the order in which they began to. That is about the order in which they were accepted,
//! and so in which they lie in memory, and what the kernel has of their sockets: to go to thousands of them in no order takes
//! longer, as each is then fetched from farther away.

use std::sync::Arc;

use hashbrown::HashTable;

use crate::connection::Connection;

/// What tells connections apart: where they are. They stay there while a table or list has them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address(usize);

impl Address {
    pub(super) fn of(conn: &Connection) -> Self {
        Self(std::ptr::from_ref(conn).addr())
    }

    /// Spreads addresses, of which the lowest bits are equal, over all bits (Fibonacci hashing). Clients don't choose them.
    fn hash(self) -> u64 {
        let product = (self.0 as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        product ^ (product >> 32)
    }
}

/// Connections in order, each found by its address.
#[derive(Default)]
pub(super) struct WatcherTable {
    connections: Vec<Arc<Connection>>,
    /// Their indices: a process has far fewer than 2^32 sockets.
    indices: HashTable<u32>,
}

impl WatcherTable {
    pub(super) fn connections(&self) -> &[Arc<Connection>] {
        &self.connections
    }

    pub(super) fn into_connections(self) -> Vec<Arc<Connection>> {
        self.connections
    }

    pub(super) fn contains(&self, conn: &Connection) -> bool {
        let address = Address::of(conn);
        let is_it = |index: &u32| self.address_at(*index) == address;
        self.indices.find(address.hash(), is_it).is_some()
    }

    /// [`Self::contains`], for who asks for many, mostly in their order; `near` is the index of the last one that was found.
    pub(super) fn contains_near(&self, conn: &Connection, near: &mut usize) -> bool {
        let address = Address::of(conn);
        let is_at = |index: &usize| {
            self.connections
                .get(*index)
                .is_some_and(|one| Address::of(one) == address)
        };
        let mut found = [*near + 1, *near].into_iter().find(is_at);
        if found.is_none() {
            let is_it = |index: &u32| self.address_at(*index) == address;
            found = self.indices.find(address.hash(), is_it).map(|index| *index as usize);
        }
        *near = found.unwrap_or(*near);
        found.is_some()
    }

    /// Whether the connection was not in it before.
    pub(super) fn insert(&mut self, conn: &Arc<Connection>) -> bool {
        if self.contains(conn) {
            return false;
        }
        // A vector that grows by itself doubles.
        if self.connections.len() == self.connections.capacity() {
            self.connections.reserve_exact(self.connections.len() / 4 + 1);
        }
        let index = self.connections.len() as u32;
        self.connections.push(Arc::clone(conn));
        let connections = &self.connections;
        let hash_of = |index: &u32| Address::of(&connections[*index as usize]).hash();
        self.indices.insert_unique(Address::of(conn).hash(), index, hash_of);
        true
    }

    /// The last one takes the place of one that is removed. Gives memory back once most have gone.
    pub(super) fn remove(&mut self, conn: &Connection) {
        let address = Address::of(conn);
        let connections = &self.connections;
        let is_it = |index: &u32| Address::of(&connections[*index as usize]) == address;
        let Ok(found) = self.indices.find_entry(address.hash(), is_it) else {
            return;
        };
        let (index, _) = found.remove();
        let last = (self.connections.len() - 1) as u32;
        let hash = self.address_at(last).hash();
        if let Some(moved) = self.indices.find_mut(hash, |index| *index == last) {
            *moved = index;
        }
        self.connections.swap_remove(index as usize);
        if self.connections.len() < self.connections.capacity() / 4 {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        self.connections.shrink_to_fit();
        let connections = &self.connections;
        let hash_of = |index: &u32| Address::of(&connections[*index as usize]).hash();
        self.indices.shrink_to_fit(hash_of);
    }

    fn address_at(&self, index: u32) -> Address {
        Address::of(&self.connections[index as usize])
    }
}
