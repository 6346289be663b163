//! The gateway with real sockets, from the handshake to the last byte, on an engine and a store of its own.

mod client;
mod closes;
mod fixture;
mod frames;
mod handshakes;
mod lookups;
mod messages;
mod resume;
mod revocations;
mod timing;

pub(super) use client::text;
pub(super) use fixture::GatewayFixture;
