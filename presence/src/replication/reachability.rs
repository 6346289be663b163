//! Whether a partition can be reached: by the node's own tick, which goes through the log and back. It is unreachable as
//! soon as something takes too long, and reachable when a tick that was sent after that has come back in time.

use std::time::Duration;

use crate::replication::settings::{OFFLINE_HOLD, UNREACHABLE_AFTER};
use crate::time::Mono;

/// The state of one partition as this node sees it.
#[derive(Debug, Clone)]
pub(super) struct Reachability {
    /// Whether it was reached before.
    was_reached: bool,
    /// While unreachable: a tick above this number brings it back.
    unreachable: Option<u64>,
    /// Since when the copy may be behind, while it is not current.
    behind_since: Mono,
    /// Until when nobody becomes OFFLINE.
    hold_until: Mono,
    /// The number of the last tick sent.
    tick: u64,
    /// The first tick that has not come back, with when it was sent.
    outstanding: Option<(u64, Mono)>,
    /// Whether a tick has come back that was sent since something took too long: the copy is not behind.
    is_current: bool,
    /// For how long the process did not run while unreachable: no clock of its own counts that.
    stalled: Duration,
    /// How long the last tick that came back took.
    last_lag: Duration,
    /// Whether Redis refuses additions.
    pub(super) is_full: bool,
}

impl Reachability {
    /// A node that starts has not reached anything yet.
    pub(super) const fn new(now: Mono) -> Self {
        Self {
            was_reached: false,
            unreachable: Some(0),
            behind_since: now,
            hold_until: now,
            tick: 0,
            outstanding: None,
            is_current: false,
            stalled: Duration::ZERO,
            last_lag: Duration::ZERO,
            is_full: false,
        }
    }

    pub(super) const fn is_reachable(&self) -> bool {
        self.unreachable.is_none()
    }

    /// Whether nobody may become OFFLINE.
    pub(super) fn is_holding(&self, now: Mono) -> bool {
        self.unreachable.is_some() || now < self.hold_until
    }

    pub(super) fn hold(&mut self, now: Mono) {
        self.hold_until = self.hold_until.max(now.after(OFFLINE_HOLD));
    }

    /// There is nobody who can become OFFLINE wrongly.
    pub(super) const fn release(&mut self, now: Mono) {
        self.hold_until = now;
    }

    /// When the hold ends, if that alone ends it.
    pub(super) fn hold_ends(&self) -> Option<Mono> {
        self.is_reachable().then_some(self.hold_until)
    }

    /// Something took too long. Whether the partition was reachable.
    pub(super) const fn lose(&mut self, now: Mono) -> bool {
        let was_reachable = self.unreachable.is_none();
        if self.is_current {
            self.behind_since = now;
        }
        self.is_current = false;
        self.unreachable = Some(self.tick);
        was_reachable
    }

    /// Additions are refused; otherwise all is as it was. Whether the partition was reachable.
    pub(super) const fn lose_room(&mut self, now: Mono) -> bool {
        let (is_current, since) = (self.is_current, self.behind_since);
        let was_reachable = self.lose(now);
        self.is_full = true;
        self.is_current = is_current;
        self.behind_since = since;
        was_reachable
    }

    pub(super) const fn note_stall(&mut self, length: Duration) {
        self.stalled = self.stalled.saturating_add(length);
    }

    /// For how long the copy may have been behind.
    pub(super) fn behind_for(&self, now: Mono) -> Duration {
        match self.is_current {
            true => Duration::ZERO,
            false => now.since(self.behind_since).saturating_add(self.stalled),
        }
    }

    /// The copy was behind for so long that more is to be done before it counts: one more tick must come back.
    pub(super) const fn begin_again(&mut self, now: Mono) {
        self.lose(now);
        self.stalled = Duration::ZERO;
    }

    pub(super) const fn is_current(&self) -> bool {
        self.is_current
    }

    /// A tick is sent. Its number.
    pub(super) fn next_tick(&mut self, now: Mono) -> u64 {
        self.tick += 1;
        self.outstanding = self.outstanding.or(Some((self.tick, now)));
        self.tick
    }

    /// The number of the last tick sent.
    pub(super) const fn last_tick(&self) -> u64 {
        self.tick
    }

    /// The connection is gone, and perhaps the tick with it.
    pub(super) const fn forget_ticks(&mut self) {
        self.outstanding = None;
    }

    /// Whether a tick that can bring the partition back is to be sent.
    pub(super) fn wants_tick(&self) -> bool {
        self.unreachable.is_some_and(|above| self.tick <= above)
    }

    /// Until when the first outstanding tick must have come back.
    pub(super) fn tick_deadline(&self) -> Option<Mono> {
        self.outstanding.map(|(_, sent)| sent.after(UNREACHABLE_AFTER))
    }

    /// How long a tick takes through the log and back: the last one, or the one under way if that takes longer. While the
    /// partition can't be reached, at least since then.
    pub(super) fn lag(&self, now: Mono) -> Duration {
        let under_way = self.outstanding.map_or(Duration::ZERO, |(_, sent)| now.since(sent));
        let is_lost = self.was_reached && self.unreachable.is_some();
        let lost_for = if is_lost { self.behind_for(now) } else { Duration::ZERO };
        self.last_lag.max(under_way).max(lost_for)
    }

