//! Black-box tests of `presencectl`: the binary, its exit codes and its output, against a fake daemon. Tests that need
//! the real daemon are in the workspace's test crate.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests and what they are made of")]

mod commands;
mod contexts;
mod doctor;
mod errors;
mod events;
mod fake_daemon;
mod hostile;
mod machine;
mod simulate;
mod tokens;
mod watch;
