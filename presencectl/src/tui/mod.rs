//! The live dashboard: `key`, `message` and `effect` are its edges, `model` its state, `update` what happens, `view` how it looks.
//! Everything that touches a terminal, a clock or a network is in `terminal`, `link` and `run`, and in nothing else.

pub(crate) mod backend;
pub(crate) mod effect;
pub(crate) mod event_loop;
mod export;
pub(crate) mod geometry;
pub(crate) mod key;
pub(crate) mod keymap;
pub(crate) mod layout;
pub(crate) mod message;
pub(crate) mod model;
pub(crate) mod snapshot;
pub(crate) mod terminal;
pub(crate) mod theme;
pub(crate) mod update;
pub(crate) mod view;
