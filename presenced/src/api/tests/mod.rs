//! The API without sockets, on a real engine and store.

mod callers;
mod direct_lookups;
mod exceeded_limits;
mod fixture;
mod lookups;
mod metrics;
mod now;
mod openapi;
mod pages;
mod requests;
mod upgrades;
mod users;
