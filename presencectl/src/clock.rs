//! The one file of this program that reads clocks; everything else is given the time.

use std::time::Instant;

use presence::Wall;

/// What the wall clock of this machine says.
#[expect(clippy::disallowed_methods, reason = "this is the file that reads clocks")]
pub(crate) fn wall() -> Wall {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Wall::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// A moment to measure from.
#[expect(clippy::disallowed_methods, reason = "this is the file that reads clocks")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}
