//! One WebSocket connection as the rules see it: its times, and what is known of its activity. There are many, so it is
//! kept small.

use crate::sessions::{Activity, IdleCause, SessionId};
use crate::time::{Mono, Now, Wall};

/// One WebSocket connection of the user on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The connection's number.
    pub id: SessionId,
    /// When it began.
    pub since: Wall,
    /// When its last frame arrived.
    pub heard: Wall,
    /// When it last reported activity. While it has reported none: when its last message arrived, or when it began.
    last: Option<Wall>,
    known: Known,
    /// When [`Self::on_deadline`] has something to do; of one that said that it is idle, since when. One field for both,
    /// because there are many connections.
    until: Option<Mono>,
    /// Whether another session has said that it continues this one: then its loss leaves no place in the grace period.
    pub(crate) is_continued: bool,
}

/// What is known of the activity of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It has not reported any.
    Nothing,
    /// It has not reported any, and counts for a while as what was in grace when it began, or when it continued that.
    Inherited(Activity),
    /// It reported some; in time it becomes idle.
    Active,
    /// It reported that the user went away.
    Away,
    /// It reported activity, and then nothing for too long.
    Silent,
}

impl Connection {
    pub(crate) const fn new(now: Now, id: SessionId) -> Self {
        Self {
            id,
            since: now.wall,
            heard: now.wall,
            last: Some(now.wall),
            known: Known::Nothing,
            until: None,
            is_continued: false,
        }
    }

    /// What is known of its activity.
    #[must_use]
    pub const fn activity(&self) -> Activity {
        match self.known {
            Known::Nothing => Activity::Unknown,
            Known::Inherited(activity) => activity,
            Known::Active => Activity::Active,
            Known::Away | Known::Silent => Activity::Idle,
        }
    }

    /// Whether it has ever reported activity, or that the user went away.
    #[must_use]
    pub const fn has_reported(&self) -> bool {
        matches!(self.known, Known::Active | Known::Away | Known::Silent)
    }

    /// When it last reported activity.
    #[must_use]
    pub fn active(&self) -> Option<Wall> {
        self.last.filter(|_| self.has_reported())
    }

    /// When its last message arrived, or when it began, if it has never reported activity. Pings and pongs are no messages.
    #[must_use]
    pub fn message(&self) -> Option<Wall> {
        self.last.filter(|_| !self.has_reported())
    }

    /// When it will count as idle unless it reports activity.
    #[must_use]
    pub fn idle_at(&self) -> Option<Mono> {
        self.until.filter(|_| self.known == Known::Active)
    }

    /// Why it is idle, and since when the client says so or is silent; none if it is not.
    #[must_use]
    pub fn idleness(&self, now: Now) -> Option<(IdleCause, Option<Wall>)> {
        match self.known {
            Known::Away => Some((IdleCause::Said, self.until.map(|since| now.wall_before(since)))),
            Known::Silent => Some((IdleCause::Silent, self.last)),
            Known::Inherited(Activity::Idle) => Some((IdleCause::Inherited, None)),
            Known::Inherited(_) | Known::Nothing | Known::Active => None,
        }
    }

    /// Until when it counts as what was in grace unless it reports activity.
    #[must_use]
    pub fn inherited_until(&self) -> Option<Mono> {
        self.until.filter(|_| matches!(self.known, Known::Inherited(_)))
    }

    pub(crate) fn note_message(&mut self, at: Wall) {
        if !self.has_reported() {
            self.last = self.last.max(Some(at));
        }
    }

    /// It is active until then, or for longer if it already was.
    pub(crate) fn set_active(&mut self, at: Wall, until: Mono) {
        self.until = self.idle_at().max(Some(until));
        self.last = self.active().max(Some(at));
        self.known = Known::Active;
    }

    /// The client says that the user went away, having done something for the last time at `last`, if it says when. Saying so
    /// again is nothing new.
    pub(crate) fn set_away(&mut self, now: Mono, last: Option<Wall>) {
        self.last = self.active().max(last);
        if self.known != Known::Away {
            self.until = Some(now);
            self.known = Known::Away;
        }
    }

    /// Unless it has reported activity, it counts until then as what is in grace.
    pub(crate) const fn inherit(&mut self, activity: Activity, until: Mono) {
        if !self.has_reported() {
            self.known = Known::Inherited(activity);
            self.until = Some(until);
        }
    }

    /// It counts no longer as what is in grace, if it does as this.
    pub(crate) fn disinherit(&mut self, activity: Activity) {
        if self.known == Known::Inherited(activity) {
            self.known = Known::Nothing;
            self.until = None;
        }
    }

    /// The next moment at which [`Self::on_deadline`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        self.until.filter(|_| self.known != Known::Away)
    }

    /// Applies its deadline, if it has passed.
    pub(crate) fn on_deadline(&mut self, now: Mono) {
        if self.next_deadline().is_none_or(|until| until > now) {
            return;
        }
        self.until = None;
        self.known = match self.known {
            Known::Active | Known::Silent => Known::Silent,
            Known::Away => Known::Away,
            Known::Inherited(_) | Known::Nothing => Known::Nothing,
        };
    }
}
