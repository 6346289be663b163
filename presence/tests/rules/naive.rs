//! A deliberately dumb statement of sections 3.1 to 3.4: it remembers everything that ever happened to a user and
//! works out each answer from all of it, every time it is asked. It shares no state and no shortcut with the machine.

use presence::{Actor, CustomStatus, EndReason, Now, Reason, ReportInput, Status, Timers, Wall};

use super::plain_rule::{Age, KnownActivity, plain_rule};

/// Something that happened. What can only be known by looking at the past of that moment is worked out then and noted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    Connect {
        id: u64,
        finds_idle_grace: bool,
    },
    Heard {
        id: u64,
    },
    Activity {
        id: u64,
    },
    Away {
        id: u64,
    },
    End {
        id: u64,
        end: EndReason,
    },
    Preference {
        custom: CustomStatus,
        by: Actor,
        was_present: bool,
    },
    Report {
        source: u8,
        status: Status,
        ttl_millis: Option<u64>,
        is_active: bool,
    },
    /// A new run found that a report ends then.
    ReportEnds {
        source: u8,
        at: u64,
    },
    Kick,
    /// Accepting again; a user who had a connection or grace period is in grace, with the activity that was known.
    Restart {
        in_grace: Option<Option<KnownActivity>>,
    },
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
        let finds_idle_grace = self
            .grace_at(self.entries.len(), now.mono.as_millis())
            .is_some_and(|(_, known)| known == Some(KnownActivity::Idle));
        self.add(now, Event::Connect { id, finds_idle_grace });
    }

    pub(crate) fn set_custom(&mut self, now: Now, custom: CustomStatus, by: Actor) {
        let was_present = self.view(now.mono.as_millis()).status != Status::Offline;
        self.add(
            now,
            Event::Preference {
                custom,
                by,
                was_present,
            },
        );
    }

    pub(crate) fn report(&mut self, now: Now, source: u8, input: &ReportInput) {
        let event = Event::Report {
            source,
            status: input.status,
            ttl_millis: input.ttl.map(millis),
            is_active: input.update_last_active,
        };
        self.add(now, event);
    }

    /// The daemon died at `died` and accepts again at `now`.
    pub(crate) fn restart(&mut self, died: u64, now: Now) {
        let before = self.view(died);
        let is_there = !self.open_at(self.entries.len()).is_empty() || before.grace.is_some();
        let alone = plain_rule(&[], None, &self.reports_at(died), before.custom).0;
        let known = match (before.status, before.reason) {
            (Status::Online, _) => Some(KnownActivity::Active),
            (_, Reason::Inactive) if alone != Status::Idle => Some(KnownActivity::Idle),
            _ => None,
        };
        let in_grace = is_there.then_some(known);
        self.add(now, Event::Restart { in_grace });
    }

    /// A new run found the user like this: in grace or not, and with these times, which may be behind what was.
    pub(crate) fn restart_as(
        &mut self,
        now: Now,
        in_grace: Option<Option<KnownActivity>>,
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
        let (status, rule, reason) = plain_rule(&known, grace.map(|(_, known)| known), &reports, custom);
        View {
            status,
            rule,
            reason,
            custom,
            last_seen: self.seen().max().max(self.found.0),
            last_active: self.active().max().max(self.found.1),
            sessions: open.len() + reports.len(),
            grace: grace.map(|(until, known)| (until, known == Some(KnownActivity::Idle))),
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
                let ttl = match entry.event {
                    Event::Report { ttl_millis, .. } => ttl_millis,
                    Event::ReportEnds { at, .. } => Some(at.saturating_sub(entry.mono)),
                    _ => None,
                };
                let grace = millis(self.timers.grace);
                let restart_grace = millis(self.timers.restart_grace);
                [Some(idle_after), Some(grace), Some(restart_grace), ttl]
                    .into_iter()
                    .flatten()
                    .map(|lapse| entry.mono + lapse)
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

    /// The connections that are open after the first `count` entries, oldest first.
    fn open_at(&self, count: usize) -> Vec<u64> {
        let mut open = Vec::new();
        for entry in &self.entries[..count] {
            match entry.event {
                Event::Connect { id, .. } => open.push(id),
                Event::End { id, .. } => open.retain(|one| *one != id),
                Event::Kick | Event::Restart { .. } => open.clear(),
                _ => {}
            }
        }
        open
    }

    fn is_open_at(&self, count: usize, id: u64) -> bool {
        self.open_at(count).contains(&id)
    }

    /// The activity of connection `id`, by its last report among the first `count` entries.
    fn activity_at(&self, count: usize, mono: u64, id: u64) -> Option<KnownActivity> {
        let was_known_before = |count: usize| {
            self.entries[..count].iter().any(|entry| match entry.event {
                Event::Connect {
                    id: one,
                    finds_idle_grace,
                } => one == id && finds_idle_grace,
                Event::Activity { id: one } | Event::Away { id: one } => one == id,
                _ => false,
            })
        };
        let came = self
            .entries
            .iter()
            .position(|entry| matches!(entry.event, Event::Connect { id: one, .. } if one == id))?;
        (came..count).rev().find_map(|index| {
            let entry = self.entries[index];
            let is_active = mono < entry.mono + millis(self.timers.idle_after);
            let activity = if is_active {
                KnownActivity::Active
            } else {
                KnownActivity::Idle
            };
            match entry.event {
                Event::Connect {
                    finds_idle_grace: true, ..
                } if index == came => Some(KnownActivity::Idle),
                Event::Activity { id: one } if one == id => Some(activity),
                Event::Away { id: one } if one == id => Some(KnownActivity::Idle),
                Event::Preference {
                    by: Actor::User,
                    was_present: true,
                    ..
                } if was_known_before(index) => Some(activity),
                _ => None,
            }
        })
    }

    /// When the grace period ends and its activity, if there is one.
    fn grace_at(&self, count: usize, mono: u64) -> Option<(u64, Option<KnownActivity>)> {
        // The losses that hang together: each came before the one grace of those before it had ended.
        let mut lost: Vec<(usize, u64, Option<KnownActivity>)> = Vec::new();
        let end_of = |lost: &[(usize, u64, Option<KnownActivity>)]| lost.iter().map(|one| one.1).max();
        for (index, entry) in self.entries[..count].iter().enumerate() {
            let loss = match entry.event {
                Event::Kick => {
                    lost.clear();
                    None
                }
                Event::Restart { in_grace } => {
                    lost.clear();
                    in_grace.map(|known| (millis(self.timers.restart_grace), known))
                }
                Event::End {
                    id,
                    end: EndReason::Left | EndReason::Lost | EndReason::Dropped,
                } if self.is_open_at(index, id) => {
                    Some((millis(self.timers.grace), self.activity_at(index, entry.mono, id)))
                }
                _ => None,
            };
            if let Some((lapse, known)) = loss.filter(|(lapse, _)| *lapse > 0) {
                if end_of(&lost).is_some_and(|end| end <= entry.mono) {
                    lost.clear();
                }
                lost.push((index, entry.mono + lapse, known));
            }
        }
        let until = end_of(&lost).filter(|end| *end > mono)?;
        let began = lost.first()?.0;
        let mut joined: Vec<KnownActivity> = lost.iter().filter_map(|one| one.2).collect();
        joined.extend(self.entries[began..count].iter().filter_map(|entry| match entry.event {
            Event::Preference {
                by: Actor::User,
                was_present: true,
                ..
            } => Some(KnownActivity::Active),
            _ => None,
        }));
        let known = match (joined.is_empty(), joined.contains(&KnownActivity::Active)) {
            (true, _) => None,
            (false, false) => Some(KnownActivity::Idle),
            (false, true) => Some(KnownActivity::Active),
        };
        Some((until, known))
    }

    fn reports_at(&self, mono: u64) -> Vec<(CustomStatus, Age)> {
        let kicked = self
            .entries
            .iter()
            .rposition(|entry| matches!(entry.event, Event::Kick));
        let custom_set = self
            .entries
            .iter()
            .rposition(|entry| matches!(entry.event, Event::Preference { .. }));
        let mut reports = Vec::new();
        for wanted in 0..=1 {
            let last = self
                .entries
                .iter()
                .rposition(|entry| matches!(entry.event, Event::Report { source, .. } if source == wanted));
            let Some(index) = last.filter(|index| kicked.is_none_or(|kicked| *index > kicked)) else {
                continue;
            };
            let entry = self.entries[index];
            let Event::Report { status, ttl_millis, .. } = entry.event else {
                continue;
            };
            let ends = self.entries[index..].iter().rev().find_map(|later| match later.event {
                Event::ReportEnds { source, at } if source == wanted => Some(at),
                _ => None,
            });
            let ends = ends.or(ttl_millis.map(|ttl| entry.mono + ttl));
            let holds = ends.is_none_or(|ends| mono < ends);
            let custom = match status {
                Status::Online => CustomStatus::Online,
                Status::Idle => CustomStatus::Idle,
                Status::DoNotDisturb => CustomStatus::DoNotDisturb,
                Status::Offline => continue,
            };
            let is_newer = custom_set.is_none_or(|custom_set| index > custom_set);
            if holds {
                reports.push((custom, if is_newer { Age::Newer } else { Age::Older }));
            }
        }
        reports
    }

    /// Every moment at which the user was heard.
    fn seen(&self) -> impl Iterator<Item = Wall> {
        self.entries
            .iter()
            .enumerate()
            .skip(self.times_from)
            .filter_map(|(index, entry)| match entry.event {
                Event::Connect { .. } | Event::Report { .. } => Some(entry.wall),
                Event::Preference { by, was_present, .. } => (by == Actor::User && was_present).then_some(entry.wall),
                Event::Heard { id }
                | Event::Activity { id }
                | Event::Away { id }
                | Event::End {
                    id,
                    end: EndReason::Closed | EndReason::Left,
                } => self.is_open_at(index, id).then_some(entry.wall),
                Event::End { .. } | Event::Kick | Event::Restart { .. } | Event::ReportEnds { .. } => None,
            })
    }

    /// Every moment at which the user did something.
    fn active(&self) -> impl Iterator<Item = Wall> {
        self.entries
            .iter()
            .enumerate()
            .skip(self.times_from)
            .filter_map(|(index, entry)| match entry.event {
                Event::Report { is_active, .. } => is_active.then_some(entry.wall),
                Event::Preference { by, was_present, .. } => (by == Actor::User && was_present).then_some(entry.wall),
                Event::Activity { id }
                | Event::End {
                    id,
                    end: EndReason::Closed | EndReason::Left,
                } => self.is_open_at(index, id).then_some(entry.wall),
                Event::End {
                    id,
                    end: EndReason::Lost,
                } if self.is_open_at(index, id) => {
                    // It never reported activity, so its last frame is the last that is known of the user.
                    let never_reported = self.activity_at(index, entry.mono, id).is_none();
                    never_reported.then(|| self.last_frame(index, id)).flatten()
                }
                _ => None,
            })
    }

    fn last_frame(&self, count: usize, wanted: u64) -> Option<Wall> {
        let frames = self.entries[..count].iter().filter(|entry| match entry.event {
            Event::Connect { id, .. } | Event::Heard { id } | Event::Activity { id } | Event::Away { id } => {
                id == wanted
            }
            _ => false,
        });
        frames.map(|entry| entry.wall).max()
    }
}

pub(crate) fn millis(lapse: std::time::Duration) -> u64 {
    u64::try_from(lapse.as_millis()).unwrap()
}
