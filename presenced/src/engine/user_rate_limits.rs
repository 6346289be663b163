//! Rate limits of users.

use parking_lot::Mutex;
use presence::{Mono, Rate, SlidingWindow, UserId};

use super::EngineError;

/// How many users' windows are kept before those that are over are dropped.
const WINDOWS_KEPT: usize = 1024;

/// The rate limits of users.
pub(super) struct UserRateLimits {
    custom_statuses: Rate,
    /// The custom statuses that each user set of late.
    windows: Mutex<hashbrown::HashMap<UserId, SlidingWindow>>,
}

impl UserRateLimits {
    pub(super) fn new(custom_statuses: Rate) -> Self {
        Self {
            custom_statuses,
            windows: Mutex::default(),
        }
    }

    /// Counts a custom status that a user sets, unless the limit is reached.
    pub(super) fn take_custom_status(&self, user: &UserId, now: Mono) -> Result<(), EngineError> {
        let mut windows = self.windows.lock();
        if windows.len() >= WINDOWS_KEPT && windows.len() == windows.capacity() {
            windows.retain(|_, window| !window.is_over(self.custom_statuses, now));
        }
        let window = windows.entry(user.clone()).or_default();
        window
            .take(self.custom_statuses, now)
            .map_err(|retry_after| EngineError::RateLimited { retry_after })
    }

    #[cfg(test)]
    pub(super) fn has_counted(&self, user: &UserId) -> bool {
        self.windows.lock().contains_key(user)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const EVERY: Duration = Duration::from_secs(60);

    fn user(number: usize) -> UserId {
        UserId::new(&format!("user-{number}")).expect("a user id")
    }

    /// One custom status a minute.
    fn limits() -> UserRateLimits {
        UserRateLimits::new(Rate {
            amount: 1,
            period: EVERY,
            burst: 1,
        })
    }

    #[test]
    fn a_user_at_its_limit_stays_there_however_many_others_come() {
        let (limits, now) = (limits(), Mono::from_millis(0));
        for number in 0..4 * WINDOWS_KEPT {
            assert_eq!(limits.take_custom_status(&user(number), now), Ok(()));
        }
        for number in 0..4 * WINDOWS_KEPT {
            let limited = limits.take_custom_status(&user(number), now);
            assert!(matches!(limited, Err(EngineError::RateLimited { .. })), "{number}");
        }
    }

    #[test]
    fn windows_that_are_over_are_dropped() {
        let limits = limits();
        let mut now = Mono::from_millis(0);
        for number in 0..16 * WINDOWS_KEPT {
            // At any moment only a few windows are in use.
            now = now.after(EVERY / 16);
            assert_eq!(limits.take_custom_status(&user(number), now), Ok(()));
        }
        let kept = limits.windows.lock().len();
        // The map may grow once beyond the bound, when its free places are tombstones.
        assert!(kept <= 4 * WINDOWS_KEPT, "{kept} windows");
    }
}
