//! The machine and the naive model get the same random inputs, and are compared after every step.

use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{
    Audience, CustomStatus, Mono, Now, Published, Revision, RevisionClock, SessionId, Setter, Status, Timers, Wall,
};
use proptest::prelude::*;

use crate::inputs::{Input, Via};
use crate::naive::{Event, Lost, Past, View};
use crate::person::{Person, report_input};

/// The same user twice: as the machine has it, and as the naive model derives it from the past.
struct Pair {
    now: Now,
    machine: Person,
    past: Past,
    clock: RevisionClock,
    /// What was published last, from the past alone.
    last_published: (Status, CustomStatus),
    since: Option<Wall>,
    revision: Revision,
}

impl Pair {
    fn new(timers: Timers) -> Self {
        let mut clock = RevisionClock::new(0, Wall::from_millis(0));
        clock.raise(u64::MAX / 2);
        Self {
            now: Now {
                mono: Mono::from_millis(0),
                wall: Wall::from_millis(1_700_000_000_000),
            },
            machine: Person::new("u", timers),
            past: Past::new(timers),
            clock,
            last_published: (Status::Offline, CustomStatus::Online),
            since: None,
            revision: Revision::NEVER,
        }
    }

    fn apply(&mut self, input: Input) {
        let now = self.now;
        match input {
            Input::Pass { millis } => return self.pass(millis),
            Input::Oversleep { millis } => return self.move_clocks(millis),
            Input::WallLeaps { millis } => self.now.wall = now.wall.after(Duration::from_millis(millis)),
            Input::Connect => {
                let SessionId(id) = self.machine.connect(now);
                self.past.connect(now, id);
            }
            Input::Heard { nth }
            | Input::Message { nth }
            | Input::Activity { nth, .. }
            | Input::Away { nth, .. }
            | Input::End { nth, .. } => {
                self.feed_connection(self.machine.name(nth), input);
            }
            Input::Resume { nth, of } => self.resume(self.machine.name(nth), self.machine.name(of)),
            Input::SetCustom {
                custom,
                by,
                late_millis,
            } => self.set_custom(custom, by, late_millis),
            Input::Report {
                source,
                status,
                ttl_millis,
                is_active,
            } => {
                let report = report_input(source, status, ttl_millis, is_active);
                self.machine.report(now, &report);
                self.past.report(now, now, source, &report);
            }
            Input::Kick => {
                self.machine.kick();
                self.past.add(now, Event::Kick);
            }
            Input::WallStands { millis } => self.now.mono = now.mono.after(Duration::from_millis(millis)),
            Input::Restart { down_millis } => {
                self.recompute();
                self.move_clocks(down_millis);
                self.machine.restart(self.now);
                self.past.restart(now.mono.as_millis(), self.now);
            }
        }
        self.recompute();
    }

    fn resume(&mut self, id: SessionId, of: SessionId) {
        let lost = if of.0 < self.machine.arrived_before {
            Lost::Earlier(of.0)
        } else {
            Lost::Here(of.0)
        };
        let is_resumed = self.machine.resume(self.now, id, of);
        assert_eq!(is_resumed, self.past.resume(self.now, id.0, lost), "resumed");
    }

    /// Everything that follows from the time it takes happens before it is set.
    fn set_custom(&mut self, custom: CustomStatus, by: Via, late_millis: u64) {
        let taken = self.now;
        let setter = self.machine.setter(by);
        if let Setter::Connection(id) = setter {
            self.machine.message(taken, id);
            self.past.add(taken, Event::Message { id: id.0 });
        }
        self.pass(late_millis);
        self.machine.set_custom(self.now, taken, custom, setter);
        self.past.set_custom(self.now, taken, custom, setter);
    }

    fn feed_connection(&mut self, id: SessionId, input: Input) {
        let now = self.now;
        let event = match input {
            Input::Activity { ago_millis, .. } => {
                let ago = Duration::from_millis(ago_millis);
                self.machine.past_activity(now, id, ago);
                Event::Activity { id: id.0, ago }
            }
            Input::Away { ago_millis, .. } => {
                let ago = ago_millis.map(Duration::from_millis);
                self.machine.away_since(now, id, ago);
                Event::Away { id: id.0, ago }
            }
            Input::End { end, .. } => {
                self.machine.end(now, id, end);
                Event::End { id: id.0, end }
            }
            Input::Message { .. } => {
                self.machine.message(now, id);
                Event::Message { id: id.0 }
            }
            _ => {
                self.machine.heard(now, id);
                Event::Heard { id: id.0 }
            }
        };
        self.past.add(now, event);
    }

    /// Lets time pass and stops at each moment when the past could change something. The machine is only asked if it had
    /// announced a deadline by then.
    fn pass(&mut self, millis: u64) {
        let target = self.now.mono.as_millis() + millis;
        for deadline in self.past.deadlines_after(self.now.mono.as_millis()) {
            if deadline > target {
                break;
            }
            self.move_clocks(deadline - self.now.mono.as_millis());
            if self.machine.next_deadline().is_some_and(|at| at <= self.now.mono) {
                self.recompute();
            } else {
                let view = self.past.view(self.now.mono.as_millis());
                assert_eq!(
                    self.last_published,
                    (view.status, view.custom),
                    "a deadline was not announced"
                );
            }
        }
        self.move_clocks(target - self.now.mono.as_millis());
    }

