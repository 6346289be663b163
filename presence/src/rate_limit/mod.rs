//! Rate limits. [`TokenBucket`] allows bursts and takes sixteen bytes per key; [`SlidingWindow`] is exact over every
//! period and keeps one timestamp per event. Both are pure: the caller passes the time.

mod sliding_window;
mod token_bucket;

use std::time::Duration;

pub use sliding_window::SlidingWindow;
pub use token_bucket::TokenBucket;

/// A rate limit: `burst` units at once, refilled at `amount` units per `period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Units refilled in one period. Zero is treated as one.
    pub amount: u64,
    /// The refill period.
    pub period: Duration,
    /// The most units that can be taken at once. [`SlidingWindow`] ignores it.
    pub burst: u64,
}
