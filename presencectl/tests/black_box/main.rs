//! Black-box tests of `presencectl`: the binary, its exit codes and its output, against a fake daemon. Tests that need
//! the real daemon are in the workspace's test crate.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests and what they are made of")]

mod commands;
mod contexts;
mod doctor;
mod end_reports;
mod errors;
mod events;
mod fake_daemon;
mod online;
mod sandbox;
mod simulate;
mod simulate_limits;
mod tokens;
mod unknown_users;
mod untrusted_text;
mod watch;

use std::time::Duration;

/// Fails a test that waits longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
