//! Which reports held, and whether what they said was newer than the custom status.

use presence::{CustomStatus, Status};

use super::super::plain_rule::Age;
use super::{Event, Past};

impl Past {
    pub(super) fn reports_at(&self, mono: u64) -> Vec<(CustomStatus, Age)> {
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
            let mut since_kick = (kicked.map_or(0, |kicked| kicked + 1)..self.entries.len()).rev();
            let said = since_kick
                .by_ref()
                .find_map(|index| self.report_of(index, wanted).map(|status| (index, status)));
            let Some((index, status)) = said else { continue };
            if !self.holds_until(index, mono, self.entries.len()) {
                continue;
            }
            // A refresh that says the same is nothing new: the word is as old as the first of them.
            let mut first = index;
            for index in since_kick {
                match self.report_of(index, wanted) {
                    Some(before) if before != status || !self.holds_until(index, self.entries[first].mono, first) => {
                        break;
                    }
                    Some(_) => first = index,
                    None => {}
                }
            }
            let custom = match status {
                Status::Online => CustomStatus::Online,
                Status::Idle => CustomStatus::Idle,
                Status::DoNotDisturb => CustomStatus::DoNotDisturb,
                Status::Offline => continue,
            };
            let is_newer = custom_set.is_none_or(|custom_set| first > custom_set);
            reports.push((custom, if is_newer { Age::Newer } else { Age::Older }));
        }
        reports
    }

    /// What source `wanted` reported with this entry.
    pub(super) fn report_of(&self, index: usize, wanted: u8) -> Option<Status> {
        match self.entries[index].event {
            Event::Report { source, status, .. } if source == wanted => Some(status),
            _ => None,
        }
    }

    /// Whether the report of this entry holds at this moment, by what was known after the first `count` entries.
    pub(super) fn holds_until(&self, index: usize, mono: u64, count: usize) -> bool {
        let Event::Report {
            source: wanted,
            ttl_millis,
            taken,
            ..
        } = self.entries[index].event
        else {
            return false;
        };
        let found = self.entries[index..count]
            .iter()
            .rev()
            .find_map(|later| match later.event {
                Event::ReportEnds { source, at } if source == wanted => Some(at),
                _ => None,
            });
        let ends = found.or(ttl_millis.map(|ttl| taken.mono.as_millis() + ttl));
        ends.is_none_or(|ends| mono < ends)
    }
}
