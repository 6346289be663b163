//! Tests of the store as its callers see it. What belongs to one implementation is tested beside that.

mod contract;
pub(in crate::store) mod fixture;
#[expect(unreachable_pub, reason = "shared with the black-box tests")]
#[path = "../../../../tests/src/ports.rs"]
mod ports;
#[expect(dead_code, unreachable_pub, reason = "shared with the black-box tests")]
#[path = "../../../../tests/src/postgres_server.rs"]
pub(in crate::store) mod postgres_server;
