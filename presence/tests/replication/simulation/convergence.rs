//! What must hold at the end, when every fault has been over for a while: L for liveness.

use std::collections::BTreeSet;
use std::time::Duration;

use presence::replication::{Command, Incarnation, State};
use presence::{CustomStatus, Revision, Status, UserId, Wall};

use super::node::Node;
use super::steps::SKEWS;
use super::world::{SECOND, World};

/// For how long a command is remembered.
pub(super) const COMMAND_KEPT: Duration = Duration::from_secs(30);

impl World {
    /// Every fault has been over for a while, and so has every grace period.
    pub(crate) fn check_end(&mut self) {
        let alive = self.check_nodes();
        self.check_listed(|_, _| false, |_, _| false);
        for user in self.users.clone() {
            let Some((stored, here)) = self.check_user(&user, &alive) else {
                return;
            };
            let state = state_of(stored.as_ref());
            let row = self.database.rows.get(&user).cloned().unwrap_or_default();
            if row.unpublished.is_some() {
                self.fail(format!("L3: {user} is still marked"));
            }
            let is_present = !here.is_empty() || state.is_present();
            let is_left = stored.is_some() && !self.may_be_remembered(&state);
            if !is_present && (is_left || row.status != Status::Offline) {
                self.fail(format!("L5: {user} is OFFLINE: state {state:?}, row {row:?}"));
            }
            self.check_commanded_at_end(&user, &alive);
        }
        self.check_cursors(&alive);
    }

    /// Whether the user stays in the state for the command. Nodes count how long by their own clocks, from what Redis's clock said when
    /// they read it, so it is longer if that one was set forward since.
    fn may_be_remembered(&self, state: &State) -> bool {
        let kept = COMMAND_KEPT + Duration::from_secs(SKEWS[0].abs_diff(SKEWS[3]));
        let now = Wall::from_millis(i64::try_from(self.now / 1_000).unwrap());
        let is_kept = |command: Command| now < command.at.after(kept);
        self.jumped_at > 0 && state.command.is_some_and(is_kept)
    }

    /// Every fault has been over for 10 s: all agree, but for what only nodes that are gone had, reports that end by themselves (when is a matter of
    /// clocks, which were set), and
    /// what only the mark in the database tells of.
    pub(crate) fn check_soon(&mut self) {
        let is_calm = |node: &Node| node.is_alive && !node.is_stalled && !node.is_stopping;
        if !self.nodes.iter().all(is_calm) || self.calm_since + 10 * SECOND > self.now {
            return;
        }
        self.note(|| "10 s after the last fault".to_owned());
        let alive = self.check_nodes();
        self.check_listed(World::is_waiting, World::is_epoch_new);
        for user in self.users.clone() {
            if !self.is_waiting(&user) {
                self.check_user(&user, &alive);
            }
        }
    }

    fn is_waiting(&self, user: &UserId) -> bool {
        let row = self.database.rows.get(user).cloned().unwrap_or_default();
        if row.unpublished.is_some() || row.durable.ends.iter().flatten().count() > 0 {
            return true;
        }
        let changed = self.changed_at.get(user).copied().unwrap_or(0);
        if changed + SECOND / 2 > self.now {
            return true;
        }
        let partition = self.nodes[0].partition_index(user);
        let is_gone = |state: &State| {
            let is_alive = |one: Incarnation| self.nodes.iter().any(|node| node.incarnation == one);
            state.contributions.iter().any(|share| !is_alive(share.incarnation))
        };
        let stored = self.partitions[partition].state.get(user);
        let is_kept = |node: &Node| stored.is_none() && node.partitions[partition].copied(user).is_some();
        is_gone(&state_of(stored)) || self.nodes.iter().any(is_kept)
    }

    /// The time of Redis.
    fn wall(&self) -> Wall {
        Wall::from_millis(i64::try_from(self.now.saturating_add_signed(self.skew) / 1_000).unwrap())
    }

    /// All nodes that are alive are ready, and reach every partition. Which they are.
    fn check_nodes(&mut self) -> Vec<usize> {
        let alive: Vec<usize> = (0..self.nodes.len()).filter(|one| self.nodes[*one].is_alive).collect();
        for &index in &alive {
            let lacking = &self.nodes[index].lacking;
            if !lacking.is_empty() {
                let text = format!("L7: node {index} says that additions are refused in {lacking:?}");
                self.fail(text);
            }
            let node = &self.nodes[index];
            if node.ready.len() < node.partitions.len() || node.reachable_since.len() < node.partitions.len() {
                let reachable: Vec<bool> = node.partitions.iter().map(|one| one.is_reachable()).collect();
                let (ready, waiting) = (
                    &node.ready,
                    node.partitions.iter().map(|one| one.waiting()).collect::<Vec<_>>(),
                );
                self.fail(format!(
                    "L7: node {index} is stuck: ready {ready:?}, reachable {reachable:?}, waiting {waiting:?}"
                ));
            }
        }
        alive
    }

    /// Whether the epoch is so new that who is in no state may still be heard of: strangers among those who are listed as
    /// present stay for so long, and until it is found by a tick.
    fn is_epoch_new(&self, user: &UserId) -> bool {
        let partition = self.nodes[0].partition_index(user);
        let nodes = self.nodes.iter().filter(|node| node.is_alive);
        let since = nodes
            .filter_map(|node| node.epoch_since.get(&partition))
            .map(|(_, since)| *since);
        let wait = self.settings.lease.as_micros() as u64 + 5 * SECOND;
        since.max().is_none_or(|since| since + wait + 10 * SECOND > self.now)
    }

