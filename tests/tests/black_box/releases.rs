//! Today's daemon and tool beside the release before them: its databases, its configuration, its clients, and all that it said, as
//! `scripts/previous-release` has recorded it. What a release had, a later one still has; it may have more.

mod archive;
mod client;
mod commands;
mod configuration;
mod conversation;
mod databases;
mod description;
mod shape;
mod steps;
