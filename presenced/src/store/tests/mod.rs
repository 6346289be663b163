//! Tests of the store as its callers see it. What belongs to one implementation is tested beside that.

mod contract;
pub(in crate::store) mod fixture;
