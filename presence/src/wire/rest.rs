//! Request and response bodies of the REST API.

mod cluster;
mod explanation;
mod reload;
mod revocation;
mod tls;

use serde::{Deserialize, Deserializer, Serialize};

use super::error_code::Code;
use super::record::{Record, encode};
use crate::status::{CustomStatus, Status};
use crate::time::Wall;

pub use self::cluster::{
    ClusterStats, NodeErrorCode, NodeStats, NodesResponse, Persistence, RedisInfo, RedisStats, ReplicaStats,
};
pub use self::explanation::{
    Explain, ExplainGrace, ExplainNext, ExplainNode, ExplainPreference, ExplainSession, ReportCounts,
};
pub use self::reload::ReloadStats;
pub use self::revocation::{RevocationResponse, Revoke, RevokeResponse, UnreachedNode};
pub use self::tls::TlsStats;

/// The most user ids in one query.
pub const QUERY_MAX_IDS: usize = 1000;
/// The most records on one page of a listing.
pub const PAGE_MAX_RECORDS: usize = 1000;

/// An error response, `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Always `about:blank`: `code` identifies the kind of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// The reason phrase of the HTTP status.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable error code.
    pub code: Code,
    /// What is wrong with this request, for people; not stable.
    pub detail: String,
    /// The id of the request, as in the header `x-request-id`. The daemon's log has it in each line that the request caused.
    #[serde(default, rename = "requestId", skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// `PUT /api/user/custom-status`, request. Values are validated after parsing, so that an invalid one has its own error
/// code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetCustomStatus {
    /// ONLINE, IDLE or DO_NOT_DISTURB. Empty if it is missing or not a string.
    #[serde(default, deserialize_with = "string_or_empty")]
    pub custom_status: String,
    /// The author of the change: `user` (default) or `operator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Deserializes a value that is validated later. Anything but a string becomes the empty string, which is invalid too.
fn string_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(value) => value,
        _ => String::new(),
    })
}

/// `GET /api/user/custom-status/{userId}`, response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CustomStatusResponse {
    /// The custom status; ONLINE if none was ever set.
    pub custom_status: CustomStatus,
}

/// `POST /api/presence/query`, request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Query {
    /// The users to look up, at most [`QUERY_MAX_IDS`].
    pub user_ids: Vec<String>,
}

/// `POST /api/presence/query`, response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueryResponse {
    /// The server's wall clock.
    pub now: Wall,
    /// One record per id, in the order of the request.
    pub users: Vec<Record>,
}

impl QueryResponse {
    /// The response as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = encode::object_of_records(self.now, &self.users);
        text.push('}');
        text
    }
}

/// The number of present users by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Counts {
    /// Users with the status ONLINE.
    #[serde(rename = "ONLINE")]
    pub online: u64,
    /// Users with the status IDLE.
    #[serde(rename = "IDLE")]
    pub idle: u64,
    /// Users with the status DO_NOT_DISTURB.
    #[serde(rename = "DO_NOT_DISTURB")]
    pub do_not_disturb: u64,
}

impl Counts {
    /// Returns the number of all present users.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.online + self.idle + self.do_not_disturb
    }

    /// Returns the counter of a status; none for OFFLINE, whose users are not counted.
    pub const fn of(&mut self, status: Status) -> Option<&mut u64> {
        match status {
            Status::Online => Some(&mut self.online),
            Status::Idle => Some(&mut self.idle),
            Status::DoNotDisturb => Some(&mut self.do_not_disturb),
            Status::Offline => None,
        }
    }
}

/// `GET /api/presence`, response: one page of the present users, ordered by user id byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page {
    /// The server's wall clock.
    pub now: Wall,
    /// The records of this page.
    pub users: Vec<Record>,
    /// The cursor of the next page; null on the last page.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next: Option<String>,
    /// All present users by status, whatever the filter.
    pub counts: Counts,
}

