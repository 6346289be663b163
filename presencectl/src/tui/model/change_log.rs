//! The change log: the last changes of the stream, the scroll position, and the number of changes below it.

use std::collections::VecDeque;

pub(crate) use crate::output::changes::Change;

/// How many changes are kept: about 1.5 MiB.
pub(crate) const KEPT_MAX: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ChangeLog {
    /// From the oldest to the newest.
    kept: VecDeque<Change>,
    /// How many changes there were in all.
    total: u64,
    /// The number of the change on the bottom line; `None` follows the newest.
    anchor: Option<u64>,
    /// The total at the start of the pause; `None` if not paused.
    paused_at: Option<u64>,
    /// Changes evicted from `kept` that were there at the start of the pause, so that they stay visible. Oldest first.
    held: VecDeque<Change>,
    /// The number of the first change in `held`.
    held_from: u64,
    /// The total at the last draw.
    drawn: u64,
}

impl ChangeLog {
    /// Appends a change. The scroll position stays.
    pub(crate) fn push(&mut self, change: Change) {
        if self.kept.len() == KEPT_MAX {
            let is_paused = self.paused_at.is_some_and(|to| self.oldest() <= to);
            self.held.extend(self.kept.pop_front().filter(|_| is_paused));
        }
        self.kept.push_back(change);
        self.total += 1;
        let (oldest, paused_at) = (self.oldest(), self.paused_at.unwrap_or(0));
        // Held changes stay visible although they were evicted.
        self.anchor = self.anchor.map(|anchor| match anchor <= paused_at {
            true => anchor,
            false => anchor.max(oldest),
        });
    }

    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// How many changes are below the bottom line.
    pub(crate) fn unseen(&self) -> u64 {
        self.anchor.map_or(0, |anchor| self.total.saturating_sub(anchor))
    }

    /// Whether the newest change is followed.
    pub(crate) const fn is_following(&self) -> bool {
        self.anchor.is_none()
    }

    /// Pauses: the visible changes stay.
    pub(crate) fn pause(&mut self) {
        self.anchor = Some(self.anchor.unwrap_or(self.total));
        if self.paused_at.is_none() {
            (self.paused_at, self.held_from) = (Some(self.total), self.oldest());
        }
    }

    /// Ends the pause and follows the newest change.
    pub(crate) fn resume(&mut self) {
        self.paused_at = None;
        self.held = VecDeque::new();
        self.follow();
    }

    pub(crate) const fn follow(&mut self) {
        self.anchor = None;
    }

    /// Called before a draw.
    pub(crate) const fn mark_drawn(&mut self) {
        self.drawn = self.total;
    }

    /// Scrolls by lines, up if negative; `rows` are visible. At the end it follows the newest change again.
    pub(crate) fn scroll(&mut self, lines: i64, rows: usize) {
        let lines = isize::try_from(lines).unwrap_or(0);
        let count = self.held.len() + self.kept.len();
        let bottom = self.position(self.anchor.unwrap_or(self.total));
        let wanted = bottom.saturating_add_signed(lines).clamp(rows.min(count), count);
        self.anchor = (wanted < count).then(|| self.number(wanted));
    }

    pub(crate) fn scroll_to_oldest(&mut self, rows: usize) {
        self.scroll(-2 * (KEPT_MAX as i64), rows);
    }

    /// The changes on that many lines, oldest first.
    pub(crate) fn window(&self, rows: usize) -> impl Iterator<Item = &Change> {
        self.up_to(self.anchor.unwrap_or(self.total), rows)
    }

    /// The changes on that many lines at the last draw.
    pub(crate) fn drawn(&self, rows: usize) -> impl Iterator<Item = &Change> {
        self.up_to(self.anchor.unwrap_or(self.drawn), rows)
    }

