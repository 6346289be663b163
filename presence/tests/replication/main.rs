//! Replication between nodes: the encoding, the merging, and a simulation of many nodes with a model of the scripts.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod contract;
mod contract_ends;
mod contract_lists;
mod cursors;
mod encoding;
mod large;
mod model;
mod model_contract;
mod model_lists;
mod simulation;