    /// Other services read who is present, but for some users.
    fn check_listed(
        &mut self,
        is_excused: impl Fn(&Self, &UserId) -> bool,
        may_be_a_stranger: impl Fn(&Self, &UserId) -> bool,
    ) {
        for user in self.users.clone() {
            let partition = &self.partitions[self.nodes[0].partition_index(&user)];
            let is_present = state_of(partition.state.get(&user)).is_present();
            let listed = partition.custom.get(&user).copied();
            let custom = self
                .database
                .rows
                .get(&user)
                .map(|row| row.durable.part.preference.custom);
            let custom = custom.filter(|custom| *custom != CustomStatus::Online);
            if is_excused(self, &user) {
                continue;
            }
            let is_listed = partition.online.contains(&user);
            let is_stranger = is_listed && !is_present && may_be_a_stranger(self, &user);
            if is_listed != is_present && !is_stranger {
                self.fail(format!("L4: {user} is listed as present: {}", !is_present));
            }
            if listed != custom {
                self.fail(format!(
                    "L4: {user} is listed as {listed:?}, the database has {custom:?}"
                ));
            }
        }
    }

    /// The user is present where it should be, with its custom status, and all nodes tell so. What is stored, and the nodes with
    /// sessions; none if it failed.
    fn check_user(&mut self, user: &UserId, alive: &[usize]) -> Option<(Option<Stored>, BTreeSet<Incarnation>)> {
        let now = self.now;
        let row = self.database.rows.get(user).cloned().unwrap_or_default();
        let wall = self.wall();
        let mut here = BTreeSet::new();
        for &index in alive {
            let node = &self.nodes[index];
            let shell = node.users.get(user);
            if shell.is_some_and(|shell| shell.is_present(node.mono(now))) {
                here.insert(node.incarnation);
            }
        }
        let has_report = row.durable.ends.iter().any(|end| end.is_none_or(|end| end > wall));
        let is_present = has_report || !here.is_empty();
        let partition = self.nodes[alive[0]].partition_index(user);
        let stored = self.partitions[partition].state.get(user).cloned();
        let state = state_of(stored.as_ref());
        if state.is_present() != is_present {
            self.fail(format!(
                "L1: {user} present {is_present} at {here:?}, the state has {state:?}"
            ));
            return None;
        }
        for &index in alive {
            self.check_told_at_end(index, user, &state, stored.as_ref().map(|(revision, _)| *revision));
        }
        let shares: BTreeSet<_> = state.contributions.iter().map(|share| share.incarnation).collect();
        if shares != here {
            self.fail(format!("L4: {user} has sessions at {here:?}, the state has {shares:?}"));
        }
        if is_present && state.durable.part.preference.custom != row.durable.part.preference.custom {
            self.fail(format!(
                "L3: {user} set {:?}, shown is {:?}",
                row.durable.part, state.durable.part
            ));
        }
        Some((stored, here))
    }

    fn check_commanded_at_end(&mut self, user: &UserId, alive: &[usize]) {
        let commanded = self.commanded.get(user).copied();
        if let Some(commanded) = commanded.filter(|commanded| self.jumped_at < *commanded) {
            let began = |index: &usize| self.nodes[*index].users.get(user).map(|shell| &shell.began);
            let open = |index: &usize| {
                self.nodes[*index]
                    .users
                    .get(user)
                    .map(|shell| shell.sessions.connections().to_vec())
            };
            let survivors = alive.iter().filter(|index| {
                let open = open(index).unwrap_or_default();
                open.iter().any(|one| {
                    began(index)
                        .and_then(|began| began.get(&one.id))
                        .is_some_and(|at| at + 10_000 < commanded)
                })
            });
            if survivors.count() > 0 {
                self.fail(format!("S11: a session of {user} survived a command"));
            }
        }
    }

    fn check_told_at_end(&mut self, index: usize, user: &UserId, state: &State, revision: Option<Revision>) {
        let told = self.nodes[index].told.get(user).cloned();
        let status = told.as_ref().map_or(Status::Offline, |told| told.status);
        if status != state.status {
            return self.fail(format!(
                "L2: node {index} tells {user} {told:?}, the state has {:?}",
                state.status
            ));
        }
        if let (Some(told), true) = (&told, state.is_present())
            && (Some(told.revision) != revision || told.version != state.durable.part.version)
        {
            self.fail(format!(
                "L2: node {index} tells {user} {told:?}, the state has {revision:?}"
            ));
        }
        let partition = self.nodes[index].partition_index(user);
        let copied = self.nodes[index].partitions[partition]
            .copied(user)
            .map(|(revision, _)| revision);
        if copied != revision {
            self.fail(format!(
                "L1: node {index} has {user} at {copied:?}, the state at {revision:?}"
            ));
        }
    }
}

/// A state as the partition has it.
type Stored = (Revision, Vec<u8>);

fn state_of(stored: Option<&Stored>) -> State {
    let state = stored.map(|(_, bytes)| State::decode(bytes).unwrap());
    state.unwrap_or_default()
}
