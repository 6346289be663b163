//! A node lets its clients go: one after the other to other nodes, because an operator asked for it or before a stop, or all at
//! once, because it stops and there are no others.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use presence::replication::{Incarnation, Member, NodeLoad};
use tokio::task::AbortHandle;

use super::Engine;
use super::nodes::KnownNodes;
use crate::cluster::Shared;
use crate::connection::Connection;
use crate::connection::drain::Drain;
use crate::request_id;

/// How often some connections are closed while clients are moved: at the default rate 25 at a time, which another node takes
/// without a pause that anybody notices.
const CLOSE_EVERY: Duration = Duration::from_millis(50);
/// How often the log says how far a move is.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// How often the other nodes are told of the load, if it changed: about three times between two ticks.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Nodes tell of draining and of their load in this partition first, and are told of it there.
pub(super) const TOLD_IN: u16 = 0;

/// What a node tells of its clients, and whether it moves them.
#[derive(Debug, Default)]
pub(super) struct Moving {
    mover: Mutex<Option<AbortHandle>>,
    /// How many connections the listeners take.
    capacity: AtomicU32,
    /// What the partitions were told last.
    told: Mutex<Option<NodeLoad>>,
}

impl Engine {
    /// Closes every connection, with the restart grace for its user.
    pub(crate) fn begin_drain(&self) {
        self.context.drain.end_all();
        self.tell_of_drain();
    }

    /// Connections that are not in the wheel now look for themselves when they are armed.
    fn tell_of_drain(&self) {
        for conn in self.deadlines.connections() {
            conn.learn_of_drain();
        }
    }

    /// Whether new connections are refused: clients are moved to other nodes, or the daemon stops.
    pub(crate) fn is_draining(&self) -> bool {
        self.context.drain.has_begun()
    }

    /// Whether clients are moved to other nodes and the daemon does not stop.
    pub(crate) fn is_moving_clients(&self) -> bool {
        self.is_draining() && !self.context.drain.is_stopping()
    }

    /// Whether the daemon closes all connections because it stops.
    pub(super) fn is_ending(&self) -> bool {
        self.context.drain.is_ending()
    }

    /// The listeners take so many connections from now on: other nodes may move clients here.
    pub(crate) fn set_capacity(&self, connections: usize) {
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        self.moving.capacity.store(connections, Ordering::Relaxed);
        if let Some(shared) = self.cluster.shared() {
            self.tell_load(shared);
        }
    }

    /// The daemon stops: its clients move to other nodes, if there are any, for this long at most; whoever is left then is told
    /// to come back a little later. Ends when all connections are condemned.
    pub(crate) async fn drain_to_stop(&self, within: Duration) {
        let Some(shared) = self.cluster.shared().filter(|shared| self.others_take_clients(shared)) else {
            return self.begin_drain();
        };
        {
            let mut mover = self.moving.mover.lock();
            self.context.drain.begin_stop();
            // Else both would close connections at the rate.
            if let Some(mover) = mover.take() {
                mover.abort();
            }
        }
        self.tell_load(shared);
        self.warn_of_lacking_room();
        let _ = tokio::time::timeout(within, self.move_clients()).await;
        self.end_soon();
    }

    /// Condemns the connections that are left. Their clients return as if they were moved at the rate.
    pub(crate) fn end_soon(&self) {
        let shared = self.cluster.shared();
        if !shared.is_some_and(|shared| self.others_take_clients(shared)) {
            return self.begin_drain();
        }
        let left = self.open_connections();
        if left > 0 {
            tracing::info!(
                left,
                "the clients that are left are told to come back later, spread over time"
            );
        }
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let spread = Duration::from_secs(1).saturating_mul(left) / self.options.drain_rate.get();
        self.context.drain.end_all_within(spread);
        self.tell_of_drain();
    }

    /// Begins to move clients to other nodes, or takes new ones again, as an operator asked. Whether that is new.
    pub(super) fn set_draining(self: &Arc<Self>, is_wanted: bool) -> bool {
        let Some(shared) = self.cluster.shared() else {
            return false;
        };
        if !self.switch_mover(is_wanted) {
            return false;
        }
        self.tell_load(shared);
        if !is_wanted {
            tracing::info!("the drain is cancelled: clients are taken again");
        }
        true
    }

