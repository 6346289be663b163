//! Cursors that clients keep, and whether they resume from them with what they must be told.

use presence::replication::Partition;
use presence::{Revision, Status, UserId};

use super::node::Node;
use super::world::{ClientCursor, World};

impl World {
    /// Now and then a client keeps a cursor.
    pub(crate) fn take_cursor(&mut self) {
        if self.is_quiet || self.is_planned || !self.rng.one_in(25) {
            return;
        }
        let index = usize::try_from(self.rng.below(self.nodes.len() as u64)).unwrap();
        self.take_cursor_at(index);
    }

    /// A client that watches everyone on this node keeps the cursor it was given last.
    pub(crate) fn take_cursor_at(&mut self, index: usize) {
        let node = &self.nodes[index];
        if !node.is_accepting() {
            return;
        }
        let positions: Option<Vec<_>> = node.partitions.iter().map(Partition::position).collect();
        let Some(positions) = positions else { return };
        self.cursors.push(ClientCursor {
            epochs: positions.iter().map(|(epoch, _)| *epoch).collect(),
            watermark: positions.iter().map(|(_, last)| *last).min().unwrap_or_default(),
            records: self
                .users
                .iter()
                .map(|user| (user.clone(), self.told_of(node, user)))
                .collect(),
        });
    }

    /// What a client that watches the user has: what was told, else what the database has.
    fn told_of(&self, node: &Node, user: &UserId) -> (Revision, Status) {
        let told = node.told.get(user).map(|told| (told.revision, told.status));
        let row = self.database.rows.get(user).map(|row| (row.revision, row.status));
        told.or(row).unwrap_or_default()
    }

    /// A client that resumes anywhere is sent whom it must.
    pub(crate) fn check_cursors(&mut self, alive: &[usize]) {
        let node = &self.nodes[alive[0]];
        let positions: Option<Vec<_>> = node.partitions.iter().map(Partition::position).collect();
        let Some(positions) = positions else {
            return self.fail("L7: no position at the end".to_owned());
        };
        let epochs: Vec<_> = positions.iter().map(|(epoch, _)| *epoch).collect();
        let mut found = Vec::new();
        for cursor in self.cursors.iter().filter(|cursor| cursor.epochs == epochs) {
            for user in &self.users {
                let partition = node.partition_index(user);
                let row = self.database.rows.get(user);
                let row = row.map(|row| (row.revision, row.status)).unwrap_or_default();
                let copied = node.partitions[partition].copied(user);
                let (latest, status) = copied.map_or(row, |(revision, state)| (revision, state.status));
                let (had, had_status) = cursor.records.get(user).copied().unwrap_or_default();
                // Who had left may have come and left again in a part of the log that the node did not read.
                let is_gone = (status, had_status) == (Status::Offline, Status::Offline);
                if !is_gone && latest <= cursor.watermark && had < latest {
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