    /// All changes that are kept, oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Change> {
        self.held.iter().chain(&self.kept)
    }

    fn up_to(&self, last: u64, rows: usize) -> impl Iterator<Item = &Change> {
        let (end, held) = (self.position(last), self.held.len());
        let start = end.saturating_sub(rows);
        self.held
            .range(start.min(held)..end.min(held))
            .chain(self.kept.range(start.saturating_sub(held)..end.saturating_sub(held)))
    }

    /// The number of the oldest change in `kept`; changes are numbered from 1.
    fn oldest(&self) -> u64 {
        self.total - self.kept.len() as u64 + 1
    }

    /// How many visible changes there are up to this number.
    fn position(&self, number: u64) -> usize {
        let count = |numbers: u64, most: usize| usize::try_from(numbers).unwrap_or(usize::MAX).min(most);
        match (number + 1).checked_sub(self.oldest()) {
            Some(kept) => self.held.len() + count(kept, self.kept.len()),
            None => count((number + 1).saturating_sub(self.held_from), self.held.len()),
        }
    }

    /// The inverse of [`Self::position`].
    fn number(&self, position: usize) -> u64 {
        match position.checked_sub(self.held.len()) {
            Some(kept) if kept > 0 || self.held.is_empty() => self.oldest() - 1 + kept as u64,
            _ => self.held_from.saturating_sub(1) + position as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use presence::{Revision, Status, UserId, Wall};

    use super::*;

    fn change(number: usize) -> Change {
        Change {
            at: Wall::from_millis(number as i64),
            user: UserId::new("ann").unwrap(),
            from: Status::Online,
            to: Some(Status::Idle),
            reason: None,
            custom_status: None,
            set_by: None,
            note: None,
            revision: Revision::new(1),
        }
    }

    fn shown(change_log: &ChangeLog, rows: usize) -> Vec<i64> {
        change_log.window(rows).map(|change| change.at.as_millis()).collect()
    }

    fn change_log(count: usize) -> ChangeLog {
        let mut change_log = ChangeLog::default();
        (1..=count).for_each(|number| change_log.push(change(number)));
        change_log
    }

    #[test]
    fn the_newest_is_followed_until_a_scroll_and_at_the_end() {
        let mut change_log = change_log(10);
        assert_eq!(shown(&change_log, 3), [8, 9, 10]);
        change_log.scroll(-2, 3);
        assert_eq!(shown(&change_log, 3), [6, 7, 8]);
        change_log.push(change(11));
        assert_eq!((shown(&change_log, 3), change_log.unseen()), (vec![6, 7, 8], 3));
        change_log.scroll(2, 3);
        assert!(!change_log.is_following());
        change_log.scroll(1, 3);
        assert!(change_log.is_following());
        assert_eq!((shown(&change_log, 3), change_log.unseen()), (vec![9, 10, 11], 0));
    }

    #[test]
    fn scrolling_stops_at_the_oldest_change() {
        let mut change_log = change_log(5);
        change_log.scroll(-100, 3);
        assert_eq!(shown(&change_log, 3), [1, 2, 3]);
        let mut few = super::tests::change_log(2);
        few.scroll(-1, 3);
        assert_eq!(shown(&few, 3), [1, 2]);
        let mut none = ChangeLog::default();
        none.scroll(-1, 3);
        none.scroll(1, 3);
        assert_eq!(shown(&none, 3), Vec::<i64>::new());
    }

    #[test]
    fn a_pause_before_the_first_change_hides_it() {
        let mut change_log = ChangeLog::default();
        change_log.pause();
        change_log.push(change(1));
        assert_eq!((shown(&change_log, 3), change_log.unseen()), (vec![], 1));
        change_log.follow();
        assert_eq!(shown(&change_log, 3), [1]);
    }

    #[test]
    fn a_pause_keeps_the_view_and_counts_beyond_the_capacity() {
        let mut change_log = change_log(4);
        change_log.pause();
        let more = 2 * KEPT_MAX + 100;
        (5..5 + more).for_each(|number| change_log.push(change(number)));
        assert_eq!(
            (change_log.unseen(), change_log.total()),
            (more as u64, more as u64 + 4)
        );
        assert_eq!(shown(&change_log, 3), [2, 3, 4], "what is looked at stays");
        change_log.scroll(1, 3);
        let oldest = change_log.total() as i64 - KEPT_MAX as i64 + 1;
        assert_eq!(shown(&change_log, 3), [3, 4, oldest], "what came between is not kept");
        change_log.scroll(1, 3);
        assert_eq!(shown(&change_log, 3), [4, oldest, oldest + 1]);
        change_log.scroll_to_oldest(3);
        assert_eq!(shown(&change_log, 3), [1, 2, 3]);
        change_log.scroll(i64::from(i32::MAX), 3);
        assert!(change_log.is_following());
        change_log.resume();
        assert_eq!(change_log.all().count(), KEPT_MAX);
    }

    #[test]
    fn changes_read_during_a_pause_stay_until_evicted() {
        let mut change_log = change_log(4);
        change_log.pause();
        (5..=KEPT_MAX).for_each(|number| change_log.push(change(number)));
        change_log.scroll(6, 3);
        assert_eq!(shown(&change_log, 3), [8, 9, 10]);
        (1..=6).for_each(|number| change_log.push(change(KEPT_MAX + number)));
        assert_eq!(shown(&change_log, 3), [8, 9, 10]);
        change_log.push(change(0));
        (1..=6).for_each(|number| change_log.push(change(KEPT_MAX + number)));
        assert_eq!(change_log.window(3).count(), 3, "what is still there");
    }

    #[test]
    fn without_a_pause_an_evicted_position_moves_to_the_oldest() {
        let mut change_log = change_log(KEPT_MAX);
        change_log.scroll_to_oldest(3);
        assert_eq!(shown(&change_log, 3), [1, 2, 3]);
        (1..=10).for_each(|number| change_log.push(change(KEPT_MAX + number)));
        assert_eq!(shown(&change_log, 3), [11]);
    }
}
