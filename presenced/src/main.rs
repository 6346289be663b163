//! `presenced`: the presence daemon.

mod api;
mod auth;
mod clock;
mod config;
mod directory;
mod engine;
mod gateway;
mod hub;
mod server;
mod store;

fn main() {}
