//! The dashboard as an operator meets it: the real program in a real terminal, keys and clicks sent, the screen read, and every
//! byte it wrote. What the screen says is read in `reading`, what its bytes do in `bytes`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test program a failure is a failed test"
)]

mod actions;
mod colours;
mod control_sequences;
mod event_stream;
#[expect(dead_code, reason = "the tests of `presencectl` itself use more of it")]
#[path = "../../../presencectl/tests/blackbox/fake_daemon.rs"]
mod fake_daemon;
mod fixture;
mod help;
mod machine;
mod malicious_server;
mod reconnect;
mod resize;
mod screen;
mod search;
mod sorting;
mod terminal_restore;
mod untrusted_text;
