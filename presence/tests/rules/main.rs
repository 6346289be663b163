//! The rules of presence against independent statements of them: the table, a naive model that recomputes everything from
//! the whole past, and a run that a seed replays. What goes over the wire is tested elsewhere.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod custom_status;
mod explain;
mod inputs;
mod load;
#[expect(dead_code, reason = "the random walk over the daemon uses some of it")]
mod naive;
mod past_activity;
mod person;
mod plain_rule;
mod profile;
mod properties;
mod replay;
mod restart;
mod resume;
mod revisions;
mod stories;
mod story;
mod table;
