//! What nodes may tell. The names are those of the invariants of clusters in the notes: S for safety, at every step.

use presence::replication::State;
use presence::{Revision, Status, UserId};

use super::node::{Seen, ToldState};
use super::world::{SECOND, World};

impl World {
    /// Whether the user has had a session for over a second at a node that is neither stopped nor cut off by itself.
    pub(crate) fn is_surely_present(&self, user: &UserId) -> bool {
        self.nodes.iter().any(|node| {
            let since = node.users.get(user).and_then(|shell| {
                let is_present = shell.is_present(node.mono(self.now)) && shell.unconfirmed.is_empty();
                shell.present_since.filter(|_| is_present)
            });
            let is_well = node.is_alive && !node.is_stalled && !node.is_stopping && node.faulty_until < self.now;
            is_well && since.is_some_and(|since| since + SECOND < self.now)
        })
    }

    /// Notes when epochs change, for S3.
    pub(crate) fn watch(&mut self, index: usize, partition: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if !node.partitions[partition].is_reachable() {
            node.reachable_since.remove(&partition);
        } else if node.reached.insert(partition) {
            // A node that starts was not cut off: what it tells too early S2 finds.
            node.reachable_since.insert(partition, 0);
        } else {
            node.reachable_since.entry(partition).or_insert(now);
        }
        if let Some((epoch, _)) = node.partitions[partition].position() {
            let since = node.epoch_since.entry(partition).or_insert((epoch, now));
            if since.0 != epoch {
                *since = (epoch, now);
            }
        }
        if node.partitions[partition].waiting() > node.users.len().max(8) {
            self.fail(format!("S14: node {index} has more users waiting than there are"));
        }
    }

    pub(crate) fn is_holding(&self, index: usize, partition: usize) -> bool {
        let node = &self.nodes[index];
        let hold = 5 * SECOND - 2_000;
        let since = node.reachable_since.get(&partition);
        since.is_none_or(|since| since + hold > self.now) || !node.partitions[partition].is_reachable()
    }

    /// An entry that is not seen changes nothing of what was told, so that it need not be told to observers of a user in no memory.
    pub(crate) fn check_unseen(&mut self, index: usize, user: &UserId, state: &State) {
        let told = self.nodes[index].told.get(user).map(|told| told.seen);
        let (told, shown) = (told.unwrap_or_default(), Seen::of(state));
        if told != shown {
            self.fail(format!(
                "S1: node {index} does not tell that {user} is {shown:?} after {told:?}"
            ));
        }
    }

    pub(crate) fn check_shown(&mut self, at: (usize, usize), user: &UserId, revision: Revision, state: &State) {
        let (index, partition) = at;
        let status = state.status;
        let is_stale = !self.nodes[index].partitions[partition].is_reachable();
        self.note(|| {
            let stale = if is_stale { " stale" } else { "" };
            format!("node {index}: tells {user} {status:?} at {}{stale}", revision.get())
        });
        let told = self.nodes[index].told.get(user).cloned();
        if told.as_ref().is_some_and(|told| told.revision >= revision) {
            self.fail(format!(
                "S1: node {index} tells {user} at {} after {told:?}",
                revision.get()
            ));
        }
        // Records are told at the revision of the last change that is seen.
        let last = told.as_ref().map_or(Revision::NEVER, |told| told.record_revision);
        let record_revision = state.changed.filter(|changed| *changed >= last).unwrap_or(revision);
        let is_other = |told: &ToldState| told.record_revision >= record_revision && told.status != status;
        if told.as_ref().is_some_and(is_other) {
            self.fail(format!(
                "S1: node {index} tells {user} {status:?} at the revision of {told:?}"
            ));
        }
        let commanded = state.command.map(|command| command.at);
        let was_present = told.as_ref().is_some_and(|told| told.status != Status::Offline);
        let is_by_command = commanded > told.and_then(|told| told.commanded);
        if was_present && status == Status::Offline && !is_by_command {
            self.check_offline_told(index, partition, user);
        }
        if state.last_active > state.last_seen || state.last_seen > Some(self.latest()) {
            self.fail(format!("S8: {user}: {:?}, {:?}", state.last_active, state.last_seen));
        }
        let version = state.durable.part.version;
        let told = ToldState {
            revision,
            record_revision,
            status,
            version,
            seen: Seen::of(state),
            last_seen: state.last_seen,
            commanded,
        };
        self.nodes[index].told.insert(user.clone(), told);
        let node = &mut self.nodes[index];
        if let Some(shell) = node.users.get_mut(user) {
            if shell.durable.as_ref().is_some_and(|known| known.part.version < version) {
                shell.durable = Some(state.durable.clone());
            }
            shell.note_logged(state.last_seen, state.last_active);
            if status == Status::Offline && !shell.sessions.is_present() && !shell.has_unlogged_times {
                node.users.remove(user);
            }
        }
    }

    fn check_offline_told(&mut self, index: usize, partition: usize, user: &UserId) {
        if self.is_holding(index, partition) {
            self.fail(format!("S3: node {index} tells OFFLINE of {user} while it must not"));
        }
        let is_cut_off = self.nodes[index].faulty_until > self.now;
        if self.is_surely_present(user) && self.is_up && !is_cut_off && !self.was_commanded(user) {
            self.fail(format!("S2: node {index} tells OFFLINE of {user}, who is present"));
        }
    }

    fn was_commanded(&self, user: &UserId) -> bool {
        self.commanded.get(user).is_some_and(|at| at + 10 * SECOND > self.now)
    }

    /// The latest time that anything may carry.
    fn latest(&self) -> presence::Wall {
        presence::Wall::from_millis(i64::try_from(self.max_time.max(self.now + 30 * SECOND) / 1_000 + 1_000).unwrap())
    }

    pub(crate) fn check_left(&mut self, index: usize, partition: usize, user: &UserId) {
        self.note(|| format!("node {index}: {user} has left"));
        let row = self.database.rows.get(user).cloned().unwrap_or_default();
        let told = self.nodes[index].told.get(user).cloned();
        let was_present = told.as_ref().is_some_and(|told| told.status != Status::Offline);
        if was_present {
            self.check_offline_told(index, partition, user);
        }
        if row.status != Status::Offline {
            self.fail(format!(
                "S9: node {index}: {user} has left, and the database has {:?}",
                row.status
            ));
        }
        let commanded = told.as_ref().and_then(|told| told.commanded);
        let known = told.as_ref().map_or(Revision::NEVER, |told| told.revision);
        let recorded = told.map_or(Revision::NEVER, |told| told.record_revision);
        let told = ToldState {
            revision: row.revision.max(known),
            record_revision: row.revision.max(recorded),
            status: row.status,
            version: row.durable.part.version,
            seen: Seen {
                status: row.status,
                custom: row.durable.part.preference.custom,
                is_degraded: false,
                is_removed: row.is_deleted,
            },
            last_seen: row.last_seen,
            commanded,
        };
        self.nodes[index].told.insert(user.clone(), told);
    }
}
