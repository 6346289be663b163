//! The engine with a real store and real sockets, without HTTP: what watchers are told, in which order, and what stays in
//! memory. The rules themselves are tested in the library.

mod activity;
mod clean_ends;
mod client;
mod clock_twins;
mod deadlines;
mod delivery;
mod durability;
mod end_reports;
mod ended_sessions;
pub(super) mod fixture;
mod full_users;
mod loading;
mod loops;
mod meeting;
mod memory_bounds;
mod published_changes;
mod races;
mod random;
mod resuming;
mod slow_links;
mod slow_requests;
mod starts;
mod stats;
mod stepped_delivery;
mod stepped_disk;
pub(super) mod stepped_engine;
mod stepped_users;
mod store_failures;
mod stored_clocks;
mod stress;
mod times;
mod token_clocks;
mod tombstones;
mod unknown_outcomes;
mod walk;
mod wrong_clocks;
