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
