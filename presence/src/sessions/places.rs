//! The places of lost sessions in the grace period, and the sessions that take them because their clients say that they continue
//! those. What else happens to sessions does not belong here.

use std::time::Duration;

use super::{Activity, SessionId, Sessions};
use crate::grace_period::{GracePeriod, Predecessor};
use crate::time::{Mono, Now};

impl Sessions {
    /// Connection `id` continues `of`, and takes its place in the grace period, which is over with the last one. It goes on
    /// as what was in grace until it first reports activity, at most for `grace`. Whether `of` had a place that was free: a
    /// session that was not found to be lost yet gives up the place that it would get.
    pub fn handle_resume(&mut self, now: Now, id: SessionId, of: Predecessor, grace: Duration) -> bool {
        self.on_deadline(now.mono);
        if of == Predecessor::Here(id) || self.find(id).is_none() {
            return false;
        }
        if let Predecessor::Here(session) = of
            && let Some(connection) = self.find(session)
        {
            return !std::mem::replace(&mut connection.is_continued, true);
        }
        let activity = self.grace_activity();
        let Some(period) = &mut self.grace else { return false };
        if !period.take_place(of) {
            return false;
        }
        if period.places() == 0 {
            self.grace = None;
        }
        if activity == Activity::Active
            && !grace.is_zero()
            && let Some(connection) = self.find(id)
        {
            connection.inherit(activity, now.mono.after(grace));
        }
        true
    }

    /// A session on another node continues session `of` of this one. Whether `of` had a place, or would have got one.
    pub fn handle_continued(&mut self, now: Now, of: SessionId) -> bool {
        self.on_deadline(now.mono);
        if let Some(connection) = self.find(of) {
            return !std::mem::replace(&mut connection.is_continued, true);
        }
        let Some(period) = &mut self.grace else { return false };
        let is_taken = period.take_place(Predecessor::Here(of));
        if period.places() == 0 {
            self.grace = None;
        }
        is_taken
    }

    /// Connection `id` continues what is in grace on another node. Until it first reports activity it counts as that, at most for
    /// `grace`.
    pub fn handle_grace_elsewhere(&mut self, now: Now, id: SessionId, activity: Activity, grace: Duration) {
        if activity != Activity::Unknown
            && !grace.is_zero()
            && let Some(connection) = self.find(id)
        {
            connection.inherit(activity, now.mono.after(grace));
        }
    }

    /// Another session continues what connection `id` said that it does: it does not count as active by that.
    pub fn handle_not_continued(&mut self, id: SessionId) {
        if let Some(connection) = self.find(id) {
            connection.disinherit(Activity::Active);
        }
    }

    /// Connection `id`, which continued session `of` of this run, is refused: the place is free again, until then.
    pub fn handle_place_back(&mut self, now: Now, id: SessionId, of: SessionId, until: Mono) {
        self.on_deadline(now.mono);
        if let Some(connection) = self.find(of) {
            connection.is_continued = false;
        } else if now.mono < until {
            // It began beside what was in grace, and went on as that.
            let activity = self.find(id).map_or(Activity::Unknown, |one| one.activity());
            self.enter_grace(GracePeriod::of_session(until, activity, of));
        }
    }

    /// Until when the lost session of this run has its place, if it has one.
    #[must_use]
    pub fn place_until(&self, of: SessionId) -> Option<Mono> {
        let grace = self.grace().filter(|grace| grace.named().contains(&of));
        grace.map(|grace| grace.until)
    }

    /// How many sessions are to be in grace after a crash: those that have or would get a place, and at least one while there
    /// is a connection. A session that is said to be lost may be alive.
    #[must_use]
    pub fn places(&self) -> u32 {
        let open = self.connections.iter().filter(|one| !one.is_continued).count();
        let lost = self.grace().map_or(0, GracePeriod::places);
        let places = u32::try_from(open).unwrap_or(u32::MAX).saturating_add(lost);
        places.max(u32::from(!self.connections.is_empty()))
    }

    /// Those sessions that have or would get a place in the grace period, as far as they are known by name.
    pub fn named_places(&self) -> impl Iterator<Item = SessionId> {
        let open = self.connections.iter().filter(|one| !one.is_continued);
        let lost = self.grace().map_or(&[][..], GracePeriod::named);
        open.map(|one| one.id).chain(lost.iter().copied())
    }
}
