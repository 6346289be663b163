//! Why a user is shown so: the response of `explain`.

use serde::{Deserialize, Serialize};

use crate::rule::Reason;
use crate::sessions::{Activity, IdleCause};
use crate::status::{Actor, CustomStatus, Status};
use crate::time::Wall;
use crate::user_id::UserId;

/// `GET /api/presence/{userId}/explain`, response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Explain {
    /// The server's wall clock.
    pub now: Wall,
    /// The user that is explained.
    pub user_id: UserId,
    /// The status as others see it.
    pub status: Status,
    /// The number of the rule that decided, 1 to 5.
    pub rule: u8,
    /// The reason that the rule gives.
    pub reason: Reason,
    /// Whether all this was made without the store's answer, so that the custom status may be wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degraded: bool,
    /// The connections on all nodes, oldest first, then the reports.
    pub sessions: Vec<ExplainSession>,
    /// What the user's sessions on other nodes add up to; absent if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<ExplainNode>,
    /// The grace period of lost sessions; null if there is none.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub grace: Option<ExplainGrace>,
    /// The custom status.
    pub choice: ExplainPreference,
    /// Tokens of the user that were issued before this are refused; absent if no operator has revoked any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_revoked_before: Option<Wall>,
    /// The timers that will change the status if nothing else happens, soonest first.
    pub next: Vec<ExplainNext>,
}

/// What the user's sessions on one other node add up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExplainNode {
    /// The name of the node.
    pub node: String,
    /// How many connections are open there.
    pub connections: u32,
    /// Whether they count as idle.
    pub idle: bool,
    /// The grace period of sessions that were lost there, or of all of them if the node is gone; null if there is none.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub grace: Option<ExplainGrace>,
    /// Why its connections are not among the sessions, for people: the node did not tell them. Absent if it did, or has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One session of an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExplainSession {
    /// The session id: of a report `report:` and its source.
    pub session_id: String,
    /// The node that holds the connection; null for a report.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub node: Option<String>,
    /// When the session started.
    pub since: Wall,
    /// When the server last received anything from the session.
    pub last_heard: Wall,
    /// When the session last reported activity; null if it never did.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub last_active: Option<Wall>,
    /// Whether the session counts as idle.
    pub idle: bool,
    /// The activity that the session counts with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<Activity>,
    /// The source of the report; absent for a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The status that the report says; absent for a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<CustomStatus>,
    /// Whether what the report says counts, or why not; absent for a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<ReportCounts>,
    /// Why a connection counts as idle; absent if it does not, and for a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_cause: Option<IdleCause>,
    /// Since when the client says that it is idle, or when it last reported activity if it is silent; else absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<Wall>,
    /// When an active connection becomes idle if it reports no activity until then; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_at: Option<Wall>,
    /// Until when a connection that has not reported activity counts as the lost sessions did; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_until: Option<Wall>,
    /// When the lifetime of a report ends; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Wall>,
}

/// Whether what a report says counts. It keeps the user present in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReportCounts {
    /// What it says counts.
    Yes,
    /// A custom status was set since the report first said this.
    OlderThanCustomStatus,
    /// The custom status decides before it: an earlier rule.
    CustomStatusFirst,
}

/// The grace period of an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExplainGrace {
    /// When the grace period ends.
    pub until: Wall,
    /// Whether the lost sessions were idle.
    pub idle: bool,
    /// How many of them no session has continued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
}

/// The custom status of an explanation, with who set it and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExplainPreference {
    /// The custom status; ONLINE if none was ever set.
    pub custom_status: CustomStatus,
    /// When the custom status was set; null if never.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub set_at: Option<Wall>,
    /// The author of the custom status; null if it was never set.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub set_by: Option<Actor>,
    /// Until when a custom status that the user set by a request counts like an active session; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_until: Option<Wall>,
}

/// A timer that will change the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExplainNext {
    /// When the timer fires.
    pub at: Wall,
    /// The status that follows and the reason, for people; not stable.
    pub why: String,
}
