//! What goes over the wire: shapes as the contract names them, and hostile input that gets a code and changes nothing.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails"
)]

mod bodies;
mod client;
mod frames;
mod records;
mod strict;
mod times;
mod user_ids;
