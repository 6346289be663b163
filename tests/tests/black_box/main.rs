//! The black-box tests, in one program so that it is linked once. What they share is the fixture in `src/`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test program a failure is a failed test"
)]

mod autobahn;
mod callers;
mod choices;
mod crowds;
mod ctl;
mod delivery;
mod faults;
mod files;
mod frames;
mod grace;
mod kills;
mod limits;
mod messages;
mod reports;
mod requests;
mod restarts;
mod sessions;
mod signs;
mod silence;
mod story;
mod tokens;
mod user_ids;
