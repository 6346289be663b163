//! What happens to users on this node goes to the log of their partition.

use std::collections::HashSet;
use std::sync::Arc;

use presence::replication::{CommandKind, MovedTimes, State, UNREACHABLE_AFTER};
use presence::wire::record::{Record, Viewer};
use presence::{Freshness, Now, Revision, UserId, Version};

use super::showing::contributions_of_others;
use crate::cluster::{OWN_CHANGE_WAITS, Shared};
use crate::connection::Connection;
use crate::connection::user_pin::UserPin;
use crate::engine::publisher::Publication;
use crate::engine::users::{LockedEntry, Said};
use crate::engine::{Engine, EngineError};
use crate::store::Row;

impl Engine {
    /// Something happened to a user: the log is told, unless the user publishes too much; then that is told when the limit
    /// allows.
    pub(in crate::engine) fn offer(&self, shared: &Shared, entry: &mut LockedEntry<'_>, now: Now) {
        let was_held = entry.publication.held_until().is_some();
        let is_changed = entry.state.offer_changes(now.wall);
        if !self.may_leave(entry, now, is_changed) {
            return entry.state.withdraw_offer();
        }
        if was_held {
            self.tell_part(shared, entry);
        }
        shared.partition_of(entry.user()).touch(entry.user());
    }

    /// The durable part of the user was written: the log is to have it, whoever has sessions of the user.
    fn tell_part(&self, shared: &Shared, entry: &LockedEntry<'_>) {
        let part = entry.state.shared_part(self.now_of(entry));
        let user = entry.user().clone();
        let partition = shared.partition_of(&user);
        partition.tell(move |machine, input| machine.handle_loaded(input, &user, part));
    }

    /// The durable part is written: the log is told, unless the user publishes too much; then it is told when the limit allows.
    /// Whether it was told.
    pub(in crate::engine) fn tell_part_if_allowed(&self, shared: &Shared, entry: &LockedEntry<'_>) -> bool {
        let may_tell = entry.publication.held_until().is_none();
        if may_tell {
            self.tell_part(shared, entry);
        }
        may_tell
    }

    /// The record of the user after a durable write. Among others the log has it first, or this node alone knows it.
    pub(in crate::engine) async fn record_after_write(&self, pin: &UserPin, viewer: Viewer) -> Record {
        let Some(shared) = self.cluster.shared() else {
            return self.record_of(&self.users.lock(pin), viewer);
        };
        if !self.tell_part_if_allowed(shared, &self.users.lock(pin)) {
            return self.record_of(&self.users.lock(pin), viewer);
        }
        self.record_by_log(shared, pin, viewer).await
    }

    /// The record of the user as the log has it once it has what this node told; after a short while as this node would have
    /// it, `stale`.
    pub(in crate::engine) async fn record_by_log(&self, shared: &Shared, pin: &UserPin, viewer: Viewer) -> Record {
        let user = self.users.lock(pin).user().clone();
        let partition = shared.partition_of(&user);
        if !partition.wait_for_log(&user).await || partition.freshness() == Freshness::Stale {
            return self.offered_record(pin, viewer);
        }
        self.record_of(&self.users.lock(pin), viewer)
    }

    /// The record of the user as this node would have it, `stale`: the log may lack what was told of it.
    pub(in crate::engine) fn offered_record(&self, pin: &UserPin, viewer: Viewer) -> Record {
        let user = self.users.lock(pin).user().clone();
        let said = self.cluster.shared().and_then(|shared| {
            let partition = shared.partition_of(&user);
            let state = self.with_input(|input| partition.machine().said(input, &user))?;
            Some((shared, state))
        });
        let entry = self.users.lock(pin);
        let Some((shared, state)) = said else {
            return self.record_of(&entry, viewer);
        };
        // What the record is told at does not change before the log says so.
        let adopted = self.adopted(&state, entry.state.profile().revision());
        let said = Said {
            adopted,
            others: contributions_of_others(&state, shared),
            at: self.now_of(&entry).wall,
        };
        entry.state.said_record(said, &user, &self.cluster, viewer)
    }

