//! What must hold of the sources themselves, beyond what the compiler and clippy see.
#![expect(clippy::unwrap_used, reason = "in a test program a failure is a failed test")]

mod dashboard;
mod documents;
mod engine;
mod habits;
mod items;
mod modules;
mod names;
mod size;
mod sources;
mod vocabulary;
mod walls;
