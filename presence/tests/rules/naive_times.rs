//! When the user was heard, and when the user did something.

use presence::{Actor, EndReason, Wall};

use super::{Event, Past};

impl Past {
    /// Every moment at which the user was heard.
    pub(super) fn seen(&self) -> impl Iterator<Item = Wall> {
        self.entries
            .iter()
            .enumerate()
            .skip(self.times_from)
            .filter_map(|(index, entry)| match entry.event {
                Event::Connect { .. } => Some(entry.wall),
                Event::Report { taken, .. } => Some(taken.wall),
                Event::Preference {
                    setter,
                    taken,
                    was_present,
                    ..
                } => (setter.actor() == Actor::User && was_present).then_some(taken.wall),
                Event::Heard { id }
                | Event::Message { id }
                | Event::Activity { id, .. }
                | Event::Away { id, .. }
                | Event::End {
                    id,
                    end: EndReason::Closed | EndReason::Left,
                } => self.is_open_at(index, id).then_some(entry.wall),
                Event::End { .. }
                | Event::Kick
                | Event::Resume { .. }
                | Event::Restart { .. }
                | Event::ReportEnds { .. } => None,
            })
    }

    /// Every moment at which the user did something.
    pub(super) fn active(&self) -> impl Iterator<Item = Wall> {
        self.entries
            .iter()
            .enumerate()
            .skip(self.times_from)
            .filter_map(|(index, entry)| match entry.event {
                Event::Report { is_active, taken, .. } => is_active.then_some(taken.wall),
                Event::Preference {
                    setter,
                    taken,
                    was_present,
                    ..
                } => (setter.actor() == Actor::User && was_present).then_some(taken.wall),
                Event::Activity { id, ago } | Event::Away { id, ago: Some(ago) } => {
                    self.is_open_at(index, id).then_some(entry.wall.before(ago))
                }
                Event::End {
                    id,
                    end: EndReason::Closed | EndReason::Left,
                } => self.is_open_at(index, id).then_some(entry.wall),
                Event::End {
                    id,
                    end: EndReason::Lost,
                } if self.is_open_at(index, id) => {
                    // It never reported activity, so its last message is the last that is known of the user.
                    let reports = self.entries[..index].iter().map(|entry| entry.event);
                    let mut reports = reports.filter(|event| match event {
                        Event::Activity { id: one, .. } | Event::Away { id: one, .. } => *one == id,
                        _ => false,
                    });
                    reports.next().is_none().then(|| self.last_message(index, id)).flatten()
                }
                _ => None,
            })
    }

    pub(super) fn last_message(&self, count: usize, wanted: u64) -> Option<Wall> {
        let messages = self.entries[..count].iter().filter(|entry| match entry.event {
            Event::Connect { id, .. } | Event::Message { id } => id == wanted,
            _ => false,
        });
        messages.map(|entry| entry.wall).max()
    }
}