    /// Whether that is new. The phase changes together with the mover: of a drain that is cancelled at once, none is left.
    pub(super) fn switch_mover(self: &Arc<Self>, is_wanted: bool) -> bool {
        let drain = &self.context.drain;
        let mut mover = self.moving.mover.lock();
        let is_new = match is_wanted {
            true => drain.begin_moving(),
            false => drain.cancel_moving(),
        };
        if !is_new {
            return false;
        }
        if is_wanted {
            // Before the first ones go.
            self.warn_of_lacking_room();
        }
        let next = is_wanted.then(|| {
            let engine = Arc::clone(self);
            tokio::spawn(request_id::carried(async move { engine.keep_moving().await })).abort_handle()
        });
        if let Some(before) = std::mem::replace(&mut *mover, next) {
            before.abort();
        }
        true
    }

    #[cfg(test)]
    pub(super) fn has_mover(&self) -> bool {
        self.moving.mover.lock().is_some()
    }

    /// Whether clients that leave this node have somewhere to go.
    fn others_take_clients(&self, shared: &Shared) -> bool {
        takes_clients_beside(&self.members(), shared.incarnation(), shared.lease())
    }

    /// The other nodes may be too full for the clients that move there.
    fn warn_of_lacking_room(&self) {
        let open = self.open_connections();
        let room = room_beside(&self.members(), self.incarnation());
        if room < open {
            tracing::warn!(
                connections = open,
                room,
                "the other nodes have room for fewer clients than move there"
            );
        }
    }

    /// Moves all clients away, and those who were about to be connected when it began.
    async fn keep_moving(&self) {
        self.move_clients().await;
        tracing::info!(
            "drained: no client is left, and none is taken before the drain is cancelled or the node restarts"
        );
        loop {
            tokio::time::sleep(TELL_EVERY).await;
            self.move_clients().await;
        }
    }

    /// Closes connection after connection, at the rate, until none is left.
    async fn move_clients(&self) {
        let rate = self.options.drain_rate.get();
        let (together, pause) = steps_of(rate);
        let mut quiet_for = SAY_EVERY;
        while self.open_connections() > 0 {
            let open = self.connections_to_move();
            if open.is_empty() {
                // They are about to end, or to be greeted.
                tokio::time::sleep(CLOSE_EVERY).await;
            }
            for some in open.chunks(together) {
                if quiet_for >= SAY_EVERY {
                    quiet_for = Duration::ZERO;
                    tracing::info!(
                        left = self.open_connections(),
                        rate,
                        "draining: clients move to other nodes"
                    );
                }
                for conn in some.iter().filter_map(Weak::upgrade) {
                    conn.close_with(Drain::reason_of_one());
                }
                tokio::time::sleep(pause).await;
                quiet_for += pause;
            }
        }
    }

    /// Those that have no reason to end yet. Weak, so that those which end meanwhile are gone.
    fn connections_to_move(&self) -> Vec<Weak<Connection>> {
        let connections = self.deadlines.connections();
        let open = connections.iter().filter(|conn| conn.close_reason().is_none());
        let mut seen = hashbrown::HashSet::new();
        open.filter(|conn| seen.insert(conn.id())).map(Arc::downgrade).collect()
    }

    fn open_connections(&self) -> u64 {
        let sessions = self.session_counts.stats(&self.index);
        sessions.connections + sessions.observers
    }

    /// Tells the other nodes, again and again, what this one serves.
    pub(super) async fn run_load(&self, shared: &Shared) {
        let (mut registrations, mut known) = (0, KnownNodes::default());
        loop {
            let read = shared.partition(TOLD_IN).registrations();
            if read != registrations {
                // A node that has just come has read nothing of this one's load.
                registrations = read;
                self.moving.told.lock().take();
                known.note(&self.members(), self.incarnation());
            }
            self.tell_load(shared);
            tokio::time::sleep(TELL_EVERY).await;
        }
    }

