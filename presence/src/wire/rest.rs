//! Bodies of the REST calls.

use serde::{Deserialize, Deserializer, Serialize};

use super::code::Code;
use super::record::Record;
use crate::rule::Reason;
use crate::status::{Actor, CustomStatus, Status};
use crate::time::Wall;
use crate::user_id::UserId;

/// Most ids in one query.
pub const QUERY_MAX_IDS: usize = 1000;
/// Most records on one page of a listing.
pub const PAGE_MAX_RECORDS: usize = 1000;

/// An error, as `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Always `about:blank`: the code tells the kinds apart.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: Code,
    /// What is wrong with this request, for people.
    pub detail: String,
}

/// `PUT /api/user/custom-status`. The words are checked after parsing, so that a wrong one has its own code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetCustomStatus {
    /// ONLINE, IDLE or DO_NOT_DISTURB. Empty if it is missing or no string at all.
    #[serde(default, deserialize_with = "word")]
    pub custom_status: String,
    /// `user` (default) or `operator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A word that is checked later: what is no string is no known word either, and gets the code of one.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(word) => word,
        _ => String::new(),
    })
}

/// `GET /api/user/custom-status/{userId}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CustomStatusAnswer {
    /// The custom status.
    pub custom_status: CustomStatus,
}

/// `PUT /api/user/realtime`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PutReport {
    /// ONLINE, IDLE, DO_NOT_DISTURB or OFFLINE.
    pub status: String,
    /// Whether the user did something.
    #[serde(default)]
    pub update_last_active: bool,
    /// Whose word it is; `gateway` if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// For how long it holds, 1 to 86,400 s; for ever if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u64>,
}

/// `POST /api/presence/query`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    /// Whom, at most [`QUERY_MAX_IDS`].
    pub user_ids: Vec<String>,
}

/// The answer to a query, in the order asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryAnswer {
    /// The server's clock.
    pub now: Wall,
    /// One record for each id.
    pub users: Vec<Record>,
}

/// Users by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Shown ONLINE.
    #[serde(rename = "ONLINE")]
    pub online: u64,
    /// Shown IDLE.
    #[serde(rename = "IDLE")]
    pub idle: u64,
    /// Shown DO_NOT_DISTURB.
    #[serde(rename = "DO_NOT_DISTURB")]
    pub do_not_disturb: u64,
}

impl Counts {
    /// Everyone present.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.online + self.idle + self.do_not_disturb
    }

    /// The counter of a status that is shown of the present; none for OFFLINE.
    pub const fn of(&mut self, status: Status) -> Option<&mut u64> {
        match status {
            Status::Online => Some(&mut self.online),
            Status::Idle => Some(&mut self.idle),
            Status::DoNotDisturb => Some(&mut self.do_not_disturb),
            Status::Offline => None,
        }
    }
}

/// `GET /api/presence`: a page of who is present, by user id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The server's clock.
    pub now: Wall,
    /// The records of this page.
    pub users: Vec<Record>,
    /// Where the next page begins; null at the end.
    pub next: Option<String>,
    /// Everyone present by status, whatever the filter.
    pub counts: Counts,
}

/// `DELETE /api/presence/{userId}/sessions` and `DELETE /api/user/{userId}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Connections and reports ended.
    pub ended: u64,
}

/// `GET /api/presence/{userId}/explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explain {
    /// The server's clock.
    pub now: Wall,
    /// Who.
    pub user_id: UserId,
    /// What others see.
    pub status: Status,
    /// Which rule decided, 1 to 5.
    pub rule: u8,
    /// Why.
    pub reason: Reason,
    /// Connections, oldest first, then reports.
    pub sessions: Vec<ExplainSession>,
    /// What is left of lost sessions.
    pub grace: Option<ExplainGrace>,
    /// What the user asked for.
    pub choice: ExplainChoice,
    /// The timers that will change the status, soonest first, if nothing else happens.
    pub next: Vec<ExplainNext>,
}

/// One session of an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainSession {
    /// Its name.
    pub session_id: String,
    /// The node that holds it; none for a report.
    pub node: Option<String>,
    /// When it began.
    pub since: Wall,
    /// When it was last heard.
    pub last_heard: Wall,
    /// When it last spoke of the user doing something; null if it never did.
    pub last_active: Option<Wall>,
    /// Whether it counts as idle.
    pub idle: bool,
    /// Whose report it is; absent for a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When it will count as idle if it reports no activity until then; absent where it won't by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_at: Option<Wall>,
    /// When it ends by itself; absent where it doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Wall>,
}

/// The grace of an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainGrace {
    /// When it ends.
    pub until: Wall,
    /// Whether what was lost was idle.
    pub idle: bool,
}

/// The custom status of an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainChoice {
    /// The custom status.
    pub custom_status: CustomStatus,
    /// When it was set; null if never.
    pub set_at: Option<Wall>,
    /// Who set it; null if nobody did.
    pub set_by: Option<Actor>,
}

/// A timer that will change the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainNext {
    /// When.
    pub at: Wall,
    /// To what, and why.
    pub why: String,
}

/// `GET /api/stats`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// The server's clock.
    pub now: Wall,
    /// The node that answers.
    pub node: String,
    /// Of the daemon.
    pub version: String,
    /// Of the database schema.
    pub schema_version: u32,
    /// Since the daemon began to accept.
    pub uptime_seconds: u64,
    /// Everyone present by status.
    pub users: Counts,
    /// What is open.
    pub sessions: SessionStats,
    /// How fast things happen.
    pub rates: RateStats,
    /// How the store does.
    pub store: StoreStats,
    /// The limits that a client or an operator runs into.
    pub limits: LimitStats,
}

/// Sessions and watchers of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionStats {
    /// Users' WebSockets.
    pub connections: u64,
    /// Observers' WebSockets.
    pub observers: u64,
    /// Reports that hold.
    pub reports: u64,
    /// Users in grace with nothing else.
    pub in_grace: u64,
    /// Connections that watch somebody, and watches in all.
    pub watchers: u64,
    /// Pairs of watcher and watched user.
    pub watches: u64,
}

/// Events per second, over the last ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateStats {
    /// Published changes.
    pub changes_per_second: f64,
    /// Records delivered to watchers.
    pub deliveries_per_second: f64,
    /// Connections made.
    pub connects_per_second: f64,
    /// From a change to the write that carries it to its watchers, on average, in seconds.
    #[serde(default)]
    pub delivery_lag_seconds: f64,
    /// The longest of them, in seconds.
    #[serde(default)]
    pub delivery_lag_max_seconds: f64,
}

/// How the store does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreStats {
    /// Which: `sqlite`.
    pub kind: String,
    /// Whether it can write; if not, why is in `error`.
    pub writable: bool,
    /// The last failure that still stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Users whose status waits to be written.
    pub pending_writes: u64,
}

/// Limits worth knowing from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LimitStats {
    /// Most connections this daemon accepts.
    pub max_connections: u64,
    /// The process's limit on open files.
    pub open_files: u64,
}

/// `GET /healthz` and `GET /readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether all is well.
    pub ok: bool,
    /// What is not.
    pub problems: Vec<String>,
}
