//! The body of an error response: problem details as in RFC 9457, with presenced's error code.

use serde::Deserialize;

/// Read leniently: a newer daemon may send codes that this version doesn't know.
#[derive(Deserialize)]
pub(super) struct ProblemDetails {
    pub(super) code: String,
    #[serde(default)]
    pub(super) detail: String,
}
