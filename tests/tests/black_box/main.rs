//! The black-box tests, in one program so that it is linked once. The fixture is in `src/`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "in a test program a failure is a failed test"
)]

mod authentication;
mod autobahn;
mod cluster;
mod cluster_doctor;
mod cluster_explain;
mod cluster_faults;
mod cluster_limits;
mod cluster_lists;
mod cluster_load;
mod cluster_nodes;
mod cluster_resume;
mod cluster_revocation;
mod cluster_stale;
mod containers;
mod crash_recovery;
mod custom_status;
mod data_directory;
mod database_lock;
mod delivery;
mod demo;
mod deploy;
mod drain;
mod end_to_end;
mod faults;
mod grace_period;
mod imports;
mod jwt;
mod keepalive;
mod key_rotation;
mod limits;
mod load;
mod observability;
mod openapi;
mod postgres;
mod presencectl;
mod proxies;
mod readme;
mod redis;
mod redis_cluster;
mod releases;
mod reload;
mod reports;
mod request_ids;
mod rest_requests;
mod restart;
mod revocation;
mod rolling_restart;
mod service_manager;
mod sessions;
mod signing_samples;
mod stalled_http;
mod tls;
mod tls_abuse;
mod tls_memory;
mod tls_nodes;
mod tls_presencectl;
mod user_ids;
mod websocket_frames;
mod websocket_messages;
