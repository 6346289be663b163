//! A scripted user: every call takes the millisecond at which it happens, and returns what was published.

use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{CustomStatus, EndReason, Mono, Now, Published, RevisionClock, SessionId, Setter, Status, Timers, Wall};

use crate::person::{Person, report_input};

pub(crate) const GRACE: u64 = 5_000;
pub(crate) const IDLE_AFTER: u64 = 300_000;

pub(crate) const TIMERS: Timers = Timers {
    grace: Duration::from_millis(GRACE),
    restart_grace: Duration::from_secs(30),
    idle_after: Duration::from_millis(IDLE_AFTER),
};

pub(crate) fn wall(millis: u64) -> Option<Wall> {
    Some(Wall::from_millis(1_700_000_000_000 + i64::try_from(millis).unwrap()))
}

pub(crate) fn at(millis: u64) -> Now {
    Now {
        mono: Mono::from_millis(millis),
        wall: wall(millis).unwrap(),
    }
}

/// A scripted user and the clock of its revisions.
pub(crate) struct Story {
    pub(crate) user: Person,
    pub(crate) clock: RevisionClock,
}

impl Story {
    pub(crate) fn new() -> Self {
        Self {
            user: Person::new("ann", TIMERS),
            clock: RevisionClock::new(0, Wall::from_millis(0)),
        }
    }

    pub(crate) fn recompute(&mut self, millis: u64) -> Option<Published> {
        self.user.recompute(at(millis), &mut self.clock)
    }

    pub(crate) fn connect(&mut self, millis: u64) -> SessionId {
        let id = self.user.connect(at(millis));
        self.recompute(millis);
        id
    }

    pub(crate) fn activity(&mut self, millis: u64, id: SessionId) -> Option<Published> {
        self.user.activity(at(millis), id);
        self.recompute(millis)
    }

    pub(crate) fn resume(&mut self, millis: u64, id: SessionId, of: SessionId) -> bool {
        let is_resumed = self.user.resume(at(millis), id, of);
        self.recompute(millis);
        is_resumed
    }

    pub(crate) fn away(&mut self, millis: u64, id: SessionId) -> Option<Published> {
        self.user.away(at(millis), id);
        self.recompute(millis)
    }

    pub(crate) fn end(&mut self, millis: u64, id: SessionId, end: EndReason) -> Option<Published> {
        self.user.end(at(millis), id, end);
        self.recompute(millis)
    }

    pub(crate) fn set_custom(&mut self, millis: u64, custom: CustomStatus, setter: Setter) -> Option<Published> {
        if let Setter::Connection(id) = setter {
            self.user.message(at(millis), id);
        }
        self.user.set_custom(at(millis), at(millis), custom, setter);
        self.recompute(millis)
    }

    pub(crate) fn report(&mut self, millis: u64, status: Status, ttl_millis: Option<u64>) -> Option<Published> {
        self.user
            .report(at(millis), &report_input(0, status, ttl_millis, false));
        self.recompute(millis)
    }

    pub(crate) fn status(&self) -> Status {
        self.user.status()
    }

    pub(crate) fn times(&self) -> (Option<Wall>, Option<Wall>) {
        let record = self.user.record(Viewer::Public);
        (record.last_seen, record.last_active)
    }

    pub(crate) fn sessions(&self) -> u32 {
        self.user.record(Viewer::Internal).sessions.unwrap()
    }
}
