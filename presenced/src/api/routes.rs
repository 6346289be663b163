//! The paths of the API, for the router and as metric labels.

pub(super) const CUSTOM_STATUS: &str = "/api/user/custom-status";
pub(super) const CUSTOM_STATUS_OF: &str = "/api/user/custom-status/{userId}";
pub(super) const REPORT: &str = "/api/user/realtime";
pub(super) const USER: &str = "/api/user/{userId}";
pub(super) const LISTING: &str = "/api/presence";
pub(super) const QUERY: &str = "/api/presence/query";
pub(super) const RECORD: &str = "/api/presence/{userId}";
pub(super) const EXPLAIN: &str = "/api/presence/{userId}/explain";
pub(super) const SESSIONS: &str = "/api/presence/{userId}/sessions";
pub(super) const REVOCATION: &str = "/api/presence/{userId}/revocation";
pub(super) const REPORTS_OF: &str = "/api/reports/{source}";
pub(super) const STATS: &str = "/api/stats";
pub(super) const NODES: &str = "/api/nodes";
pub(super) const DRAIN: &str = "/api/nodes/{node}/drain";
pub(super) const RELOAD: &str = "/api/reload";
pub(super) const HEALTH: &str = "/healthz";
pub(super) const READY: &str = "/readyz";
pub(super) const METRICS: &str = "/metrics";
pub(super) const OPENAPI: &str = "/openapi.json";
pub(super) const WS: &str = "/ws";
/// The demonstration page, and its tokens: no part of the API, so neither counted nor documented as calls.
pub(super) const DEMO: &str = "/demo";
pub(super) const DEMO_TOKEN: &str = "/demo/token";

const ALL: [&str; 20] = [
    CUSTOM_STATUS,
    CUSTOM_STATUS_OF,
    REPORT,
    USER,
    LISTING,
    QUERY,
    RECORD,
    EXPLAIN,
    SESSIONS,
    REVOCATION,
    REPORTS_OF,
    STATS,
    NODES,
    DRAIN,
    RELOAD,
    HEALTH,
    READY,
    METRICS,
    OPENAPI,
    WS,
];

/// All calls: method and path. Preflights, and user ids that equal a fixed segment, are not listed.
pub(super) const CALLS: [(&str, &str); 23] = [
    ("PUT", CUSTOM_STATUS),
    ("GET", CUSTOM_STATUS_OF),
    ("PUT", REPORT),
    ("DELETE", USER),
    ("GET", LISTING),
    ("GET", QUERY),
    ("POST", QUERY),
    ("GET", RECORD),
    ("GET", EXPLAIN),
    ("DELETE", SESSIONS),
    ("GET", REVOCATION),
    ("PUT", REVOCATION),
    ("DELETE", REPORTS_OF),
    ("GET", STATS),
    ("GET", NODES),
    ("PUT", DRAIN),
    ("DELETE", DRAIN),
    ("POST", RELOAD),
    ("GET", HEALTH),
    ("GET", READY),
    ("GET", METRICS),
    ("GET", OPENAPI),
    ("GET", WS),
];

/// The metric label of a matched route; an unknown one is `none`, so that labels stay few.
pub(super) fn label(matched: Option<&str>) -> &'static str {
    let known = matched.and_then(|matched| ALL.into_iter().find(|route| *route == matched));
    known.unwrap_or("none")
}

/// The methods that an allowed origin may use on this route; none if the route is not a user's call.
pub(super) fn methods_of_pages(route: &str) -> Option<&'static str> {
    match route {
        CUSTOM_STATUS => Some("PUT"),
        QUERY => Some("GET, POST"),
        RECORD => Some("GET"),
        _ => None,
    }
}
