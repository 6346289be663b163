//! A user's presence as told, and who may see how much of it.

use serde::{Deserialize, Serialize};

use crate::revision::Revision;
use crate::rule::Reason;
use crate::status::{CustomStatus, Status};
use crate::time::Wall;
use crate::user_id::UserId;

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Viewer {
    /// Another user.
    Public,
    /// The user itself.
    Own,
    /// Internal callers and observers.
    Internal,
}

/// A user's presence as told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Who.
    pub user_id: UserId,
    /// What others see.
    pub status: Status,
    /// Since when the status holds; null for a user never seen.
    pub since: Option<Wall>,
    /// When the service last heard from the user; null if never.
    pub last_seen: Option<Wall>,
    /// When the user last did something; null if never.
    pub last_active: Option<Wall>,
    /// Grows with each published change.
    pub revision: Revision,
    /// Made without the store's answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub degraded: bool,
    /// May be behind because other nodes can't be heard.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// What the user asked to be shown as. For the user itself and internal callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_status: Option<CustomStatus>,
    /// Connections and reports. For the user itself and internal callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
    /// Why. For internal callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The nodes that hold connections. For internal callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<String>>,
}

impl Record {
    /// The record of a user never seen.
    #[must_use]
    pub fn never_seen(user_id: UserId, viewer: Viewer) -> Self {
        crate::Profile::default().record(&user_id, &[], viewer, crate::Freshness::Current)
    }
}

/// A user that was forgotten: drop what you have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// Who.
    pub user_id: UserId,
    /// Above every revision told of this user before.
    pub revision: Revision,
    /// Always true.
    pub removed: bool,
}

/// One entry of a snapshot or an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Update {
    /// The user was forgotten.
    Removed(Removed),
    /// The record as it now is.
    Record(Record),
}

impl Update {
    /// Whom it is about.
    #[must_use]
    pub const fn user_id(&self) -> &UserId {
        match self {
            Self::Removed(removed) => &removed.user_id,
            Self::Record(record) => &record.user_id,
        }
    }

    /// Its revision.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        match self {
            Self::Removed(removed) => removed.revision,
            Self::Record(record) => record.revision,
        }
    }
}