impl Page {
    /// The response as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = encode::object_of_records(self.now, &self.users);
        text.push_str(r#","next":"#);
        match &self.next {
            Some(next) => encode::push_string(&mut text, next),
            None => text.push_str("null"),
        }
        for (before, count) in [
            (r#","counts":{"ONLINE":"#, self.counts.online),
            (r#","IDLE":"#, self.counts.idle),
            (r#","DO_NOT_DISTURB":"#, self.counts.do_not_disturb),
        ] {
            text.push_str(before);
            encode::push_number(&mut text, count);
        }
        text.push_str("}}");
        text
    }
}

/// One record, and the server's clock, against which clients read its times. The response of the calls that are about one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordResponse {
    /// The server's wall clock.
    pub now: Wall,
    /// Its fields stand beside `now`.
    pub record: Record,
}

impl RecordResponse {
    /// The response as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(encode::RECORD_BYTES);
        text.push_str(r#"{"now":"#);
        encode::push_time(&mut text, Some(self.now));
        text.push(',');
        self.record.encode_fields(&mut text);
        text.push('}');
        text
    }
}

/// `DELETE /api/presence/{userId}/sessions` and `DELETE /api/user/{userId}`, response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndedSessions {
    /// The number of connections and reports that were ended.
    pub ended: u64,
}

/// `DELETE /api/reports/{source}`, response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndedReports {
    /// The number of reports that this call ended.
    pub ended: u64,
    /// The cursor of the next call; null if all reports of the source are ended.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub next: Option<String>,
}

/// `GET /api/stats`, response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// The server's wall clock.
    pub now: Wall,
    /// The name of the node.
    pub node: String,
    /// The version of the daemon.
    pub version: String,
    /// The version of the database schema.
    pub schema_version: u32,
    /// Seconds since the daemon began to accept connections.
    pub uptime_seconds: u64,
    /// The present users by status.
    pub users: Counts,
    /// Sessions and subscriptions.
    pub sessions: SessionStats,
    /// Rates and delivery lag.
    pub rates: RateStats,
    /// The state of the store.
    pub store: StoreStats,
    /// Stalls of the process since its start.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub stalls: StallStats,
    /// Limits of the process.
    pub limits: LimitStats,
    /// Whether a proxy in front is named (`trusted-proxy`).
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub proxy_named: bool,
    /// The last reload of secrets, keys and settings; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<ReloadStats>,
    /// The certificate of the listeners; absent if they are plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsStats>,
    /// The cluster; absent if the node is alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterStats>,
}

/// The numbers of sessions and subscriptions of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionStats {
    /// Connections of users.
    pub connections: u64,
    /// Connections of observers.
    pub observers: u64,
    /// Reports that have not ended.
    pub reports: u64,
    /// Users that only a grace period keeps present.
    pub in_grace: u64,
    /// Connections that watch at least one user.
    pub watchers: u64,
    /// Pairs of watcher and watched user.
    pub watches: u64,
}

/// Rates and delivery lag over the last ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct RateStats {
    /// Published changes per second.
    pub changes_per_second: f64,
    /// Records delivered to watchers per second.
    pub deliveries_per_second: f64,
    /// Connections established per second.
    pub connects_per_second: f64,
    /// The mean time from a change to the write that carries it to its watchers, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub delivery_lag_seconds: f64,
    /// The longest such time, in seconds.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required))]
    pub delivery_lag_max_seconds: f64,
}

/// Times the process did not run for over a second: it was stopped, or the machine had no time for it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StallStats {
    /// How many there were.
    pub count: u64,
    /// When the last one ended; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Wall>,
    /// How long the last one took, in seconds.
    pub last_seconds: f64,
    /// How long the longest one took, in seconds.
    pub longest_seconds: f64,
}

/// The state of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct StoreStats {
    /// The kind of database: `sqlite` or `postgres`.
    pub kind: String,
    /// Whether the store accepts writes; `error` says why not.
    pub writable: bool,
    /// The failure that persists; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Users whose status or times wait for the write-behind, or in a cluster for the log.
    pub pending_writes: u64,
    /// The server of a PostgreSQL database, as it was when a connection was last made; absent for SQLite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<PostgresInfo>,
}

/// What a PostgreSQL server tells of itself. Settings that an engine of another make does not have are absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PostgresInfo {
    /// The version, as the server names it.
    pub version: String,
    /// Whether commits reach the disk (`fsync`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fsync: Option<bool>,
    /// Whether pages that a crash tears can be restored (`full_page_writes`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_page_writes: Option<bool>,
    /// Whether deleted and overwritten rows are cleaned up (`autovacuum`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autovacuum: Option<bool>,
    /// The standbys that must have a commit before it is acknowledged (`synchronous_standby_names`); empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronous_standbys: Option<String>,
    /// The most connections of all clients together (`max_connections`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
}

/// Limits of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LimitStats {
    /// The most connections that the daemon accepts.
    pub max_connections: u64,
    /// The soft limit on open files.
    pub open_files: u64,
}

/// `GET /healthz` and `GET /readyz`, response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// Whether there is no problem.
    pub ok: bool,
    /// The problems, for people.
    pub problems: Vec<String>,
    /// What is wrong without keeping the daemon from serving, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
