//! The only file of this program that reads clocks; everything else receives the time as an argument.

use std::time::Instant;

use presence::Wall;

#[expect(clippy::disallowed_methods, reason = "this is the file that reads clocks")]
pub(crate) fn wall() -> Wall {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Wall::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "this is the file that reads clocks")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}
