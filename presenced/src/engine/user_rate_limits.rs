//! Rate limits of users: how often a custom status is set, how often a change is published, and how many ids are looked at.

mod lookup_buckets;
mod windows;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use presence::{Mono, Rate, UserId};

use self::lookup_buckets::LookupBuckets;
use self::windows::Windows;
use super::{Engine, EngineError};
use crate::limits::CurrentLimits;

/// How long ids wait for their turn: beyond, the user is told to come again. Well within the time in which a client that
/// waits must answer a ping.
const LOOKUPS_WAIT_MAX: Duration = Duration::from_secs(5);

/// The rate limits of users.
pub(super) struct UserRateLimits {
    limits: Arc<CurrentLimits>,
    /// The custom statuses that each user set of late.
    windows: Mutex<Windows>,
    /// The changes that each user published of late: as many as custom statuses.
    published: Mutex<Windows>,
    /// The run ends: what changed is published whatever the limit says.
    is_lifted: AtomicBool,
    /// The ids that each user looked at of late.
    buckets: Mutex<LookupBuckets>,
}

impl UserRateLimits {
    pub(super) fn new(limits: Arc<CurrentLimits>) -> Self {
        Self {
            limits,
            windows: Mutex::default(),
            published: Mutex::default(),
            is_lifted: AtomicBool::new(false),
            buckets: Mutex::default(),
        }
    }

    /// How many custom statuses a user may set, and as many changes publish.
    fn custom_statuses(&self) -> Rate {
        self.limits.load().custom_statuses
    }

    /// Counts a custom status that a user sets, unless the limit is reached.
    pub(super) fn take_custom_status(&self, user: &UserId, now: Mono) -> Result<(), EngineError> {
        let taken = self.windows.lock().take(self.custom_statuses(), user, now);
        taken.map_err(|retry_after| EngineError::RateLimited { retry_after })
    }

    /// Counts a change that a user publishes, unless the limit is reached. When it may.
    pub(super) fn take_published_change(&self, user: &UserId, now: Mono) -> Result<(), Mono> {
        if self.is_lifted.load(Ordering::SeqCst) {
            return Ok(());
        }
        let taken = self.published.lock().take(self.custom_statuses(), user, now);
        taken.map_err(|wait| now.after(wait))
    }

    /// The user set a custom status over another node: the limit is one for all of them.
    pub(super) fn note_custom_status(&self, user: &UserId, now: Mono) {
        let _ = self.windows.lock().take(self.custom_statuses(), user, now);
    }

    /// The same of a change that another node published.
    pub(super) fn note_published_change(&self, user: &UserId, now: Mono) {
        let _ = self.published.lock().take(self.custom_statuses(), user, now);
    }

    /// To be called now and then: gives back the memory of what has not counted for a period.
    pub(super) fn forget_over(&self, now: Mono) {
        for windows in [&self.windows, &self.published] {
            let over = windows.lock().begin_period(self.custom_statuses(), now);
            // After the lock: it may be many.
            drop(over);
        }
    }

    /// How long ago a custom status still counts.
    pub(super) fn counts_for(&self) -> Duration {
        self.custom_statuses().period
    }

    /// What an operator does to the user is told at once.
    pub(super) fn forgive_published_changes(&self, user: &UserId) {
        self.published.lock().remove(user);
    }

    /// From now on every change is published.
    pub(super) fn lift(&self) {
        self.is_lifted.store(true, Ordering::SeqCst);
    }

    /// Counts ids that a user looks at. How long they must wait for their turn.
    fn reserve_lookups(&self, user: &UserId, count: usize, now: Mono) -> Result<Duration, EngineError> {
        let rate = self.limits.load().lookups;
        let mut buckets = self.buckets.lock();
        buckets
            .of(user, now)
            .reserve(rate, now, count as u64, LOOKUPS_WAIT_MAX)
            .map_err(|retry_after| EngineError::TooManyLookups { retry_after })
    }

    /// How many counts of ids were looked at so far, to find those that are over.
    #[cfg(test)]
    pub(super) fn visits(&self) -> u64 {
        self.buckets.lock().visits.count()
    }

    #[cfg(test)]
    pub(super) fn has_counted(&self, user: &UserId) -> bool {
        self.windows.lock().contains(user)
    }
}

