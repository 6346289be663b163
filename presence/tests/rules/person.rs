//! One user driven through both halves as the daemon does it: input, then the rule, then the publication.

use std::time::Duration;

use presence::profile::Stored;
use presence::wire::record::{Record, Viewer};
use presence::{
    CustomStatus, DurablePart, EndReason, Freshness, Mono, Now, Predecessor, Preference, Profile, Published, Report,
    ReportInput, RevisionClock, SessionId, Sessions, Setter, Source, Status, Timers, UserId,
};

use crate::inputs::Via;

/// The node's name in these tests.
pub(crate) const NODE: &str = "n1";

#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) timers: Timers,
    pub(crate) sessions: Sessions,
    pub(crate) profile: Profile,
    /// Every connection that ever was, by number of arrival.
    pub(crate) arrived: u64,
    /// How many there were before this run of the daemon.
    pub(crate) arrived_before: u64,
}

impl Person {
    /// The sessions, as `explain` is given them.
    pub(crate) fn here(&self) -> presence::explain::NodeSessions<'_> {
        presence::explain::NodeSessions {
            node: NODE,
            sessions: &self.sessions,
            others: &[],
        }
    }

    pub(crate) fn new(id: &str, timers: Timers) -> Self {
        Self {
            id: UserId::new(id).unwrap(),
            timers,
            sessions: Sessions::default(),
            profile: Profile::default(),
            arrived: 0,
            arrived_before: 0,
        }
    }

    /// The name of the `nth` connection of all that ever were; of one that never was, if there were none.
    pub(crate) fn name(&self, nth: usize) -> SessionId {
        let nth = u64::try_from(nth).unwrap_or(0);
        SessionId(nth.checked_rem(self.arrived).unwrap_or(u64::MAX))
    }

    pub(crate) fn connect(&mut self, now: Now) -> SessionId {
        self.meet_deadlines(now.mono);
        let id = SessionId(self.arrived);
        self.arrived += 1;
        self.sessions.handle_connect(now, id, self.timers.grace);
        id
    }

    /// The session says, as its first message, that it continues another one: of this run or of an earlier one.
    pub(crate) fn resume(&mut self, now: Now, id: SessionId, of: SessionId) -> bool {
        self.message(now, id);
        let of = match of.0 < self.arrived_before {
            true => Predecessor::Earlier { run: 1, session: of },
            false => Predecessor::Here(of),
        };
        self.sessions.handle_resume(now, id, of, self.timers.grace)
    }

    pub(crate) fn heard(&mut self, now: Now, id: SessionId) {
        self.sessions.handle_heard(now, id);
        self.profile.note_times(&self.sessions.contribution());
    }

    pub(crate) fn message(&mut self, now: Now, id: SessionId) {
        self.heard(now, id);
        self.sessions.handle_message(now, id);
    }

    pub(crate) fn activity(&mut self, now: Now, id: SessionId) {
        self.past_activity(now, id, Duration::ZERO);
    }

    pub(crate) fn past_activity(&mut self, now: Now, id: SessionId, ago: Duration) {
        self.sessions.handle_activity(now, id, ago, &self.timers);
    }

    pub(crate) fn away(&mut self, now: Now, id: SessionId) {
        self.away_since(now, id, None);
    }

    pub(crate) fn away_since(&mut self, now: Now, id: SessionId, ago: Option<Duration>) {
        self.heard(now, id);
        self.sessions.handle_away(now, id, ago);
    }

    pub(crate) fn end(&mut self, now: Now, id: SessionId, end: EndReason) -> bool {
        let was_there = self.sessions.handle_end(now, id, end, self.timers.grace);
        self.profile.note_times(&self.sessions.contribution());
        was_there
    }

    /// Where a custom status comes from.
    pub(crate) fn setter(&self, by: Via) -> Setter {
        match by {
            Via::Request => Setter::Request,
            Via::Connection => Setter::Connection(SessionId(self.arrived.saturating_sub(1))),
            Via::Operator => Setter::Operator,
        }
    }

    /// A custom status that was asked for at `taken` is on disk.
    pub(crate) fn set_custom(&mut self, now: Now, taken: Now, custom: CustomStatus, setter: Setter) {
        self.meet_deadlines(now.mono);
        let version = self.profile.version().next();
        let preference = Preference {
            custom,
            set_at: Some(taken.wall),
            set_by: Some(setter.actor()),
            version,
        };
        let stored = DurablePart {
            version,
            preference,
            ..self.durable()
        };
        self.profile.handle_durable(stored, now.wall);
        if !self.is_present() {
            return;
        }
        self.profile.handle_custom_status(taken, setter, &self.timers);
        if let Setter::Connection(id) = setter {
            self.sessions.handle_preference(taken, id, &self.timers);
        }
        self.meet_deadlines(now.mono);
    }

    pub(crate) fn report(&mut self, now: Now, input: &ReportInput) {
        self.meet_deadlines(now.mono);
        let report = self.profile.report(now, input);
        let stored = self.durable();
        let others = stored.reports.into_vec().into_iter();
        let others = others.filter(|one| one.source != input.source);
        let stored = DurablePart {
            version: stored.version.next(),
            reports: others.chain(report).collect::<Vec<Report>>().into_boxed_slice(),
            ..stored
        };
        self.profile.handle_durable(stored, now.wall);
        self.profile.note_report(now.wall, input);
    }

    /// The durable part as the store would have it.
    fn durable(&self) -> DurablePart {
        DurablePart {
            version: self.profile.version(),
            preference: *self.profile.preference(),
            reports: self.profile.reports().into(),
        }
    }

    pub(crate) fn kick(&mut self) -> usize {
        self.sessions.handle_kick() + self.profile.handle_kick()
    }

    /// The daemon is gone; what is on disk comes back at `now`.
    pub(crate) fn restart(&mut self, now: Now) {
        let stored = Stored {
            durable: self.durable(),
            status: self.profile.decision().status,
            since: self.profile.since(),
            last_seen: self.profile.last_seen(),
            last_active: self.profile.last_active(),
            revision: self.profile.revision(),
        };
        let places = self.sessions.places();
        self.arrived_before = self.arrived;
        let activity = stored.activity_in_grace();
        self.profile = Profile::restore(stored, now.wall);
        self.sessions = Sessions::default();
        if !self.timers.restart_grace.is_zero() {
            self.sessions
                .handle_restore(now.mono.after(self.timers.restart_grace), activity, places);
        }
    }

    /// Lets everything follow from what happened.
    pub(crate) fn recompute(&mut self, now: Now, clock: &mut RevisionClock) -> Option<Published> {
        self.meet_deadlines(now.mono);
        let mine = self.sessions.contribution();
        self.profile.apply_rule(now.wall, &[mine]);
        self.profile.publish(|before| clock.next(before, now.wall))
    }

    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        let deadlines = [self.sessions.next_deadline(), self.profile.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    pub(crate) fn record(&self, viewer: Viewer) -> Record {
        self.profile.record(
            &self.id,
            &[(NODE, self.sessions.contribution())],
            viewer,
            Freshness::Current,
        )
    }

    pub(crate) fn status(&self) -> Status {
        self.profile.decision().status
    }

    fn meet_deadlines(&mut self, now: Mono) {
        self.sessions.on_deadline(now);
        self.profile.on_deadline(now);
        if !self.is_present() {
            self.profile.note_absence();
        }
    }

    fn is_present(&self) -> bool {
        self.sessions.is_present() || !self.profile.reports().is_empty()
    }
}

/// The report of a gateway, from the numbers of an input.
pub(crate) fn report_input(source: u8, status: Status, ttl_millis: Option<u64>, is_active: bool) -> ReportInput {
    ReportInput {
        source: format!("gateway-{source}").parse::<Source>().unwrap(),
        status,
        ttl: ttl_millis.map(Duration::from_millis),
        update_last_active: is_active,
    }
}
