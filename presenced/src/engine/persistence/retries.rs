//! What must be read from the store again: profiles that could not be loaded, and users with a durable write whose outcome
//! is unknown. Each keeps its user in memory until the store has answered.

use std::collections::VecDeque;

use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use presence::Mono;

use crate::connection::user_pin::{UserPin, UserRef};

/// What a durable write was to do that may be done or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum UnknownOutcome {
    /// To store a custom status, or to store or end a report.
    Change,
    /// To forget the user.
    Forget,
}

/// For how long a row that can't be understood is left alone after it was read in vain: this at first, twice as long each
/// time, and at most [`POSTPONED_MAX`].
const POSTPONED: Duration = Duration::from_secs(2);
/// How late a row is shown that somebody has mended, at most.
const POSTPONED_MAX: Duration = Duration::from_secs(60);

/// Users whose profile could not be loaded.
#[derive(Default)]
pub(in crate::engine) struct PendingLoads(Mutex<HashMap<UserPin, Option<Postponed>>>);

/// A row that can't be understood is read again later, and less and less often.
#[derive(Debug, Clone, Copy)]
struct Postponed {
    until: Mono,
    by: Duration,
}

impl PendingLoads {
    /// One that is there already stays postponed.
    pub(in crate::engine) fn push(&self, user: UserPin) {
        self.0.lock().entry(user).or_insert(None);
    }

    /// All of them, which stay until [`Self::finish`].
    pub(in crate::engine) fn all(&self) -> Vec<UserPin> {
        self.0.lock().keys().cloned().collect()
    }

    /// Those that were postponed, due or not.
    pub(in crate::engine) fn postponed(&self) -> Vec<UserPin> {
        let users = self.0.lock();
        let postponed = users.iter().filter(|(_, postponed)| postponed.is_some());
        postponed.map(|(user, _)| user.clone()).collect()
    }

    /// Those that are to be loaded by now.
    pub(in crate::engine) fn due(&self, now: Mono) -> Vec<UserPin> {
        let users = self.0.lock();
        let due = users
            .iter()
            .filter(|(_, postponed)| postponed.is_none_or(|one| one.until <= now));
        due.map(|(user, _)| user.clone()).collect()
    }

    /// The row was read, and can't be understood.
    pub(in crate::engine) fn postpone(&self, user: &UserPin, now: Mono) {
        if let Some(postponed) = self.0.lock().get_mut(user) {
            let by = postponed.map_or(POSTPONED, |last| (2 * last.by).min(POSTPONED_MAX));
            *postponed = Some(Postponed {
                until: now.after(by),
                by,
            });
        }
    }

    /// The user was loaded.
    pub(in crate::engine) fn finish(&self, user: &UserPin) {
        let mut users = self.0.lock();
        users.remove(user);
        if users.is_empty() {
            *users = HashMap::new();
        }
    }

    pub(in crate::engine) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// Users with a durable write that may be done or not, in the order in which they are settled.
#[derive(Default)]
pub(in crate::engine) struct UnknownOutcomes {
    writes: Mutex<VecDeque<(UserPin, UnknownOutcome)>>,
    /// Whether settling ever began.
    #[cfg(test)]
    was_begun: std::sync::atomic::AtomicBool,
}

impl UnknownOutcomes {
    pub(in crate::engine) fn push(&self, user: UserPin, write: UnknownOutcome) {
        self.writes.lock().push_back((user, write));
    }

    pub(in crate::engine) fn first(&self) -> Option<(UserPin, UnknownOutcome)> {
        self.writes.lock().front().cloned()
    }

    /// The outcome of the first one is known.
    pub(in crate::engine) fn finish(&self) {
        self.writes.lock().pop_front();
    }

    /// The outcome of the first one is still unknown. It goes last, so that one failing user does not block the others.
    pub(in crate::engine) fn postpone(&self) {
        let mut writes = self.writes.lock();
        if !writes.is_empty() {
            writes.rotate_left(1);
        }
    }

    /// Whether the disk may have a write of the user that is not in memory.
    pub(in crate::engine) fn concerns(&self, user: UserRef) -> bool {
        self.writes.lock().iter().any(|(pin, _)| pin.user() == user)
    }

    #[cfg(test)]
    pub(in crate::engine) fn begin(&self) {
        self.was_begun.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    #[cfg(test)]
    pub(in crate::engine) fn was_begun(&self) -> bool {
        self.was_begun.load(std::sync::atomic::Ordering::SeqCst)
    }

    pub(in crate::engine) fn len(&self) -> usize {
        self.writes.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::connection::user_pin::{PinCount, ReleasedUsers};

    fn user(slot: usize) -> UserRef {
        UserRef::new(0, slot)
    }

    fn pin(slot: usize) -> UserPin {
        PinCount::new(user(slot), Arc::<ReleasedUsers>::default()).pin()
    }

    #[test]
    fn a_load_is_pending_until_it_is_finished() {
        let loads = PendingLoads::default();
        loads.push(pin(1));
        loads.push(pin(2));
        assert_eq!((loads.all().len(), loads.len()), (2, 2));
        loads.finish(&pin(1));
        assert_eq!(loads.all(), [pin(2)]);
    }

    #[test]
    fn a_row_that_stays_unreadable_is_read_less_and_less_often() {
        let (loads, mut now) = (PendingLoads::default(), Mono::from_millis(0));
        loads.push(pin(1));
        loads.push(pin(2));
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            loads.postpone(&pin(1), now);
            assert_eq!((loads.all().len(), loads.postponed()), (2, vec![pin(1)]));
            now = now.after(Duration::from_secs(seconds) - Duration::from_millis(1));
            assert_eq!(loads.due(now), [pin(2)], "{seconds}");
            now = now.after(Duration::from_millis(1));
            assert_eq!(loads.due(now).len(), 2, "{seconds}");
        }
        loads.finish(&pin(1));
        loads.postpone(&pin(1), now);
        assert_eq!(loads.all(), [pin(2)]);
    }

    #[test]
    fn a_postponed_unknown_outcome_is_settled_after_the_others() {
        let writes = UnknownOutcomes::default();
        writes.postpone();
        writes.push(pin(1), UnknownOutcome::Forget);
        writes.push(pin(2), UnknownOutcome::Change);
        assert!(writes.concerns(user(1)) && writes.concerns(user(2)) && !writes.concerns(user(3)));
        writes.postpone();
        assert_eq!(writes.first(), Some((pin(2), UnknownOutcome::Change)));
        writes.finish();
        assert_eq!(
            (writes.first(), writes.len()),
            (Some((pin(1), UnknownOutcome::Forget)), 1)
        );
        assert!(!writes.concerns(user(2)));
    }
}