    fn move_clocks(&mut self, millis: u64) {
        let lapse = Duration::from_millis(millis);
        self.now = Now {
            mono: self.now.mono.after(lapse),
            wall: self.now.wall.after(lapse),
        };
    }

    fn recompute(&mut self) {
        let published = self.machine.recompute(self.now, &mut self.clock);
        let view = self.past.view(self.now.mono.as_millis());
        self.compare_published(&view, published);
        self.compare_state(&view);
    }

    fn compare_published(&mut self, view: &View, published: Option<Published>) {
        let (status, custom) = std::mem::replace(&mut self.last_published, (view.status, view.custom));
        let audience = if view.status != status {
            self.since = Some(self.now.wall);
            Some(Audience::Everyone)
        } else {
            (view.custom != custom).then_some(Audience::Inner)
        };
        assert_eq!(published.map(|one| one.audience), audience, "the audience");
        if let Some(published) = published {
            assert_eq!(
                (published.from, published.to, published.reason),
                (status, view.status, view.reason)
            );
        }
        let revision = self.machine.profile.revision();
        match audience {
            Some(_) => assert!(revision > self.revision, "a publication has a higher revision"),
            None => assert_eq!(revision, self.revision, "no publication, no revision"),
        }
        self.revision = revision;
    }

    fn compare_state(&self, view: &View) {
        let record = self.machine.record(Viewer::Internal);
        let decision = self.machine.profile.decision();
        assert_eq!(
            (record.status, decision.rule, record.reason),
            (view.status, view.rule, Some(view.reason))
        );
        assert_eq!(record.since, self.since, "since");
        assert_eq!(record.last_seen, view.last_seen, "last seen");
        assert_eq!(record.last_active, view.last_active, "last active");
        assert_eq!(record.sessions.map(|sessions| sessions as usize), Some(view.sessions));
        assert_eq!(record.custom_status, Some(view.custom));
        let grace = self.machine.sessions.grace();
        let grace = grace.map(|grace| (grace.until.as_millis(), grace.activity == presence::Activity::Idle));
        assert_eq!(grace, view.grace, "grace");
        let places = self.machine.sessions.grace().map_or(0, presence::GracePeriod::places);
        assert_eq!(usize::try_from(places), Ok(view.places), "places in the grace period");
        let idle = self.machine.sessions.connections().iter();
        let idle: Vec<bool> = idle.map(|one| one.activity() == presence::Activity::Idle).collect();
        assert_eq!(idle, view.idle, "idle connections");
        assert!(record.last_active <= record.last_seen, "last active <= last seen");
        assert!(record.last_seen <= Some(self.now.wall), "last seen <= now");
        self.compare_next(view);
    }

    /// The changes that `explain` lists are those of the naive model, asked at every moment to come.
    fn compare_next(&self, view: &View) {
        let now = self.now.mono.as_millis();
        let mut status = view.status;
        let mut expected = Vec::new();
        for deadline in self.past.deadlines_after(now) {
            let then = self.past.view(deadline).status;
            if then != status {
                expected.push((self.now.wall.after(Duration::from_millis(deadline - now)), then));
                status = then;
            }
        }
        let here = self.machine.here();
        let explanation = presence::explain::explain(&self.machine.id, self.now, here, &self.machine.profile, |id| {
            id.0.to_string()
        });
        let next = explanation.next.iter().map(|next| {
            let status = next.why.split(':').next().unwrap_or_default();
            (next.at, status.parse::<Status>().unwrap())
        });
        assert_eq!(next.collect::<Vec<_>>(), expected, "what changes next");
    }
}

fn timers() -> impl Strategy<Value = Timers> {
    let grace = prop_oneof![3 => Just(5_000_u64), 1 => Just(0), 1 => Just(1)];
    let restart_grace = prop_oneof![3 => Just(30_000_u64), 1 => Just(5_000), 1 => Just(0)];
    let idle_after = prop_oneof![3 => Just(300_000_u64), 1 => Just(2_500)];
    (grace, restart_grace, idle_after).prop_map(|(grace, restart_grace, idle_after)| Timers {
        grace: Duration::from_millis(grace),
        restart_grace: Duration::from_millis(restart_grace),
        idle_after: Duration::from_millis(idle_after),
    })
}

fn inputs(most: usize) -> impl Strategy<Value = Vec<Input>> {
    let input = (0..100_u8, 0..24_usize, 0..60_usize)
        .prop_map(|(kind, which, length)| Input::from_numbers(kind, which, length));
    proptest::collection::vec(input, 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_inputs_matches_the_naive_model(timers in timers(), inputs in inputs(60)) {
        let mut pair = Pair::new(timers);
        for input in inputs {
            pair.apply(input);
        }
        // Without sessions the user is OFFLINE, whatever happened before.
        pair.apply(Input::Kick);
        prop_assert_eq!(pair.machine.status(), Status::Offline);
    }

    #[test]
    fn times_and_revisions_never_go_back(timers in timers(), inputs in inputs(60)) {
        let mut pair = Pair::new(timers);
        let mut before = pair.machine.record(Viewer::Internal);
        for input in inputs {
            pair.apply(input);
            let after = pair.machine.record(Viewer::Internal);
            prop_assert!(after.last_seen >= before.last_seen);
            prop_assert!(after.last_active >= before.last_active);
            prop_assert!(after.since >= before.since);
            prop_assert!(after.revision >= before.revision);
            before = after;
        }
    }
}
