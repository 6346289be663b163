//! The live dashboard. `key`, `message` and `effect` are its interface, `model` its state, `update` the transitions,
//! `view` the drawing. Only `terminal`, `backend`, `export` and `event_loop` touch a terminal, a clock, a file or a
//! network.

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
