//! When something is due by itself: for single users, and for the contributions of incarnations that are gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::replication::names::Incarnation;
use crate::time::Mono;
use crate::user_id::UserId;

/// One deadline for each user and each incarnation.
#[derive(Debug, Clone, Default)]
pub(super) struct DueTimes {
    of_user: BTreeMap<UserId, Mono>,
    users: BTreeSet<(Mono, UserId)>,
    clean_ups: BTreeMap<Incarnation, Mono>,
    /// When users that a new epoch lacks are offered.
    pub(super) offer_kept_at: Option<Mono>,
    /// When it is judged whether another node holds this one's name.
    pub(super) name_at: Option<Mono>,
    /// When what the memory of Redis had no room for is offered again.
    pub(super) retry_full_at: Option<Mono>,
}

impl DueTimes {
    pub(super) fn set_user(&mut self, user: &UserId, at: Option<Mono>) {
        let before = match at {
            Some(at) => self.of_user.insert(user.clone(), at),
            None => self.of_user.remove(user),
        };
        if let Some(before) = before {
            self.users.remove(&(before, user.clone()));
        }
        if let Some(at) = at {
            self.users.insert((at, user.clone()));
        }
    }

    /// A user that is due.
    pub(super) fn take_user(&mut self, now: Mono) -> Option<UserId> {
        if self.users.first().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        let (_, user) = self.users.pop_first()?;
        self.of_user.remove(&user);
        Some(user)
    }

    pub(super) fn set_clean_up(&mut self, incarnation: Incarnation, at: Mono) {
        self.clean_ups.insert(incarnation, at);
    }

    pub(super) fn cancel_clean_up(&mut self, incarnation: Incarnation) {
        self.clean_ups.remove(&incarnation);
    }

    /// An incarnation whose contributions are to be removed.
    pub(super) fn take_clean_up(&mut self, now: Mono) -> Option<Incarnation> {
        let due = self.clean_ups.iter().find(|(_, at)| **at <= now).map(|(one, _)| *one)?;
        self.clean_ups.remove(&due);
        Some(due)
    }

    /// The first deadline.
    pub(super) fn next(&self) -> Option<Mono> {
        let user = self.users.first().map(|(at, _)| *at);
        let clean_up = self.clean_ups.values().min().copied();
        let others = [self.offer_kept_at, self.name_at, self.retry_full_at];
        [user, clean_up].into_iter().chain(others).flatten().min()
    }
}
