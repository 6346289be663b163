//! What this node says of a user, as the state to offer: made of what Redis has, and none if that says the same already.

use crate::durable_part::Version;
use crate::replication::build::{Builder, Knowledge, SessionLimitReached, differs};
use crate::replication::names::Incarnation;
use crate::replication::partition::{Input, Partition};
use crate::replication::replica::Held;
use crate::replication::settings::Rule;
use crate::replication::state::{SharedPart, State};
use crate::revision::Revision;
use crate::user_id::UserId;

/// What a state is to be built from.
pub(super) struct Base {
    /// The revision that Redis has; none if it has none.
    pub(super) revision: Option<Revision>,
    /// What is known of the user; with no revision, of an earlier epoch.
    pub(super) state: Option<State>,
}

impl Base {
    /// The revision at which the record is told.
    fn changed(&self) -> Option<Revision> {
        let stored = self.state.as_ref().filter(|_| self.revision.is_some());
        stored.and_then(|state| state.changed).or(self.revision)
    }
}

impl Partition {
    /// What Redis has of a user, as far as this node knows.
    pub(super) fn base_of(&self, user: &UserId) -> Base {
        let held = self.replica.get(user);
        let kept = held.filter(|held| held.is_kept).map(Held::state);
        if let Some(stored) = self.publisher.stored.get(user) {
            let (revision, state) = match stored {
                Some((revision, bytes)) => (Some(*revision), State::decode(bytes).ok()),
                None => (None, kept),
            };
            return Base { revision, state };
        }
        Base {
            revision: held.filter(|held| !held.is_kept).map(|held| held.revision),
            state: held.map(Held::state),
        }
    }

    /// The state to offer in place of what is stored; none if that says already what this node says.
    pub(super) fn wanted(
        &self,
        input: Input<'_>,
        user: &UserId,
        base: &Base,
    ) -> Result<Option<State>, SessionLimitReached> {
        let own = (input.own)(user);
        let has_own = own.is_some();
        let knowledge = self.knowledge(user, own.unwrap_or_default());
        let is_commanded = self.commands.contains_key(user);
        let mut built = self.build(input, user, base.state.as_ref(), &knowledge)?;
        let told = self
            .replica
            .is_told_apart(user)
            .then(|| self.replica.told_revision(user));
        let changed = base.changed();
        let is_told = told.is_none_or(|told| Some(told) < changed) || !self.settings.has(Rule::OfferAboveTold);
        let has_sessions = knowledge.contribution.is_present();
        let is_wanted = match (&base.state, base.revision) {
            (Some(stored), Some(_)) => {
                // Those of who has sessions here go with ticks.
                let has_later_times = !has_sessions && knowledge.is_later_than(stored, self.clock.now(input.reading));
                differs(stored, &built) || has_later_times || !is_told
            }
            // Of an earlier epoch: whoever has sessions of the user, or knows of a command, offers at once, the others after
            // a lease.
            (Some(kept), None) => {
                let is_first = has_sessions || has_own && !built.is_present();
                let is_due = is_first || self.timers.offer_kept_at.is_none();
                let is_other = built.is_present() || differs(kept, &built);
                is_due && is_other || built.command.is_some() || !is_told
            }
            (None, _) => {
                // A durable part that was loaded once may be an old one: the database has the user.
                let is_unpublished = self.parts.contains_key(user) && built.durable.part.version > Version::NONE;
                has_sessions || is_unpublished || is_commanded || told.is_some() || knowledge.has_unlogged_times
            }
        };
        let is_seen = base.state.as_ref().is_none_or(|stored| built.shows_change_from(stored));
        built.changed = if is_seen || !is_told { None } else { changed };
        let is_other = is_commanded || told.is_some() || self.parts.contains_key(user);
        if base.state.is_none() && !built.is_present() && !is_other {
            // The times alone are new: the record is told at the revision that the database has.
            built.changed = Some(knowledge.revision).filter(|revision| *revision > Revision::NEVER);
        }
        Ok(is_wanted.then_some(built))
    }

    /// Whether the state may be one of before the user left. The node that it names says so, or tells it anew, and the others
    /// wait for that.
    pub(super) fn may_have_left(&self, user: &UserId, stored: &State) -> bool {
        let is_mine = stored.share_of(self.own).is_some() || !stored.is_present();
        !is_mine && self.replica.is_told_apart(user) && !self.replica.is_told_present(user)
    }

    /// What the sessions here and the database tell together, with the times that were left.
    pub(super) fn knowledge(&self, user: &UserId, mut own: Knowledge) -> Knowledge {
        let version = |part: &Option<SharedPart>| part.as_ref().map(|part| part.part.version);
        let loaded = self.parts.get(user).cloned();
        if version(&loaded) > version(&own.durable) {
            own.durable = loaded;
        }
        if let Some((last_seen, last_active)) = self.times_left.get(user) {
            own.last_seen = own.last_seen.max(*last_seen);
            own.last_active = own.last_active.max(*last_active);
        }
        own
    }

    pub(super) fn build(
        &self,
        input: Input<'_>,
        user: &UserId,
        base: Option<&State>,
        knowledge: &Knowledge,
    ) -> Result<State, SessionLimitReached> {
        let now = input.reading.mono;
        let has_grace = self.settings.has(Rule::NodeGrace);
        let is_over = |incarnation: Incarnation| match has_grace {
            true => self.leases.is_over(incarnation, now),
            false => !self.leases.is_registered(incarnation),
        };
        let counts = |incarnation: Incarnation| self.is_epoch_new() || self.leases.is_registered(incarnation);
        let lost = self.commands_lost.get(user).copied();
        let claims = self.claims_elsewhere(user);
        let builder = Builder {
            own: self.own,
            now: self.clock.now(input.reading),
            settings: &self.settings,
            lost,
            claims: &claims,
            is_gone: &|incarnation| self.is_gone(incarnation),
            is_over: &is_over,
            counts: &counts,
        };
        builder.build(base, knowledge, self.commands.get(user).copied())
    }

    /// Whether nodes that are there may not have registered yet.
    fn is_epoch_new(&self) -> bool {
        self.timers.offer_kept_at.is_some()
    }

    /// Whether this run is over: of its places nobody takes care any more.
    pub(super) fn is_gone(&self, incarnation: Incarnation) -> bool {
        let may_come = self.is_epoch_new() && !self.leases.is_ended(incarnation);
        let is_over = !may_come || self.previous.contains_key(&incarnation);
        incarnation != self.own && !self.leases.is_registered(incarnation) && is_over
    }
}
