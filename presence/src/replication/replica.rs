//! Every node's copy of the state of one partition, compact: states stay encoded, and are read when somebody asks. Beside it
//! stands what was told of users where that is something else than the copy.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::replication::state::State;
use crate::revision::Revision;
use crate::user_id::UserId;

/// The state of one user in the copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) revision: Revision,
    /// An encoded [`State`].
    pub(super) bytes: Box<[u8]>,
    /// Of an earlier epoch: Redis does not have it.
    pub(super) is_kept: bool,
    /// Whether the state says so.
    pub(super) is_present: bool,
}

impl Held {
    pub(super) fn new(revision: Revision, bytes: &[u8]) -> Self {
        Self {
            revision,
            bytes: bytes.into(),
            is_kept: false,
            is_present: State::decode(bytes).is_ok_and(|state| state.is_present()),
        }
    }

    /// The state; that of a user of whom nothing is known if no version wrote it.
    pub(super) fn state(&self) -> State {
        State::decode(&self.bytes).unwrap_or_default()
    }
}

/// What watchers were told, where that is not what the copy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Apart {
    /// A change of this node that the log does not have yet.
    Local(Held),
    /// The user had left, up to this id of the log, and the database has what was told: the state has an older one.
    InDatabase(Revision),
    /// What the user was before it became absent while nobody must become OFFLINE.
    Withheld {
        /// What was told; none if nothing was.
        shown: Option<Held>,
        /// What is to be told; none if the user left and the database has the record.
        next: Option<Held>,
    },
}

impl Apart {
    /// The revision that is not told yet; 0 if it is not known.
    fn withheld(&self) -> Option<Revision> {
        match self {
            Self::Withheld { next, .. } => Some(next.as_ref().map_or(Revision::NEVER, |next| next.revision)),
            Self::Local(_) | Self::InDatabase(_) => None,
        }
    }
}

/// The copy of one partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Replica {
    users: BTreeMap<UserId, Held>,
    /// How many of them are present in the state of Redis, and how many are of an earlier epoch.
    present: u64,
    kept: u64,
    told: BTreeMap<UserId, Apart>,
    /// How many of them are withheld, by the revision that is not told yet; by 0 where that is not known.
    withheld: BTreeMap<Revision, usize>,
}

impl Replica {
    pub(super) fn get(&self, user: &UserId) -> Option<&Held> {
        self.users.get(user)
    }

    pub(super) fn insert(&mut self, user: &UserId, held: Held) {
        self.count(&held);
        let before = self.users.insert(user.clone(), held);
        self.uncount(before.as_ref());
    }

    pub(super) fn remove(&mut self, user: &UserId) -> Option<Held> {
        let removed = self.users.remove(user);
        self.uncount(removed.as_ref());
        removed
    }

    /// How many users are present in the state of Redis.
    pub(super) const fn present(&self) -> u64 {
        self.present
    }

    /// Whether some user is of an earlier epoch.
    pub(super) const fn has_kept(&self) -> bool {
        self.kept > 0
    }

    fn count(&mut self, held: &Held) {
        self.kept += u64::from(held.is_kept);
        self.present += u64::from(held.is_present && !held.is_kept);
    }

    fn uncount(&mut self, held: Option<&Held>) {
        let Some(held) = held else { return };
        self.kept -= u64::from(held.is_kept);
        self.present -= u64::from(held.is_present && !held.is_kept);
    }

