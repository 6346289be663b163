//! One timing wheel for every deadline of the daemon: pings, timeouts, grace, idleness, reports. No timer per
//! connection, no pass over all of them. Pure: time is an argument.

use presence::Mono;

use crate::engine::visits::Visits;

/// The resolution of deadlines, in milliseconds.
pub(crate) const TICK_MILLIS: u64 = 16;
/// Slots of the wheel: a minute's worth. Deadlines further away pass by once a turn.
const SLOTS: usize = 4096;
const WORDS: usize = SLOTS / 64;

/// Deadlines, each with what it is for.
pub(crate) struct Wheel<T> {
    slots: Box<[Vec<(Mono, T)>]>,
    /// A bit for each slot that holds something.
    occupied: [u64; WORDS],
    /// The next tick to look at.
    next_tick: u64,
    /// Of deadlines that were looked at.
    pub(super) visits: Visits,
}

impl<T> Wheel<T> {
    /// An empty wheel whose time is `now`.
    pub(crate) fn new(now: Mono) -> Self {
        let slots = std::iter::repeat_with(Vec::new).take(SLOTS).collect();
        Self {
            slots,
            occupied: [0; WORDS],
            next_tick: now.as_millis() / TICK_MILLIS,
            visits: Visits::default(),
        }
    }

    /// Adds a deadline; one that has passed is due at once.
    pub(crate) fn insert(&mut self, at: Mono, what: T) {
        // Rounded up: nothing fires early.
        let tick = at.as_millis().div_ceil(TICK_MILLIS).max(self.next_tick);
        let slot = slot_of(tick);
        if let Some(entries) = self.slots.get_mut(slot) {
            entries.push((at, what));
            self.set(slot, true);
        }
    }

    /// Takes everything due by `now`, oldest slot first.
    pub(crate) fn take_due(&mut self, now: Mono) -> Vec<(Mono, T)> {
        let mut due = Vec::new();
        let last_tick = now.as_millis() / TICK_MILLIS;
        let first_tick = self.next_tick;
        if last_tick < first_tick {
            return due;
        }
        for tick in first_tick..=last_tick.min(first_tick + SLOTS as u64 - 1) {
            self.take_slot(slot_of(tick), now, &mut due);
        }
        self.next_tick = last_tick + 1;
        due
    }

    /// The time of the first occupied slot, at the latest when its deadlines are due.
    pub(crate) fn next_due(&self) -> Option<Mono> {
        (0..SLOTS as u64)
            .map(|ahead| self.next_tick + ahead)
            .find(|tick| self.is_set(slot_of(*tick)))
            .map(|tick| Mono::from_millis(tick * TICK_MILLIS))
    }

    /// All deadlines, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Mono, T)> {
        self.visits.of(self.slots.iter().flatten())
    }

    /// The deadline furthest away.
    #[cfg(test)]
    pub(crate) fn latest(&self) -> Option<Mono> {
        self.iter().map(|(at, _)| *at).max()
    }

    fn take_slot(&mut self, slot: usize, now: Mono, due: &mut Vec<(Mono, T)>) {
        if !self.is_set(slot) {
            return;
        }
        let Some(entries) = self.slots.get_mut(slot) else {
            return;
        };
        let mut later = Vec::new();
        for (at, what) in self.visits.of(std::mem::take(entries).into_iter()) {
            if at <= now {
                due.push((at, what));
            } else {
                later.push((at, what));
            }
        }
        let is_left = !later.is_empty();
        *entries = later;
        self.set(slot, is_left);
    }

    fn set(&mut self, slot: usize, is_occupied: bool) {
        if let Some(word) = self.occupied.get_mut(slot / 64) {
            let bit = 1 << (slot % 64);
            if is_occupied { *word |= bit } else { *word &= !bit }
        }
    }

    fn is_set(&self, slot: usize) -> bool {
        self.occupied
            .get(slot / 64)
            .is_some_and(|word| word & (1 << (slot % 64)) != 0)
    }
}

fn slot_of(tick: u64) -> usize {
    usize::try_from(tick % SLOTS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Mono {
        Mono::from_millis(millis)
    }

    #[test]
    fn a_deadline_fires_once_and_never_early() {
        let mut wheel = Wheel::new(at(0));
        wheel.insert(at(100), "ping");
        assert!(wheel.take_due(at(99)).is_empty());
        assert_eq!(wheel.take_due(at(120)), vec![(at(100), "ping")]);
        assert!(wheel.take_due(at(100_000_000)).is_empty());
    }

    #[test]
    fn a_deadline_in_the_past_is_due_with_the_next_tick() {
        let mut wheel = Wheel::new(at(5_000));
        wheel.take_due(at(5_000));
        wheel.insert(at(10), "late");
        assert_eq!(wheel.take_due(at(5_000 + TICK_MILLIS)), vec![(at(10), "late")]);
    }

    #[test]
    fn an_empty_wheel_waits_for_nothing() {
        assert_eq!(Wheel::<()>::new(at(7)).next_due(), None);
    }

    proptest! {
        #[test]
        fn every_deadline_fires_in_time(
            deadlines in proptest::collection::vec(0_u64..400_000, 1..80),
            steps in proptest::collection::vec(1_u64..90_000, 1..40),
        ) {
            let mut wheel = Wheel::new(at(0));
            for deadline in &deadlines {
                wheel.insert(at(*deadline), *deadline);
            }
            let mut waiting = deadlines;
            let mut now = 0;
            for step in steps {
                if let Some(first) = waiting.iter().min() {
                    let next = wheel.next_due().map(Mono::as_millis);
                    prop_assert!(next.is_some_and(|next| next <= first + TICK_MILLIS), "{next:?} for {first}");
                }
                now += step;
                let mut fired: Vec<u64> = wheel.take_due(at(now)).into_iter().map(|(_, what)| what).collect();
                prop_assert!(fired.iter().all(|deadline| *deadline <= now));
                waiting.retain(|deadline| match fired.iter().position(|one| one == deadline) {
                    Some(index) => { fired.swap_remove(index); false }
                    None => true,
                });
                prop_assert!(fired.is_empty(), "fired twice: {fired:?}");
                prop_assert!(waiting.iter().all(|deadline| deadline + TICK_MILLIS > now), "{waiting:?} at {now}");
            }
        }
    }
}
