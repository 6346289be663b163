//! The presence record as it is delivered, and which of its fields each kind of viewer may see.

pub(in crate::wire) mod encode;

use serde::{Deserialize, Serialize};

use crate::revision::Revision;
use crate::rule::Reason;
use crate::status::{Actor, CustomStatus, Status};
use crate::time::Wall;
use crate::user_id::UserId;

/// The kind of recipient of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Viewer {
    /// Another user: sees the public fields.
    Public,
    /// The user itself: also sees `customStatus` and `sessions`.
    Own,
    /// Internal callers and observers: also see who set the custom status, `reason` and `nodes`.
    Internal,
}

/// The presence record of one user. Fields that the viewer may not see are absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The user of the record.
    pub user_id: UserId,
    /// The status as others see it.
    pub status: Status,
    /// When the status last changed; null for a user never seen.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub since: Option<Wall>,
    /// When the service last received anything from the user; null if never.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub last_seen: Option<Wall>,
    /// When the user was last active; null if never. Never later than last seen.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub last_active: Option<Wall>,
    /// The version of the record; grows with each published change.
    pub revision: Revision,
    /// Whether the record was made without the store's answer, so that the custom status may be wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degraded: bool,
    /// Whether the record may be out of date because other nodes can't be reached.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// The custom status. For the user itself and internal callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_status: Option<CustomStatus>,
    /// Who set the custom status; absent if nobody did. For internal callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_status_set_by: Option<Actor>,
    /// The number of connections and reports, without grace periods. For the user itself and internal callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
    /// The rule that decided the status. For internal callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The names of the nodes that hold connections of the user, sorted. For internal callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<String>>,
}

impl Record {
    /// Makes the record of a user that was never seen: OFFLINE, null times, revision 0.
    #[must_use]
    pub fn never_seen(user_id: UserId, viewer: Viewer) -> Self {
        crate::Profile::default().record(&user_id, &[], viewer, crate::Freshness::Current)
    }

    /// The latest of its times: the server's `now` beside it is not before.
    #[must_use]
    pub fn latest_time(&self) -> Option<Wall> {
        self.since.max(self.last_seen).max(self.last_active)
    }
}

/// The removal of a forgotten user: the recipient drops its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// The forgotten user.
    pub user_id: UserId,
    /// The revision of the removal, above every one published of this user before.
    pub revision: Revision,
    /// Always true; tells a removal from a record.
    pub removed: bool,
}

/// One entry of `users` in a `snapshot` or `presence` message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Update {
    /// The user was forgotten.
    Removed(Removed),
    /// The current record.
    Record(Record),
}

impl Update {
    /// Returns the user that the update is about.
    #[must_use]
    pub const fn user_id(&self) -> &UserId {
        match self {
            Self::Removed(removed) => &removed.user_id,
            Self::Record(record) => &record.user_id,
        }
    }

    /// Returns the revision of the update.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        match self {
            Self::Removed(removed) => removed.revision,
            Self::Record(record) => record.revision,
        }
    }
}