    pub(super) fn users(&self) -> impl Iterator<Item = (&UserId, &Held)> {
        self.users.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    /// The users after this one, in order of their ids.
    pub(super) fn users_after(&self, user: Option<&UserId>) -> impl Iterator<Item = (&UserId, &Held)> {
        let from = user.map_or(Bound::Unbounded, Bound::Excluded);
        self.users.range::<UserId, _>((from, Bound::Unbounded))
    }

    /// What is held of the user is of an earlier epoch.
    pub(super) fn mark_kept(&mut self, user: &UserId) {
        let Some(held) = self.users.get(user).cloned() else {
            return;
        };
        self.insert(user, Held { is_kept: true, ..held });
    }

    /// What watchers were told last.
    pub(super) fn shown(&self, user: &UserId) -> Option<&Held> {
        match self.told.get(user) {
            Some(Apart::Local(held)) => Some(held),
            Some(Apart::Withheld { shown, .. }) => shown.as_ref(),
            Some(Apart::InDatabase(_)) => None,
            None => self.users.get(user),
        }
    }

    /// The highest revision told of the user.
    pub(super) fn told_revision(&self, user: &UserId) -> Revision {
        match self.told.get(user) {
            Some(Apart::InDatabase(revision)) => *revision,
            _ => self.shown(user).map_or(Revision::NEVER, |held| held.revision),
        }
    }

    /// Whether what was told last is that the user is present.
    pub(super) fn is_told_present(&self, user: &UserId) -> bool {
        self.shown(user).is_some_and(|held| held.state().is_present())
    }

    /// What is in the state of the user is older than what the database has, which was told.
    pub(super) fn tell_in_database(&mut self, user: &UserId, up_to: Revision) {
        self.set_told(user, Some(Apart::InDatabase(up_to)));
    }

    /// The user has left once more: what the database has stays told.
    pub(super) fn forget_in_database(&mut self, user: &UserId) {
        if let Some(Apart::InDatabase(_)) = self.told.get(user) {
            self.set_told(user, None);
        }
    }

    /// The lowest revision that is not told yet; 0 if that of one is not known.
    pub(super) fn first_withheld(&self) -> Option<Revision> {
        self.withheld.keys().next().copied()
    }

    /// A change of this node is told before the log has it.
    pub(super) fn tell_locally(&mut self, user: &UserId, held: Held) {
        self.set_told(user, Some(Apart::Local(held)));
    }

    /// What the copy says is told.
    pub(super) fn tell(&mut self, user: &UserId) {
        self.set_told(user, None);
    }

    /// Nothing is told now: `shown` stays.
    pub(super) fn withhold(&mut self, user: &UserId, shown: Option<Held>, next: Option<Held>) {
        self.set_told(user, Some(Apart::Withheld { shown, next }));
    }

    /// What must stay as it was told though the copy changes: call before the change.
    pub(super) fn pin_shown(&self, user: &UserId) -> Option<Held> {
        self.shown(user).cloned()
    }

    /// Users whose OFFLINE is withheld, up to `max`, with what is to be told.
    pub(super) fn take_withheld(&mut self, max: usize) -> Vec<(UserId, Option<Held>, Option<Held>)> {
        let is_withheld = |_: &UserId, told: &mut Apart| matches!(told, Apart::Withheld { .. });
        let taken: Vec<(UserId, Apart)> = self.told.extract_if(.., is_withheld).take(max).collect();
        let withheld = taken.into_iter().filter_map(|(user, told)| {
            self.uncount_withheld(told.withheld());
            match told {
                Apart::Withheld { shown, next } => Some((user, shown, next)),
                Apart::Local(_) | Apart::InDatabase(_) => None,
            }
        });
        withheld.collect()
    }

    fn set_told(&mut self, user: &UserId, told: Option<Apart>) {
        if let Some(revision) = told.as_ref().and_then(Apart::withheld) {
            *self.withheld.entry(revision).or_default() += 1;
        }
        let before = match told {
            Some(told) => self.told.insert(user.clone(), told),
            None => self.told.remove(user),
        };
        self.uncount_withheld(before.as_ref().and_then(Apart::withheld));
    }

    fn uncount_withheld(&mut self, revision: Option<Revision>) {
        let Some(revision) = revision else { return };
        let left = self.withheld.get(&revision).map_or(0, |count| count - 1);
        match left {
            0 => drop(self.withheld.remove(&revision)),
            left => drop(self.withheld.insert(revision, left)),
        }
    }

    /// Whether some user's OFFLINE is withheld.
    pub(super) fn has_withheld(&self) -> bool {
        !self.withheld.is_empty()
    }

    /// Whether watchers were told what the copy says, or nothing if it has nothing.
    pub(super) fn is_told_as_copied(&self, user: &UserId) -> bool {
        !self.told.contains_key(user)
    }

    /// Whether watchers were told something of the user that the log does not have.
    pub(super) fn is_told_apart(&self, user: &UserId) -> bool {
        matches!(self.told.get(user), Some(Apart::Local(_) | Apart::InDatabase(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_revision_that_is_withheld_is_known() {
        let mut replica = Replica::default();
        let user = |number: u64| UserId::new(&format!("user-{number}")).expect("a user id");
        let withheld = |revision| Some(Held::new(Revision::new(revision), &[]));
        for revision in [30, 10, 20] {
            replica.withhold(&user(revision), None, withheld(revision));
        }
        replica.withhold(&user(11), None, withheld(10));
        assert_eq!(replica.first_withheld(), Some(Revision::new(10)));
        replica.tell(&user(10));
        assert_eq!(replica.first_withheld(), Some(Revision::new(10)), "of another user");
        replica.withhold(&user(11), None, withheld(40));
        assert_eq!(replica.first_withheld(), Some(Revision::new(20)));
        replica.withhold(&user(40), None, None);
        assert_eq!(replica.first_withheld(), Some(Revision::NEVER));
        assert_eq!(replica.take_withheld(3).len(), 3);
        assert_eq!(
            replica.first_withheld(),
            Some(Revision::NEVER),
            "that of user 40 is the last"
        );
        assert_eq!(replica.take_withheld(3).len(), 1);
        assert_eq!((replica.first_withheld(), replica.has_withheld()), (None, false));
    }

    /// A user with a 12-byte id and one connection takes up to 184 bytes: twice the slot in the map, whose nodes are at least
    /// half full, 28 for the id, and up to 60 for the state.
    #[test]
    fn a_user_in_the_copy_is_small() {
        let slot = size_of::<(UserId, Held)>();
        assert!(2 * slot + 28 + 60 <= 184, "{slot}");
    }
}
