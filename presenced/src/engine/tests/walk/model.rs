//! What should be seen of one user: the naive model of `presence`, and around it what only a whole daemon has: users that
//! could not be loaded, users that were forgotten, and runs that end.

use presence::{CustomStatus, Now, ReportInput, Revision, Setter, Status, Wall};

use super::TIMERS;
use super::naive::{Event, Lost, Past, View};
use super::plain_rule::KnownActivity;

pub(super) struct Model {
    past: Past,
    /// The daemon could not load the user, and shows it without its durable part.
    pub(super) is_degraded: bool,
    /// The highest revision that anybody has been told.
    pub(super) told: Revision,
    /// The highest revision of a change of the user that is known, told or not.
    pub(super) changed_at: Revision,
    /// How often the user was forgotten.
    pub(super) forgotten: u64,
    /// The times that were told last; none of them goes back while the daemon runs.
    pub(super) times: (Option<Wall>, Option<Wall>),
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            past: Past::new(TIMERS),
            is_degraded: false,
            told: Revision::NEVER,
            changed_at: Revision::NEVER,
            forgotten: 0,
            times: (None, None),
        }
    }

    pub(super) fn view(&self, mono: u64) -> View {
        if self.is_degraded {
            self.past.view_without_durable_part(mono)
        } else {
            self.past.view(mono)
        }
    }

    /// What is on disk for certain, degraded or not.
    pub(super) fn durable(&self, mono: u64) -> View {
        self.past.view(mono)
    }

    /// How many reports hold.
    pub(super) fn reports(&self, mono: u64) -> usize {
        self.past.reports(mono)
    }

    pub(super) fn is_present(&self, mono: u64) -> bool {
        self.view(mono).status != Status::Offline
    }

    /// How many sessions would be in grace after the end of this run.
    pub(super) fn places(&self, mono: u64) -> usize {
        self.past.places_after(mono)
    }

    /// The next moment after `mono` at which time alone could change something.
    pub(super) fn deadlines_after(&self, mono: u64) -> Vec<u64> {
        self.past.deadlines_after(mono)
    }

    pub(super) fn connect(&mut self, now: Now, id: u64) {
        self.past.connect(now, id);
    }

    pub(super) fn resume(&mut self, now: Now, id: u64, of: Lost) -> bool {
        self.past.resume(now, id, of)
    }

    pub(super) fn add(&mut self, now: Now, event: Event) {
        self.past.add(now, event);
    }

    /// A durable change needs the durable part, so the user is loaded by it.
    pub(super) fn set_custom(&mut self, now: Now, taken: Now, custom: CustomStatus, setter: Setter) {
        self.is_degraded = false;
        self.past.set_custom(now, taken, custom, setter);
    }

    /// The same, but it became known only later that it is on disk: the user then counts as no more active by it.
    pub(super) fn find_custom(&mut self, now: Now, taken: Now, custom: CustomStatus, setter: Setter) {
        self.is_degraded = false;
        let found = Event::Preference {
            custom,
            setter,
            taken,
            was_present: false,
        };
        self.past.add(now, found);
    }

    pub(super) fn report(&mut self, now: Now, taken: Now, source: u8, input: &ReportInput) {
        self.is_degraded = false;
        self.past.report(now, taken, source, input);
    }

    pub(super) fn kick(&mut self, now: Now) {
        self.past.add(now, Event::Kick);
    }

    /// Only that something was told stays.
    pub(super) fn forget(&mut self) {
        self.past = Past::new(TIMERS);
        self.is_degraded = false;
        self.times = (None, None);
        self.forgotten += 1;
    }

    /// A new run has begun: it found the user in grace or not, and these times.
    pub(super) fn restart(&mut self, now: Now, found: Found) {
        self.is_degraded = false;
        self.times = found.times;
        let in_grace = found.in_grace;
        self.past.restart_as(now, in_grace, found.times);
    }
}

impl Model {
    /// A clock that was wrong at the start ends reports early or late; but none lasts longer than it was to last, from then
    /// on, and none ends that has no end.
    pub(super) fn find_reports(&mut self, now: Now, found: &[(u8, Option<u64>)]) {
        for source in 0..=1 {
            let holds = found.iter().find(|report| report.0 == source).map(|report| report.1);
            let Some(ttl) = self.past.last_ttl(source) else {
                assert!(holds.is_none(), "a report that there never was");
                continue;
            };
            match (ttl, holds) {
                (None, holds) => assert!(holds == Some(None), "a report without end: {holds:?}"),
                (Some(_), None) => self.past.add(
                    now,
                    Event::ReportEnds {
                        source,
                        at: now.mono.as_millis(),
                    },
                ),
                (Some(ttl), Some(ends)) => {
                    let at = ends.expect("it has an end");
                    assert!(
                        at <= now.mono.as_millis() + ttl,
                        "a report holds for longer than it was to"
                    );
                    self.past.add(now, Event::ReportEnds { source, at });
                }
            }
        }
    }
}

/// What a new run shows of a user that its predecessor left on disk.
#[derive(Debug)]
pub(super) struct Found {
    /// The activity of the grace period, if there is one, and its places.
    pub(super) in_grace: Option<(Option<KnownActivity>, usize)>,
    /// Last seen and last active.
    pub(super) times: (Option<Wall>, Option<Wall>),
}
