//! The body of an error response: problem details as in RFC 9457, with presenced's error code; and why there is no response.

use std::error::Error;

use reqwest::Method;
use serde::Deserialize;

/// Read leniently: a newer daemon may send codes that this version doesn't know.
#[derive(Deserialize)]
pub(super) struct ProblemDetails {
    pub(super) code: String,
    #[serde(default)]
    pub(super) detail: String,
    /// By which the daemon's log names the request; an older daemon has none.
    #[serde(default, rename = "requestId")]
    request_id: Option<String>,
}

impl ProblemDetails {
    /// What stands behind the detail: the code, and the id of the request.
    pub(super) fn reference(&self) -> String {
        match &self.request_id {
            Some(id) => format!("({}, request {id})", self.code),
            None => format!("({})", self.code),
        }
    }

    /// What helps, if this version knows the code.
    pub(super) fn advice(&self, method: &Method) -> Option<&'static str> {
        Some(match self.code.as_str() {
            "store_unavailable" => match *method {
                Method::PUT | Method::DELETE => {
                    "the change was not acknowledged; `presencectl doctor` reports the store's error"
                }
                _ => "what is stored could not be read; `presencectl doctor` reports the store's error",
            },
            "cluster_unavailable" => "`presencectl doctor` reports what is wrong with Redis",
            "tls_required" => "use https:// in the server's URL",
            "misdirected_request" => "use the daemon's own address (127.0.0.1 or localhost) as --server",
            _ => return None,
        })
    }
}

/// The innermost cause of an error: the outer message names little but the URL.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
