//! A deliberately dumb statement of sections 3.1 to 3.4: it remembers everything that ever happened to a user and
//! works out each answer from all of it, every time it is asked. It shares no state and no shortcut with the machine. The
//! daemon's random walk includes this file too.

#[path = "naive_reports.rs"]
mod reports;
#[path = "naive_sessions.rs"]
mod sessions;
#[path = "naive_times.rs"]
mod times;

use std::time::Duration;

use presence::{CustomStatus, EndReason, Now, Reason, ReportInput, Setter, Status, Timers, Wall};

use self::sessions::{Grace, is_resume_of};
use super::plain_rule::{Age, KnownActivity, plain_rule};

/// Something that happened. What can only be known by looking at the past of that moment is worked out then and noted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    Connect {
        id: u64,
        finds_idle_grace: bool,
    },
    /// A frame of any kind.
    Heard {
        id: u64,
    },
    /// A message other than a ping.
    Message {
        id: u64,
    },
    /// Connection `id` took the place of a lost one, or of one that will be lost.
    Resume {
        id: u64,
        of: Lost,
        finds_active_grace: bool,
    },
    /// It was so long ago.
    Activity {
        id: u64,
        ago: Duration,
    },
    /// The last input was so long ago, if it says so.
    Away {
        id: u64,
        ago: Option<Duration>,
    },
    End {
        id: u64,
        end: EndReason,
    },
    /// It was asked for at `taken`.
    Preference {
        custom: CustomStatus,
        setter: Setter,
        taken: Now,
        was_present: bool,
    },
    /// It was asked for at `taken`.
    Report {
        source: u8,
        status: Status,
        ttl_millis: Option<u64>,
        is_active: bool,
        taken: Now,
    },
    /// A new run found that a report ends then.
    ReportEnds {
        source: u8,
        at: u64,
    },
    Kick,
    /// Accepting again; a user who had a connection or grace period is in grace, with the activity that was known and so many
    /// places.
    Restart {
        in_grace: Option<(Option<KnownActivity>, usize)>,
    },
}

/// A lost session: one of this run, or of an earlier one, which only its client remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    Here(u64),
    Earlier(u64),
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    mono: u64,
    wall: Wall,
    event: Event,
}

/// All that happened to one user.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    timers: Timers,
    entries: Vec<Entry>,
    /// Last seen and last active as a new run found them; of what came before, nothing else moves times.
    found: (Option<Wall>, Option<Wall>),
    /// From which entry on times count.
    times_from: usize,
}

/// What should be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) status: Status,
    pub(crate) rule: u8,
    pub(crate) reason: Reason,
    pub(crate) custom: CustomStatus,
    pub(crate) last_seen: Option<Wall>,
    pub(crate) last_active: Option<Wall>,
    pub(crate) sessions: usize,
    /// When the grace ends, and whether it counts as idle.
    pub(crate) grace: Option<(u64, bool)>,
    /// How many lost sessions have not been continued.
    pub(crate) places: usize,
    /// Of each connection, whether it counts as idle.
    pub(crate) idle: Vec<bool>,
}

impl Past {
    pub(crate) const fn new(timers: Timers) -> Self {
        Self {
            timers,
            entries: Vec::new(),
            found: (None, None),
            times_from: 0,
        }
    }

    pub(crate) fn add(&mut self, now: Now, event: Event) {
        self.entries.push(Entry {
            mono: now.mono.as_millis(),
            wall: now.wall,
            event,
        });
    }

    pub(crate) fn connect(&mut self, now: Now, id: u64) {
        let finds_idle_grace = self.known_in_grace(now) == Some(KnownActivity::Idle);
        self.add(now, Event::Connect { id, finds_idle_grace });
    }

    /// Whether connection `id` took the place of the session that it says it continues.
    pub(crate) fn resume(&mut self, now: Now, id: u64, of: Lost) -> bool {
        let all = self.entries.len();
        self.add(now, Event::Message { id });
        let grace = self.grace_at(all, now.mono.as_millis());
        let has_place = |place| grace.as_ref().is_some_and(|grace| grace.places.contains(&place));
        let is_free = match of {
            Lost::Here(one) => {
                let will_have_one = self.is_open_at(all, one) && !self.is_continued(all, one);
                one != id && (will_have_one || has_place(Some(one)))
            }
            Lost::Earlier(_) => has_place(None) && !self.of_this_run().any(|event| is_resume_of(event, of)),
        };
        let is_resumed = is_free && self.is_open_at(all, id);
        if is_resumed {
            let is_lost = !matches!(of, Lost::Here(one) if self.is_open_at(all, one));
            let finds_active_grace = is_lost && self.known_in_grace(now) == Some(KnownActivity::Active);
            self.add(
                now,
                Event::Resume {
                    id,
                    of,
                    finds_active_grace,
                },
            );
        }
        is_resumed
    }

    pub(crate) fn set_custom(&mut self, now: Now, taken: Now, custom: CustomStatus, setter: Setter) {
        let was_present = self.view(now.mono.as_millis()).status != Status::Offline;
        self.add(
            now,
            Event::Preference {
                custom,
                setter,
                taken,
                was_present,
            },
        );
    }

