//! The client side: discovery, REST and WebSocket. No command builds a request or a header itself.

pub(crate) mod account;
pub(crate) mod backoff;
pub(crate) mod discover;
pub(crate) mod follower;
pub(crate) mod messages;
pub(crate) mod private_file;
mod problem;
pub(crate) mod recorded_daemon;
pub(crate) mod rest;
pub(crate) mod server_url;
mod stream;
pub(crate) mod tls;
pub(crate) mod websocket;
