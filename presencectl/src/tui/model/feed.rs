//! The stream of changes as it is looked at: the last of them, from where one reads, and how many came meanwhile.

use std::collections::VecDeque;

pub(crate) use crate::output::changes::Change;

/// How many changes can be scrolled back to: about 1.5 MiB of them.
pub(crate) const KEPT_MAX: usize = 10_000;

/// The changes.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Feed {
    /// Oldest first.
    kept: VecDeque<Change>,
    /// How many came in all.
    total: u64,
    /// The number of the change on the bottom line; none while the newest is followed.
    anchor: Option<u64>,
}

impl Feed {
    /// One more came. What is being looked at stays where it is.
    pub(crate) fn push(&mut self, change: Change) {
        let is_full = self.kept.len() == KEPT_MAX;
        if is_full {
            self.kept.pop_front();
        }
        self.kept.push_back(change);
        self.total += 1;
        if is_full {
            let oldest = self.oldest();
            self.anchor = self.anchor.map(|anchor| anchor.max(oldest));
        }
    }

    /// How many came in all.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// How many came after the one on the bottom line.
    pub(crate) fn unseen(&self) -> u64 {
        self.anchor.map_or(0, |anchor| self.total.saturating_sub(anchor))
    }

    /// Whether the newest is followed.
    pub(crate) const fn is_following(&self) -> bool {
        self.anchor.is_none()
    }

    /// Stays where it is.
    pub(crate) fn hold(&mut self) {
        self.anchor = Some(self.anchor.unwrap_or(self.total));
    }

    /// Follows the newest.
    pub(crate) const fn follow(&mut self) {
        self.anchor = None;
    }

    /// Scrolls by so many lines, up if negative; `rows` are on the screen. Whoever scrolls down to the end follows again.
    pub(crate) fn scroll(&mut self, lines: i64, rows: usize) {
        let top_most = (self.oldest() + rows as u64).saturating_sub(1).min(self.total);
        let bottom = self.anchor.unwrap_or(self.total);
        let wanted = bottom.saturating_add_signed(lines).max(top_most);
        self.anchor = (wanted < self.total).then_some(wanted);
    }

    /// To the oldest that is kept.
    pub(crate) fn scroll_to_oldest(&mut self, rows: usize) {
        self.scroll(-(KEPT_MAX as i64), rows);
    }

    /// What is on so many lines, oldest first.
    pub(crate) fn window(&self, rows: usize) -> impl Iterator<Item = &Change> {
        let end = self.anchor.unwrap_or(self.total).saturating_sub(self.oldest() - 1);
        let end = usize::try_from(end).unwrap_or(usize::MAX).min(self.kept.len());
        self.kept.range(end.saturating_sub(rows)..end)
    }

    /// All that are kept, oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Change> {
        self.kept.iter()
    }

    /// The number of the oldest that is kept; changes are numbered from 1.
    fn oldest(&self) -> u64 {
        self.total - self.kept.len() as u64 + 1
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
            chose: None,
            note: None,
            revision: Revision::new(1),
        }
    }

    fn shown(feed: &Feed, rows: usize) -> Vec<i64> {
        feed.window(rows).map(|change| change.at.as_millis()).collect()
    }

    fn feed(count: usize) -> Feed {
        let mut feed = Feed::default();
        (1..=count).for_each(|number| feed.push(change(number)));
        feed
    }

    #[test]
    fn the_newest_is_followed_until_one_scrolls_and_again_at_the_end() {
        let mut feed = feed(10);
        assert_eq!(shown(&feed, 3), [8, 9, 10]);
        feed.scroll(-2, 3);
        assert_eq!(shown(&feed, 3), [6, 7, 8]);
        feed.push(change(11));
        assert_eq!((shown(&feed, 3), feed.unseen()), (vec![6, 7, 8], 3));
        feed.scroll(2, 3);
        assert!(!feed.is_following());
        feed.scroll(1, 3);
        assert!(feed.is_following());
        assert_eq!((shown(&feed, 3), feed.unseen()), (vec![9, 10, 11], 0));
    }

    #[test]
    fn nobody_scrolls_beyond_the_oldest() {
        let mut feed = feed(5);
        feed.scroll(-100, 3);
        assert_eq!(shown(&feed, 3), [1, 2, 3]);
        let mut few = super::tests::feed(2);
        few.scroll(-1, 3);
        assert_eq!(shown(&few, 3), [1, 2]);
        let mut none = Feed::default();
        none.scroll(-1, 3);
        none.scroll(1, 3);
        assert_eq!(shown(&none, 3), Vec::<i64>::new());
    }

    #[test]
    fn a_pause_before_the_first_change_holds_that_back_too() {
        let mut feed = Feed::default();
        feed.hold();
        feed.push(change(1));
        assert_eq!((shown(&feed, 3), feed.unseen()), (vec![], 1));
        feed.follow();
        assert_eq!(shown(&feed, 3), [1]);
    }

    #[test]
    fn a_pause_loses_no_count_even_beyond_what_is_kept() {
        let mut feed = feed(4);
        feed.hold();
        (0..KEPT_MAX + 100).for_each(|number| feed.push(change(number)));
        assert_eq!(feed.unseen(), KEPT_MAX as u64 - 1, "the oldest that is kept is shown");
        assert_eq!(feed.total(), KEPT_MAX as u64 + 104);
        assert_eq!(feed.window(5).count(), 1);
    }
}
