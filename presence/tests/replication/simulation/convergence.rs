//! What must hold at the end, when every fault has been over for a while: L for liveness.

use std::collections::BTreeSet;

use presence::replication::State;
use presence::{Revision, Status, UserId};

use super::world::World;

impl World {
    pub(crate) fn check_end(&mut self) {
        let alive: Vec<usize> = (0..self.nodes.len()).filter(|one| self.nodes[*one].is_alive).collect();
        for &index in &alive {
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
        for user in self.users.clone() {
            self.check_user_at_end(&user, &alive);
        }
        for partition in 0..self.partitions.len() {
            let held = self.partitions[partition].state.iter();
            let is_present = |bytes: &[u8]| State::decode(bytes).unwrap().is_present();
            let present: BTreeSet<UserId> = held
                .filter(|(_, (_, bytes))| is_present(bytes))
                .map(|(user, _)| user.clone())
                .collect();
            if present != self.partitions[partition].online {
                self.fail(format!(
                    "L4: online is {:?}, present are {present:?}",
                    self.partitions[partition].online
                ));
            }
        }
        self.check_cursors(&alive);
    }

    fn check_user_at_end(&mut self, user: &UserId, alive: &[usize]) {
        let now = self.now;
        let row = self.database.rows.get(user).cloned().unwrap_or_default();
        let wall = presence::Wall::from_millis(i64::try_from(now / 1_000).unwrap());
        let mut here = BTreeSet::new();
        for &index in alive {
            let node = &self.nodes[index];
            if node
                .users
                .get(user)
                .is_some_and(|shell| shell.is_present(node.mono(now)))
            {
                here.insert(node.incarnation);
            }
        }
        let has_report = row.durable.ends.iter().any(|end| end.is_none_or(|end| end > wall));
        let is_present = has_report || !here.is_empty();
        let partition = self.nodes[alive[0]].partition_index(user);
        let stored = self.partitions[partition].state.get(user).cloned();
        let state = stored
            .as_ref()
            .map(|(_, bytes)| State::decode(bytes).unwrap())
            .unwrap_or_default();
        if state.is_present() != is_present {
            return self.fail(format!(
                "L1: {user} present {is_present} at {here:?}, the state has {state:?}"
            ));
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
        if row.unpublished.is_some() {
            self.fail(format!("L3: {user} is still marked"));
        }
        if !is_present && (stored.is_some() || row.status != Status::Offline) {
            self.fail(format!("L5: {user} is OFFLINE: state {state:?}, row {row:?}"));
        }
        self.check_commanded_at_end(user, alive);
    }

    fn check_commanded_at_end(&mut self, user: &UserId, alive: &[usize]) {
        if let Some(commanded) = self.commanded.get(user).copied() {
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

    /// A client that resumes anywhere is sent whom it must.
    fn check_cursors(&mut self, alive: &[usize]) {
        let node = &self.nodes[alive[0]];
        let positions: Option<Vec<_>> = node
            .partitions
            .iter()
            .map(presence::replication::Partition::position)
            .collect();
        let Some(positions) = positions else {
            return self.fail("L7: no position at the end".to_owned());
        };
        let epochs: Vec<_> = positions.iter().map(|(epoch, _)| *epoch).collect();
        let mut found = Vec::new();
        for cursor in self.cursors.iter().filter(|cursor| cursor.epochs == epochs) {
            for user in &self.users {
                let partition = node.partition_index(user);
                let row = self.database.rows.get(user).map_or(Revision::NEVER, |row| row.revision);
                let copied = node.partitions[partition].copied(user);
                let latest = copied.map_or(row, |(revision, _)| revision);
                let had = cursor.records.get(user).copied().unwrap_or_default();
                if latest <= cursor.watermark && had < latest {
                    found.push(format!(
                        "L6: a cursor at {:?} with {user} at {had:?} does not list {latest:?}",
                        cursor.watermark
                    ));
                }
            }
        }
        for what in found {
            self.fail(what);
        }
    }
}
