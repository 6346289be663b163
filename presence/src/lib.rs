//! The rules of presence: types, state machine and wire messages, without I/O.
//!
//! Everything here is a function of its arguments. Time, ids and randomness come in as values; changes go out as values.
//! There is no clock, no randomness, no I/O and no runtime in this crate, and none may be added: that is what lets a test
//! replay a day in a millisecond, byte for byte.
//!
//! Two halves meet here. [`sessions`] turns the sessions of one user on *this node* into one [`Contribution`].
//! [`profile`] turns all contributions, the reports and the custom status into the record that watchers see, and decides
//! whether it must be published. The rule between them exists once, in [`rule`].

pub mod connection;
pub mod cursor;
pub mod durable_part;
pub mod explain;
pub mod grace_period;
pub mod node_name;
pub mod profile;
pub mod rate_limit;
pub mod replication;
pub mod report;
pub mod revision;
pub mod rule;
pub mod session_name;
pub mod sessions;
pub mod setter;
pub mod status;
pub mod stored;
pub mod time;
pub mod user_id;
pub mod wire;

pub use cursor::{Cursor, History, InvalidCursor};
pub use durable_part::{DurablePart, Preference, Version};
pub use grace_period::{GracePeriod, Predecessor};
pub use node_name::NodeName;
pub use profile::{Adopted, Audience, Freshness, Profile, Published};
pub use rate_limit::{Rate, SlidingWindow, TokenBucket};
pub use report::{Report, ReportInput, Source};
pub use revision::{Revision, RevisionClock};
pub use rule::{Decision, Reason, decide};
pub use session_name::SessionName;
pub use sessions::{Activity, Contribution, EndReason, IdleCause, SessionId, Sessions, Timers};
pub use setter::Setter;
pub use status::{Actor, CustomStatus, Status};
pub use time::{InvalidTime, Mono, Now, Reading, SystemWall, Wall};
pub use user_id::{InvalidUserId, USER_ID_MAX_BYTES, UserId};
