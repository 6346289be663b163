//! The engine with a real store and real sockets, without HTTP: what watchers are told, in which order, and what stays in
//! memory. The rules themselves are tested in the library.

mod delivery;
mod durability;
mod failures;
mod figures;
mod fixture;
mod hammer;
mod interleavings;
mod own_time;
mod races;
pub(super) mod stepped;
mod times;
