//! The fixture of the black-box tests: real binaries on loopback, and clients that behave well, badly or not at all.
//!
//! A test speaks to `presenced` and `presencectl` as anybody outside could: over their ports, flags, files and signals.
//! Nothing of the daemon's inside is reached from here; of the library `presence` only the wire messages are used.
//! A fixture that can't do its work panics, which fails the test that asked for it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a fixture that fails must fail the test that uses it"
)]

pub mod binaries;
pub mod clock;
pub mod crowd;
pub mod ctl;
pub mod daemon;
pub mod frame;
pub mod process;
pub mod pty;
pub mod raw;
pub mod reports;
pub mod rest;
pub mod socket;
pub mod tmux;
pub mod tokens;
pub mod turn;
pub mod wait;

pub use daemon::Daemon;
pub use raw::Raw;
pub use rest::Rest;
pub use socket::Socket;
pub use tmux::Terminal;
pub use wait::{DEADLINE, wait_until};
