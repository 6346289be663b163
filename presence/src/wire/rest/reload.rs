//! What a reload came to.

use serde::{Deserialize, Serialize};

use crate::time::Wall;

/// The last reload of secrets, keys and settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReloadStats {
    /// When it was done.
    pub at: Wall,
    /// Why nothing was changed; absent after a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was taken over because it differs: `secret`, `jwt-key` (the keys in the files) and names of settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// The settings that differ from those in effect and are taken over by a restart alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restart_needed: Vec<String>,
}
