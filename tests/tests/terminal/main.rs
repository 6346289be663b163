//! The dashboard as an operator meets it: the real program in a real terminal, keys and clicks sent, the screen read, and every
//! byte it wrote. What the screen says is read in `reading`, what its bytes do in `bytes`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test program a failure is a failed test"
)]

mod acts;
mod bytes;
mod colours;
mod endings;
#[expect(dead_code, reason = "the tests of `presencectl` itself use more of it")]
#[path = "../../../presencectl/tests/blackbox/fake_daemon.rs"]
mod fake_daemon;
mod finding;
mod helps;
mod hostile;
mod hostile_server;
mod lost;
mod machine;
mod pauses;
mod reading;
mod scene;
mod sizes;
mod sorts;