    /// A tick of this node has come back. Whether it brings the partition back.
    pub(super) fn handle_tick(&mut self, number: u64, now: Mono) -> bool {
        let in_time = self
            .outstanding
            .is_some_and(|(first, sent)| number >= first && now.since(sent) <= UNREACHABLE_AFTER);
        if let Some((_, sent)) = self.outstanding.take_if(|(first, _)| number >= *first) {
            self.last_lag = now.since(sent);
        }
        let is_new = self.unreachable.is_some_and(|above| number > above);
        if in_time && is_new {
            self.is_current = true;
            self.stalled = Duration::ZERO;
        }
        let is_back = in_time && is_new && !self.is_full;
        if is_back {
            self.unreachable = None;
            // A node that starts has told nobody anything, and whoever may have moved is in the copy or in grace.
            if std::mem::replace(&mut self.was_reached, true) {
                self.hold(now);
            }
        }
        is_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1_000)
    }

    /// The partition was reached at this time.
    fn reached(now: Mono) -> Reachability {
        let mut reach = Reachability::new(now);
        let number = reach.next_tick(now);
        assert!(reach.handle_tick(number, now));
        reach
    }

    #[test]
    fn only_a_tick_that_was_sent_since_brings_a_partition_back() {
        let mut reach = reached(at(0));
        let before = reach.next_tick(at(10));
        assert!(reach.lose(at(11)));
        assert!(!reach.lose(at(11)), "it was unreachable");
        assert!(reach.wants_tick());
        let since = reach.next_tick(at(11));
        assert!(!reach.wants_tick(), "one is under way");
        assert!(!reach.handle_tick(before, at(11)));
        assert!(!reach.is_reachable() && !reach.is_current());
        // The first one has come back, so the time of the other is not known.
        assert!(!reach.handle_tick(since, at(12)));
        let next = reach.next_tick(at(12));
        assert!(reach.handle_tick(next, at(14)));
        assert!(reach.is_reachable() && reach.is_current());
    }

    #[test]
    fn a_tick_that_comes_back_late_does_not_bring_a_partition_back() {
        let mut reach = reached(at(0));
        reach.lose(at(10));
        let late = reach.next_tick(at(10));
        assert_eq!(reach.tick_deadline(), Some(at(12)));
        assert!(!reach.handle_tick(late, at(13)));
        assert!(!reach.is_reachable() && !reach.is_current());
        assert_eq!(reach.tick_deadline(), None, "none is under way");
    }

    #[test]
    fn a_return_holds_back_who_is_offline_and_a_start_does_not() {
        let mut reach = Reachability::new(at(0));
        assert!(reach.is_holding(at(1)));
        let number = reach.next_tick(at(1));
        assert!(reach.handle_tick(number, at(1)));
        assert!(!reach.is_holding(at(1)), "nothing was told");
        reach.lose(at(10));
        assert_eq!(reach.hold_ends(), None);
        let number = reach.next_tick(at(20));
        assert!(reach.handle_tick(number, at(20)));
        assert!(reach.is_holding(at(24)) && !reach.is_holding(at(25)));
        assert_eq!(reach.hold_ends(), Some(at(25)));
    }

    #[test]
    fn a_copy_is_behind_since_the_first_loss_and_while_the_process_stood() {
        let seconds = Duration::from_secs;
        let mut reach = reached(at(0));
        assert_eq!(reach.behind_for(at(9)), Duration::ZERO);
        reach.lose(at(10));
        reach.lose(at(15));
        assert_eq!(reach.behind_for(at(20)), seconds(10));
        reach.note_stall(seconds(30));
        assert_eq!(reach.behind_for(at(20)), seconds(40));
        let number = reach.next_tick(at(20));
        assert!(reach.handle_tick(number, at(20)));
        reach.lose(at(20));
        assert_eq!(reach.behind_for(at(21)), seconds(1), "of this loss alone");
        reach.note_stall(seconds(30));
        let number = reach.next_tick(at(20));
        // What was missed is to be done before the copy counts.
        assert!(reach.handle_tick(number, at(20)));
        reach.begin_again(at(20));
        assert!(!reach.is_reachable() && !reach.is_current());
        assert_eq!(reach.behind_for(at(21)), seconds(1));
        let number = reach.next_tick(at(21));
        assert!(reach.handle_tick(number, at(21)));
        assert_eq!(reach.behind_for(at(22)), Duration::ZERO);
    }

    #[test]
    fn a_copy_is_current_while_redis_has_no_room() {
        let mut reach = reached(at(0));
        assert!(reach.lose_room(at(10)));
        assert!(!reach.is_reachable() && reach.is_current());
        let number = reach.next_tick(at(11));
        assert!(!reach.handle_tick(number, at(11)), "there is no room yet");
        reach.is_full = false;
        let number = reach.next_tick(at(12));
        assert!(reach.handle_tick(number, at(12)));
        // A copy that was behind is not current by that.
        reach.lose(at(20));
        reach.lose_room(at(21));
        assert!(!reach.is_current());
        assert_eq!(reach.behind_for(at(25)), Duration::from_secs(5));
    }

    #[test]
    fn the_lag_is_that_of_the_last_tick_or_of_one_that_takes_longer() {
        let seconds = Duration::from_secs;
        let mut reach = Reachability::new(at(0));
        assert_eq!(reach.lag(at(9)), Duration::ZERO);
        let number = reach.next_tick(at(10));
        assert_eq!(reach.lag(at(11)), seconds(1));
        reach.handle_tick(number, at(12));
        assert_eq!(reach.lag(at(60)), seconds(2));
        let late = reach.next_tick(at(60));
        assert_eq!((reach.lag(at(61)), reach.lag(at(65))), (seconds(2), seconds(5)));
        reach.handle_tick(late, at(65));
        let quick = reach.next_tick(at(70));
        reach.handle_tick(quick, at(70));
        assert_eq!(reach.lag(at(99)), Duration::ZERO);
    }
}
