//! The node's side of a cluster, as pure code: what a node offers, how it follows the log of changes, and what it concludes
//! when the cluster can't be reached or other nodes fall silent. Everything here is about one *partition* of the users;
//! partitions share nothing.
//!
//! The other side is a few operations on one partition, as values: [`Call`] with its [`Answer`], and [`Question`] with its
//! [`Reply`]. They are scripts and commands in Redis, and a model in the tests. To them a state is opaque bytes: merging,
//! rules and limits exist once, here. No key, no script and no connection lives here.

mod adopting;
mod applying;
mod build;
mod bytes;
mod call;
mod clock;
mod continuing;
mod draining;
mod effect;
mod follower;
mod following;
mod history;
mod leases;
mod listing;
mod log;
mod name_clash;
mod names;
mod node_info;
mod partition;
mod publisher;
mod publishing;
mod reachability;
mod replica;
mod scanning;
mod settings;
mod state;
mod state_bytes;
mod stored_times;
mod telling;
mod timers;
mod views;
mod wanting;

pub use build::Knowledge;
pub use bytes::{FORMAT, InvalidBytes};
pub use call::{
    Answer, CALL_USERS_MAX, Call, Caller, ENDS_KEPT, ListOutcome, Listed, ListedCustom, Listing, Outcome,
    TIME_MAX_MICROS, UserOffer,
};
pub use clock::{CLOCK_FOLLOWS_FROM_MS, CLOCKS_DIFFER_MAX};
pub use continuing::FreedPlace;
pub use effect::Effect;
pub use history::{CURSOR_KEPT, cluster_cursor, resumes};
pub use listing::ChosenPage;
pub use log::{Content, Entry, KeptEnd, PAGE_FIELDS, Question, READ_ENTRIES_MAX, READ_WAIT, Reply, StatePage};
pub use names::{ConnectionNumber, Epoch, Incarnation, InvalidName, partition_of, stable_hash};
pub use node_info::{
    DrainOrder, MovedTimes, NodeInfo, NodeLoad, ObeyedOrder, TICK_FULL_MAX, TICK_TIMES_MAX, Tick, ToldOrder,
};
pub use partition::{Input, Partition, Start};
pub use settings::{
    GRACE_LATE, OFFLINE_HOLD, REPORT_LATE, Rule, SILENT_AFTER_TICKS, Settings, TICKS_PER_LEASE, UNREACHABLE_AFTER,
};
pub use state::{Command, CommandKind, Share, SharedPart, State};
pub use views::Member;
