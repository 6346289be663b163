//! The wire format: documented shapes, and invalid input that is rejected with an error code.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on fails"
)]

mod activity;
mod client;
mod encoded_records;
mod frames;
mod records;
mod rest_bodies;
mod strict_json;
mod times;
mod user_ids;
