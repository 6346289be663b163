//! The fixture of the black-box tests: the real programs on loopback, and well-behaved, faulty and stalled clients.
//!
//! Tests use `presenced` and `presencectl` through ports, flags, files and signals only; of the library `presence` they
//! use the wire messages. The fixture panics on errors, which fails the test.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a fixture that fails must fail the test that uses it"
)]
#![expect(missing_docs, reason = "no public API: only what a name does not say is documented")]

pub mod balancer;
pub mod bare_node;
pub mod binaries;
pub mod catch_up;
pub mod certificates;
pub mod clean_up;
pub mod clock;
pub mod cluster;
pub mod cluster_cost;
pub mod cluster_load;
pub mod cluster_phase;
pub mod connection_load;
pub mod container;
pub mod control;
pub mod daemon;
pub mod file_lock;
pub mod frame;
pub mod greedy_user;
pub mod jwt;
pub mod keep_alive;
pub mod lateness;
pub mod lister;
pub mod many_users;
pub mod poller;
pub mod ports;
pub mod postgres_server;
pub mod presencectl;
pub mod process;
pub mod proxy;
pub mod pty;
pub mod raw_client;
pub mod recorder;
pub mod recording_upstream;
pub mod redis_cluster;
pub mod redis_server;
pub mod report_load;
pub mod responsiveness;
pub mod rest;
pub mod reverse_proxy;
pub mod tls_tunnel;
pub mod tmux;
pub mod topology;
pub mod wait;
pub mod websocket;

pub use cluster::Cluster;
pub use daemon::Daemon;
pub use raw_client::RawClient;
pub use rest::Rest;
pub use tmux::Terminal;
pub use wait::{DEADLINE, wait_until};
pub use websocket::Socket;
