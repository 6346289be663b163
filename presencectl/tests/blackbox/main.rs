//! `presencectl` as its users meet it: the real binary, its exit codes, and the bytes it prints, against a tiny fake
//! daemon that says what the test wants. What needs the real daemon is in the workspace's own test crate.
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
