//! The dashboard in a real terminal: keys and clicks, the screen, and every byte written. `screen` parses the screen,
//! `control_sequences` checks the bytes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test program a failure is a failed test"
)]

mod actions;
mod cluster;
mod colours;
mod completions;
mod control_sequences;
mod event_stream;
#[expect(dead_code, reason = "the tests of `presencectl` itself use more of it")]
#[path = "../../../presencectl/tests/black_box/fake_daemon.rs"]
mod fake_daemon;
mod fixture;
mod help;
mod malicious_server;
mod questions;
mod reconnect;
mod resize;
mod screen;
mod search;
mod sorting;
mod tables;
mod terminal_restore;
mod untrusted_text;

/// The fake daemon, shared with the tests of `presencectl`, expects it here.
use presence_tests::DEADLINE;
