//! Everything in memory about one user: the state of the rules, the connections, the watchers, and the notes that the parts
//! of the engine keep about the user. Each part's note has private fields: only that part writes it.

use std::cell::OnceCell;
use std::sync::Arc;

use presence::replication::CommandKind;
use presence::{Revision, UserId};

use super::user_state::UserState;
use super::watcher_set::WatcherSet;
use crate::connection::Connection;
use crate::connection::user_pin::{PinCount, ReleasedUsers, UserPin, UserRef};
use crate::engine::deadlines::ArmedUser;
use crate::engine::persistence::DiskState;
use crate::engine::presence_index::Listing;
use crate::engine::publisher::Publication;

/// One user in memory.
pub(in crate::engine) struct Entry {
    user: UserId,
    /// Counts the pins; there only while there are pins, or were until the last sweep.
    pins: OnceCell<Arc<PinCount>>,
    pub(in crate::engine) state: UserState,
    /// The user's own connections.
    connections: Vec<Arc<Connection>>,
    /// The connections that watch the user by name.
    watchers: WatcherSet,
    /// Whether the shard has noted that the user has sessions on this node.
    is_noted_connected: bool,
    pub(in crate::engine) listing: Listing,
    pub(in crate::engine) publication: Publication,
    pub(in crate::engine) disk: DiskState,
    pub(in crate::engine) armed: ArmedUser,
}

impl Entry {
    pub(super) fn new(user: UserId, state: UserState, publication: Publication) -> Self {
        Self {
            user,
            pins: OnceCell::new(),
            state,
            connections: Vec::new(),
            watchers: WatcherSet::default(),
            is_noted_connected: false,
            listing: Listing::default(),
            publication,
            disk: DiskState::default(),
            armed: ArmedUser::default(),
        }
    }

    pub(in crate::engine) fn user(&self) -> &UserId {
        &self.user
    }

    /// Pins the entry, which is at this place.
    pub(super) fn pin(&self, at: UserRef, released: &Arc<ReleasedUsers>) -> UserPin {
        let pins = self.pins.get_or_init(|| PinCount::new(at, Arc::clone(released)));
        pins.pin()
    }

    /// Gives the count's memory back if there is no pin.
    pub(super) fn drop_unused_pin_count(&mut self) {
        if !self.is_pinned() {
            self.pins.take();
        }
    }

    /// Whether the user has sessions on this node now and had none when this was asked last, or the other way round.
    pub(super) fn take_sessions_changed(&mut self) -> bool {
        let is_connected = self.state.is_connected();
        std::mem::replace(&mut self.is_noted_connected, is_connected) != is_connected
    }

    fn is_pinned(&self) -> bool {
        self.pins.get().is_some_and(|pins| pins.is_pinned())
    }

    pub(in crate::engine) fn connections(&self) -> &[Arc<Connection>] {
        &self.connections
    }

    pub(in crate::engine) fn watchers(&self) -> &[Arc<Connection>] {
        self.watchers.connections()
    }

    pub(in crate::engine) fn add_connection(&mut self, conn: &Arc<Connection>) {
        // Most users have one connection, and a vector that grows by itself begins with room for four.
        if self.connections.is_empty() {
            self.connections.reserve_exact(1);
        }
        self.connections.push(Arc::clone(conn));
    }

    pub(in crate::engine) fn remove_connection(&mut self, conn: &Connection) {
        self.connections.retain(|one| one.id() != conn.id());
    }

    pub(in crate::engine) fn has_connection(&self, conn: &Connection) -> bool {
        self.connections.iter().any(|one| one.id() == conn.id())
    }

    /// An operator ended the sessions: the connections close.
    pub(in crate::engine) fn close_connections(&mut self, kind: CommandKind) {
        for conn in std::mem::take(&mut self.connections) {
            conn.close_with(kind.into());
        }
    }

    /// Whether the connection did not watch the user before.
    pub(in crate::engine) fn add_watcher(&mut self, conn: &Arc<Connection>) -> bool {
        self.watchers.insert(conn)
    }

    pub(in crate::engine) fn remove_watcher(&mut self, conn: &Connection) {
        self.watchers.remove(conn);
    }

    /// The revision of the user's last change, a removal included.
    pub(in crate::engine) fn changed_at(&self) -> Revision {
        let removed_at = self.publication.removed_at().unwrap_or(Revision::NEVER);
        self.state.profile().revision().max(removed_at)
    }

    /// Whether changes of the user are delivered to `conn`.
    pub(in crate::engine) fn is_delivered_to(&self, conn: &Connection) -> bool {
        self.is_delivered_near(conn, &mut 0)
    }

    /// [`Self::is_delivered_to`], for who asks for many connections, mostly in the order of [`Self::watchers`]; `near` is for the
    /// next call, of whatever user.
    pub(in crate::engine) fn is_delivered_near(&self, conn: &Connection, near: &mut usize) -> bool {
        // The id last: its text lies elsewhere in memory.
        conn.user()
            .is_none_or(|own| self.watchers.contains_near(conn, near) || *own == self.user)
    }

    /// Whether `conn` watches the user by name.
    pub(in crate::engine) fn is_watched_by(&self, conn: &Connection) -> bool {
        self.watchers.contains(conn)
    }

    /// Whether the user is needed in memory, whoever pins it.
    pub(in crate::engine) fn is_needed(&self) -> bool {
        !self.watchers.is_empty()
            || !self.connections.is_empty()
            || !self.disk.is_current()
            || self.publication.held_until().is_some()
            || self.state.is_present()
            // Among others: the log does not have yet that nobody keeps the user present.
            || self.listing.status().is_some()
            // Nor when it was last heard.
            || self.state.profile().has_unlogged_times()
    }

    /// Whether nothing needs the user in memory. One that is to be loaded again is pinned until it was.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_pinned() && !self.is_needed()
    }
}