    fn tell_load(&self, shared: &Shared) {
        let load = NodeLoad {
            connections: u32::try_from(self.open_connections()).unwrap_or(u32::MAX),
            capacity: self.moving.capacity.load(Ordering::Relaxed),
            is_draining: self.is_draining(),
        };
        let before = self.moving.told.lock().replace(load);
        if before == Some(load) {
            return;
        }
        for number in 0..shared.partitions() {
            shared
                .partition(number)
                .tell(move |machine, _| machine.handle_load(load));
        }
        // One partition tells at once how far the node is with draining, and whether clients may come.
        let is_as_before = |before: NodeLoad| !before.is_draining && before.capacity == load.capacity;
        if load.is_draining || !before.is_some_and(is_as_before) {
            shared.partition(TOLD_IN).tell(|machine, input| machine.tick_now(input));
        }
    }
}

/// Whether clients that leave one of these nodes have somewhere to go.
pub(super) fn takes_clients_beside(members: &[Member], leaves: Incarnation, lease: Duration) -> bool {
    let mut others = members.iter().filter(|member| member.incarnation != leaves);
    others.any(|member| member.takes_clients(lease))
}

/// How many more connections the nodes other than this one take.
fn room_beside(members: &[Member], own: Incarnation) -> u64 {
    let others = members.iter().filter(|member| member.incarnation != own);
    others.map(|member| u64::from(member.tick.room())).sum()
}

/// How many connections to close together, and how long to wait then, for so many a second.
fn steps_of(rate: u32) -> (usize, Duration) {
    let steps = Duration::from_secs(1).as_millis() / CLOSE_EVERY.as_millis();
    let together = rate
        .checked_div(u32::try_from(steps).unwrap_or(1))
        .unwrap_or_default()
        .max(1);
    let pause = Duration::from_secs(1) * together / rate.max(1);
    (usize::try_from(together).unwrap_or(1), pause)
}

#[cfg(test)]
mod tests {
    use presence::replication::Tick;

    use super::*;

    fn member(connections: u32, capacity: u32, is_draining: bool, tick_age: u64) -> Member {
        Member {
            incarnation: Incarnation(1),
            info: None,
            tick_age: Duration::from_secs(60),
            youngest_tick: Duration::from_secs(tick_age),
            tick: Tick {
                connections,
                capacity,
                is_draining,
                ..Tick::default()
            },
            lag: Duration::ZERO,
        }
    }

    #[test]
    fn the_room_is_that_of_the_other_nodes_that_take_clients() {
        let room = |members: &[Member]| room_beside(members, Incarnation(2));
        let (some, full) = (member(900, 1_000, false, 0), member(1_001, 1_000, false, 0));
        assert_eq!(room(&[some.clone(), full, member(0, 1_000, true, 0)]), 100);
        assert_eq!(room(&[some.clone(), member(0, 0, false, 0)]), 100);
        assert_eq!(room(&[]), 0);
        assert_eq!(room_beside(&[some], Incarnation(1)), 0, "its own");
    }

    #[test]
    fn nodes_that_start_drain_or_are_silent_take_no_clients() {
        let takes = |member: Member| takes_clients_beside(&[member], Incarnation(2), Duration::from_secs(15));
        assert!(takes(member(1, 10, false, 9)) && takes(member(10, 10, false, 0)));
        assert!(!takes(member(0, 0, false, 0)), "it starts");
        assert!(!takes(member(0, 10, true, 0)), "it drains");
        assert!(!takes(member(0, 10, false, 10)), "it is silent");
        let own = [member(0, 10, false, 0)];
        assert!(!takes_clients_beside(&own, Incarnation(1), Duration::from_secs(15)));
    }

    #[test]
    fn connections_are_closed_at_the_rate_in_short_steps() {
        let steps = |rate| {
            let (together, pause) = steps_of(rate);
            (together, pause.as_millis())
        };
        assert_eq!(steps(500), (25, 50));
        assert_eq!(steps(100_000), (5_000, 50));
        assert_eq!(steps(30), (1, 33));
        assert_eq!(steps(1), (1, 1_000));
    }
}