    pub(crate) fn report(&mut self, now: Now, taken: Now, source: u8, input: &ReportInput) {
        let event = Event::Report {
            source,
            status: input.status,
            ttl_millis: input.ttl.map(millis),
            is_active: input.update_last_active,
            taken,
        };
        self.add(now, event);
    }

    /// The daemon died at `died` and accepts again at `now`.
    pub(crate) fn restart(&mut self, died: u64, now: Now) {
        let before = self.view(died);
        let places = self.places_after(died);
        let alone = plain_rule(&[], None, &self.reports_at(died), before.custom, None).0;
        let known = match (before.status, before.reason) {
            (Status::Online, _) => Some(KnownActivity::Active),
            (_, Reason::Inactive) if alone != Status::Idle => Some(KnownActivity::Idle),
            _ => None,
        };
        let in_grace = (places > 0).then_some((known, places));
        self.add(now, Event::Restart { in_grace });
    }

    /// How many lost sessions there are if the daemon dies then.
    pub(crate) fn places_after(&self, died: u64) -> usize {
        let all = self.entries.len();
        let open = self.open_at(all);
        let not_continued = open.iter().filter(|id| !self.is_continued(all, **id));
        (not_continued.count() + self.view(died).places).max(usize::from(!open.is_empty()))
    }

    /// A new run found the user like this: in grace or not, and with these times, which may be behind what was.
    pub(crate) fn restart_as(
        &mut self,
        now: Now,
        in_grace: Option<(Option<KnownActivity>, usize)>,
        times: (Option<Wall>, Option<Wall>),
    ) {
        self.add(now, Event::Restart { in_grace });
        self.found = times;
        self.times_from = self.entries.len();
    }

    /// Everything that is to be seen at this moment.
    pub(crate) fn view(&self, mono: u64) -> View {
        self.view_of(mono, self.reports_at(mono), self.custom())
    }

    /// The same while the custom status and the reports are not known.
    pub(crate) fn view_without_durable_part(&self, mono: u64) -> View {
        self.view_of(mono, Vec::new(), CustomStatus::Online)
    }

    /// For how long the last report of a source was to hold, unless it was ended since.
    pub(crate) fn last_ttl(&self, wanted: u8) -> Option<Option<u64>> {
        let last = self.entries.iter().rev().find_map(|entry| match entry.event {
            Event::Report {
                source,
                status,
                ttl_millis,
                ..
            } if source == wanted => Some((status, ttl_millis)),
            Event::Kick => Some((Status::Offline, None)),
            _ => None,
        })?;
        (last.0 != Status::Offline).then_some(last.1)
    }

    /// How many reports hold.
    pub(crate) fn reports(&self, mono: u64) -> usize {
        self.reports_at(mono).len()
    }

    fn view_of(&self, mono: u64, reports: Vec<(CustomStatus, Age)>, custom: CustomStatus) -> View {
        let all = self.entries.len();
        let open = self.open_at(all);
        let known: Vec<Option<KnownActivity>> = open.iter().map(|id| self.activity_at(all, mono, *id)).collect();
        let grace = self.grace_at(all, mono);
        let in_grace = grace.as_ref().map(Grace::activity);
        let chosen = self.chosen_at(mono);
        let (status, rule, reason) = plain_rule(&known, in_grace, &reports, custom, chosen);
        View {
            status,
            rule,
            reason,
            custom,
            last_seen: self.seen().max().max(self.found.0),
            last_active: self.active().max().max(self.found.1),
            sessions: open.len() + reports.len(),
            grace: grace
                .as_ref()
                .map(|grace| (grace.until, grace.activity() == Some(KnownActivity::Idle))),
            places: grace.map_or(0, |grace| grace.places.len()),
            idle: known.iter().map(|one| *one == Some(KnownActivity::Idle)).collect(),
        }
    }

    /// Every moment after `mono` at which time alone could change something.
    pub(crate) fn deadlines_after(&self, mono: u64) -> Vec<u64> {
        let idle_after = millis(self.timers.idle_after);
        let mut moments: Vec<u64> = self
            .entries
            .iter()
            .flat_map(|entry| {
                let sooner = match entry.event {
                    Event::ReportEnds { at, .. } => Some(at.saturating_sub(entry.mono)),
                    Event::Activity { ago, .. } => Some(idle_after.saturating_sub(millis(ago))),
                    _ => None,
                };
                let since_taken = match entry.event {
                    Event::Preference { taken, .. } => Some(taken.mono.as_millis() + idle_after),
                    Event::Report { ttl_millis, taken, .. } => ttl_millis.map(|ttl| taken.mono.as_millis() + ttl),
                    _ => None,
                };
                let grace = millis(self.timers.grace);
                let restart_grace = millis(self.timers.restart_grace);
                [Some(idle_after), Some(grace), Some(restart_grace), sooner]
                    .into_iter()
                    .flatten()
                    .map(|lapse| entry.mono + lapse)
                    .chain(since_taken)
            })
            .collect();
        moments.retain(|moment| *moment > mono);
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    fn custom(&self) -> CustomStatus {
        let custom = self.entries.iter().rev().find_map(|entry| match entry.event {
            Event::Preference { custom, .. } => Some(custom),
            _ => None,
        });
        custom.unwrap_or_default()
    }
}

pub(crate) fn millis(lapse: std::time::Duration) -> u64 {
    u64::try_from(lapse.as_millis()).unwrap()
}