impl Engine {
    /// Waits until the user may look at so many ids.
    pub(crate) async fn pace_lookups(&self, user: &UserId, count: usize) -> Result<(), EngineError> {
        let wait = self.limits.reserve_lookups(user, count, self.clock.mono())?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::lookup_buckets::BUCKETS_KEPT;
    use super::*;
    use crate::engine::tests::stepped_engine::Stepped;
    use crate::limits::Limits;

    const EVERY: Duration = Duration::from_secs(60);

    fn user(number: usize) -> UserId {
        UserId::new(&format!("user-{number}")).expect("a user id")
    }

    /// One custom status a minute, and ten ids.
    fn limits() -> UserRateLimits {
        let rate = |amount| Rate {
            amount,
            period: EVERY,
            burst: amount,
        };
        UserRateLimits::new(CurrentLimits::new(Limits {
            custom_statuses: rate(1),
            lookups: rate(10),
            ..Limits::default()
        }))
    }

    #[test]
    fn ids_beyond_the_limit_wait_or_are_refused_for_their_user_alone() {
        let (limits, now) = (limits(), Mono::from_millis(0));
        let reserve = |number, count| limits.reserve_lookups(&user(number), count, now);
        assert_eq!(reserve(1, 10), Ok(Duration::ZERO));
        let refused = Err(EngineError::TooManyLookups {
            retry_after: EVERY / 10,
        });
        assert_eq!(reserve(1, 1), refused);
        assert_eq!(reserve(2, 10), Ok(Duration::ZERO));
        let later = now.after(EVERY / 10 - LOOKUPS_WAIT_MAX);
        assert_eq!(limits.reserve_lookups(&user(1), 1, later), Ok(LOOKUPS_WAIT_MAX));
    }

    #[test]
    fn counts_of_ids_that_are_over_are_dropped() {
        let limits = limits();
        let mut now = Mono::from_millis(0);
        for number in 0..16 * BUCKETS_KEPT {
            now = now.after(EVERY / 16);
            assert_eq!(limits.reserve_lookups(&user(number), 10, now), Ok(Duration::ZERO));
        }
        assert!(limits.buckets.lock().len() <= BUCKETS_KEPT);
    }

    #[test]
    fn a_user_at_its_limit_stays_there_however_many_others_come() {
        let (limits, now) = (limits(), Mono::from_millis(0));
        for number in 0..4 * BUCKETS_KEPT {
            assert_eq!(limits.take_custom_status(&user(number), now), Ok(()));
        }
        for number in 0..4 * BUCKETS_KEPT {
            let limited = limits.take_custom_status(&user(number), now);
            assert!(matches!(limited, Err(EngineError::RateLimited { .. })), "{number}");
        }
    }

    #[test]
    fn a_change_beyond_the_limit_may_be_published_when_the_oldest_is_over() {
        let (limits, ann) = (limits(), user(1));
        assert_eq!(limits.take_published_change(&ann, Mono::from_millis(5)), Ok(()));
        let end = Mono::from_millis(5).after(EVERY);
        assert_eq!(limits.take_published_change(&ann, Mono::from_millis(9)), Err(end));
        assert_eq!(
            limits.take_custom_status(&ann, Mono::from_millis(9)),
            Ok(()),
            "a limit of its own"
        );
        assert_eq!(limits.take_published_change(&ann, end), Ok(()));
    }

    #[test]
    fn windows_that_are_over_are_dropped() {
        let limits = limits();
        let mut now = Mono::from_millis(0);
        for number in 0..16 * 64 {
            // At any moment only a few windows are in use.
            now = now.after(EVERY / 16);
            limits.forget_over(now);
            assert_eq!(limits.take_custom_status(&user(number), now), Ok(()));
            assert_eq!(limits.take_published_change(&user(number), now), Ok(()));
        }
        let kept = || [&limits.windows, &limits.published].map(|windows| windows.lock().count_and_room());
        assert!(kept().iter().all(|(count, _)| *count <= 32), "{:?}", kept());
        for _ in 0..2 {
            now = now.after(EVERY);
            limits.forget_over(now);
        }
        assert_eq!(kept(), [(0, 0); 2]);
    }

    #[tokio::test]
    async fn the_beat_of_the_timers_drops_windows_that_are_over() {
        let stepped = Stepped::new().await;
        let limits = &stepped.engine.limits;
        assert_eq!(limits.take_custom_status(&user(1), stepped.clock.mono()), Ok(()));
        for _ in 0..2 {
            assert!(limits.has_counted(&user(1)));
            stepped.clock.advance(limits.counts_for());
            stepped.beat();
        }
        assert!(!limits.has_counted(&user(1)));
    }
}
