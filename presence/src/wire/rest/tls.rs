//! What `GET /api/stats` tells of TLS.

use serde::{Deserialize, Serialize};

use crate::time::Wall;

/// The certificate that the listeners serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TlsStats {
    /// From when on it is valid.
    pub valid_from: Wall,
    /// When it expires.
    pub expires_at: Wall,
}
