//! What sessions, lost ones and custom statuses by request counted as, worked out from the whole past.

use presence::{EndReason, Now, Setter};

use super::super::plain_rule::KnownActivity;
use super::{Event, Lost, Past, millis};

/// The grace period, as far as it goes at some moment.
pub(super) struct Grace {
    pub(super) until: u64,
    known: Vec<KnownActivity>,
    /// Who has not been continued: sessions of this run by their numbers.
    pub(super) places: Vec<Option<u64>>,
}

impl Past {
    /// The connections that are open after the first `count` entries, oldest first.
    pub(super) fn open_at(&self, count: usize) -> Vec<u64> {
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

    pub(super) fn is_open_at(&self, count: usize, id: u64) -> bool {
        self.open_at(count).contains(&id)
    }

    pub(super) fn is_continued(&self, count: usize, id: u64) -> bool {
        let resumes = self.entries[..count].iter();
        resumes
            .map(|entry| &entry.event)
            .any(|event| is_resume_of(event, Lost::Here(id)))
    }

    pub(super) fn of_this_run(&self) -> impl Iterator<Item = &Event> {
        let began = self
            .entries
            .iter()
            .rposition(|entry| matches!(entry.event, Event::Restart { .. }));
        self.entries[began.unwrap_or(0)..].iter().map(|entry| &entry.event)
    }

    /// The activity of connection `id`, by what it said among the first `count` entries, else by what it found in grace.
    pub(super) fn activity_at(&self, count: usize, mono: u64, id: u64) -> Option<KnownActivity> {
        let idle_after = millis(self.timers.idle_after);
        let came = self
            .entries
            .iter()
            .position(|entry| matches!(entry.event, Event::Connect { id: one, .. } if one == id))?;
        let entries = &self.entries[came..count];
        let has_reported = |count: usize| {
            let mut events = entries[..count].iter().map(|entry| entry.event);
            events.any(
                |event| matches!(event, Event::Activity { id: one, .. } | Event::Away { id: one, .. } if one == id),
            )
        };
        if has_reported(entries.len()) {
            let away = entries
                .iter()
                .rposition(|entry| matches!(entry.event, Event::Away { id: one, .. } if one == id));
            let is_active = (away.unwrap_or(0)..entries.len()).any(|index| match entries[index].event {
                Event::Activity { id: one, ago } => one == id && mono + millis(ago) < entries[index].mono + idle_after,
                Event::Preference {
                    setter: Setter::Connection(one),
                    taken,
                    was_present: true,
                    ..
                } => one.0 == id && has_reported(index) && mono < taken.mono.as_millis() + idle_after,
                _ => false,
            });
            return Some(if is_active {
                KnownActivity::Active
            } else {
                KnownActivity::Idle
            });
        }
        let grace = millis(self.timers.grace);
        entries.iter().rev().find_map(|entry| {
            let found = match entry.event {
                Event::Resume {
                    id: one,
                    finds_active_grace: true,
                    ..
                } if one == id => KnownActivity::Active,
                Event::Connect {
                    id: one,
                    finds_idle_grace: true,
                } if one == id => KnownActivity::Idle,
                _ => return None,
            };
            Some((mono < entry.mono + grace).then_some(found))
        })?
    }

    /// What a custom status that the user set by a request counts like: an active session, while the user stays present.
    pub(super) fn chosen_at(&self, mono: u64) -> Option<KnownActivity> {
        let idle_after = millis(self.timers.idle_after);
        (0..self.entries.len()).rev().find_map(|index| {
            let Event::Preference {
                setter: Setter::Request,
                taken,
                was_present: true,
                ..
            } = self.entries[index].event
            else {
                return None;
            };
            let later = index + 1..self.entries.len();
            let moments = later
                .map(|next| (next, self.entries[next].mono))
                .chain([(self.entries.len(), mono)]);
            let mut moments =
                moments.flat_map(|(count, then)| [(count, then), ((count + 1).min(self.entries.len()), then)]);
            let is_restarted = self.entries[index..]
                .iter()
                .any(|entry| matches!(entry.event, Event::Restart { .. }));
            let stayed = !is_restarted && moments.all(|(count, then)| self.is_present_at(count, then));
            (stayed && mono < taken.mono.as_millis() + idle_after).then_some(KnownActivity::Active)
        })
    }

    /// Whether anything kept the user present at this moment, after the first `count` entries.
    pub(super) fn is_present_at(&self, count: usize, mono: u64) -> bool {
        let past = Self {
            entries: self.entries[..count].to_vec(),
            ..self.clone()
        };
        !past.open_at(count).is_empty() || past.grace_at(count, mono).is_some() || !past.reports_at(mono).is_empty()
    }

    pub(super) fn known_in_grace(&self, now: Now) -> Option<KnownActivity> {
        let grace = self.grace_at(self.entries.len(), now.mono.as_millis())?;
        grace.activity()
    }

    /// The grace period, if there is one after the first `count` entries.
    pub(super) fn grace_at(&self, count: usize, mono: u64) -> Option<Grace> {
        let mut grace: Option<Grace> = None;
        for (index, entry) in self.entries[..count].iter().enumerate() {
            grace = grace.filter(|grace| grace.until > entry.mono);
            match entry.event {
                Event::Kick => grace = None,
                Event::Restart { in_grace } => {
                    let until = entry.mono + millis(self.timers.restart_grace);
                    grace = in_grace.map(|(known, places)| Grace {
                        until,
                        known: known.into_iter().collect(),
                        places: vec![None; places],
                    });
                }
                Event::Resume { of, .. } => {
                    let place = match of {
                        Lost::Here(id) => Some(id),
                        Lost::Earlier(_) => None,
                    };
                    let places = grace.iter_mut().flat_map(|grace| &mut grace.places);
                    if let Some(taken) = places.into_iter().position(|one| *one == place) {
                        grace = grace.map(|mut grace| {
                            grace.places.remove(taken);
                            grace
                        });
                    }
                    grace = grace.filter(|grace| !grace.places.is_empty());
                }
                Event::End {
                    id,
                    end: EndReason::Left | EndReason::Lost | EndReason::Dropped,
                } if self.is_open_at(index, id) && !self.is_continued(index, id) && !self.timers.grace.is_zero() => {
                    let until = entry.mono + millis(self.timers.grace);
                    let joined = grace.get_or_insert(Grace {
                        until,
                        known: Vec::new(),
                        places: Vec::new(),
                    });
                    joined.until = joined.until.max(until);
                    joined.known.extend(self.activity_at(index, entry.mono, id));
                    joined.places.push(Some(id));
                }
                _ => {}
            }
        }
        grace.filter(|grace| grace.until > mono)
    }
}

impl Grace {
    /// Idle if all of those with known activity were.
    pub(super) fn activity(&self) -> Option<KnownActivity> {
        match (self.known.is_empty(), self.known.contains(&KnownActivity::Active)) {
            (true, _) => None,
            (false, false) => Some(KnownActivity::Idle),
            (false, true) => Some(KnownActivity::Active),
        }
    }
}

pub(super) fn is_resume_of(event: &Event, lost: Lost) -> bool {
    matches!(event, Event::Resume { of, .. } if *of == lost)
}
