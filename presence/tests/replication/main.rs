//! Replication between nodes: the encoding, the merging, and a simulation of many nodes with a model of the scripts.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod encoding;
mod model;
mod simulation;