    /// Waits until the log has what this node told of the users, a short while: a caller that reads right after a change gets
    /// the changed record. The users of whom the log lacks something then.
    pub(in crate::engine) async fn wait_for_own_changes<'a>(&self, users: &'a [UserId]) -> HashSet<&'a UserId> {
        let Some(shared) = self.cluster.shared() else {
            return HashSet::new();
        };
        let is_waiting = |user: &&UserId| shared.partition_of(user).is_waiting_for(user);
        let waiting = async {
            let mut has_all = true;
            for user in users.iter().filter(is_waiting) {
                has_all &= shared.partition_of(user).wait_for_log(user).await;
            }
            has_all
        };
        match tokio::time::timeout(OWN_CHANGE_WAITS, waiting).await {
            Ok(true) => HashSet::new(),
            Ok(false) | Err(_) => users
                .iter()
                .filter(|user| shared.partition_of(user).lacks(user))
                .collect(),
        }
    }

    /// The record of the connection's user, once the log has what the connection told; none if the session has ended.
    pub(crate) async fn own_record(&self, conn: &Arc<Connection>) -> Option<Record> {
        let pin = self.session_entry(conn)?.pin();
        Some(self.record_by_log(self.cluster.shared()?, &pin, Viewer::Own).await)
    }

    /// Whether this is a node among others.
    pub(crate) fn is_shared(&self) -> bool {
        self.cluster.shared().is_some()
    }

    /// The times of the user moved, and nothing else did: ticks tell the others.
    pub(in crate::engine) fn tell_times(&self, entry: &LockedEntry<'_>) {
        let Some(shared) = self.cluster.shared() else { return };
        let profile = entry.state.profile();
        if let Some(last_seen) = profile.last_seen() {
            let user = entry.user().clone();
            shared.partition_of(entry.user()).tell_times(MovedTimes {
                user,
                last_seen,
                last_active: profile.last_active(),
            });
        }
    }

    /// Tells the log that an operator ended the user's sessions, and waits until it has it. How many there were.
    pub(in crate::engine) async fn command(
        &self,
        shared: &Shared,
        user: &UserId,
        kind: CommandKind,
    ) -> Result<u64, EngineError> {
        let partition = shared.partition_of(user);
        if partition.freshness() == Freshness::Stale {
            return Err(EngineError::Unreachable);
        }
        let done = self.waiting.for_command(user);
        let of = user.clone();
        partition.tell(move |machine, input| machine.handle_command(input, &of, kind));
        match tokio::time::timeout(UNREACHABLE_AFTER, done).await {
            Ok(Ok(count)) => Ok(count as u64),
            _ => Err(EngineError::Unreachable),
        }
    }

    /// The user in memory for a connect, with what the database has: what is in memory may be older, after Redis lost or
    /// rolled back its state. If the database does not answer in time, what is in memory, else what is in the state, else the
    /// custom status that Redis lists for other services, else ONLINE; the last two are `degraded`.
    pub(in crate::engine) async fn load_from_store(self: &Arc<Self>, user: &UserId) -> UserPin {
        let loading = self.persistence.store.load(user);
        match tokio::time::timeout(self.options.connect_waits, loading).await {
            Ok(Ok(row)) => self.take_row(user, row),
            // Seldom needed, and large: not a part of every connection's task.
            Ok(Err(_)) | Err(_) => Box::pin(self.load_from_cluster(user)).await,
        }
    }

    async fn load_from_cluster(&self, user: &UserId) -> UserPin {
        if let Some(pin) = self.users.pin(user) {
            return pin;
        }
        let shown = self.shown(user);
        let is_known = |(_, state): &(Revision, State)| state.durable.part.version > Version::NONE;
        if shown.as_ref().is_some_and(is_known) {
            let state = || (self.shown_state(user, None, shown), Publication::default());
            let mut entry = self.users.insert(user, state);
            self.tell_read(&mut entry);
            return entry.pin();
        }
        let listed = match self.cluster.shared() {
            Some(shared) => shared.listed_custom_status(user, self.clock.mono()).await,
            None => None,
        };
        self.insert_fallback(user, listed.unwrap_or_default())
    }

    fn take_row(&self, user: &UserId, row: Option<Row>) -> UserPin {
        let shown = self.shown(user);
        let reading = self.clock.read_for_loads();
        let loaded = self.now_of_row(row.as_ref(), reading.for_user(None));
        let stored = row.map(|row| self.stored_of(user, row, loaded));
        let mut entry = self.users.insert(user, || {
            let state = self.shown_state(user, None, shown);
            (state, Publication::default())
        });
        self.tell_read(&mut entry);
        entry.overtake_loads();
        let now = entry.state.now(reading).wall.max(loaded.wall);
        entry.state.load(stored.unwrap_or_default(), now);
        entry.pin()
    }
}
