//! Browsers: hosts, origins, and the headers of every response.

use super::fixture::{ANNA, ApiFixture, CUSTOM_STATUS_BODY, SECRET};
use crate::auth::NodeRequest;

#[tokio::test]
async fn a_request_with_a_foreign_host_is_misdirected() {
    let api = ApiFixture::new().await;
    for line in ["GET /ws", "GET /nowhere", "GET /api/stats", "BREW /api/stats"] {
        let headers = [("host", "evil.example"), SECRET];
        api.ask(line, &headers, "")
            .await
            .assert_error(421, "misdirected_request");
    }
}

#[tokio::test]
async fn a_node_token_opens_no_lone_daemon_to_foreign_hosts() {
    let api = ApiFixture::new().await;
    let run = api.state.engine.incarnation().to_string();
    for path in ["/api/presence/anna/explain", "/api/nodes"] {
        let valid = api.state.auth.node_tokens(NodeRequest { run: &run, path });
        for token in ["", "0", &valid] {
            let headers = [("host", "evil.example"), ("x-node-token", token)];
            let reply = api.ask(&format!("GET {path}"), &headers, "").await;
            reply.assert_error(421, "misdirected_request");
        }
    }
}

#[tokio::test]
async fn every_response_forbids_caching_and_sniffing() {
    let api = ApiFixture::new().await;
    for line in [
        "GET /healthz",
        "GET /nowhere",
        "POST /healthz",
        "GET /api/stats",
        "GET /metrics",
        "GET /ws",
    ] {
        let reply = api.internal(line).await;
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{line}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{line}");
    }
}

#[tokio::test]
async fn an_allowed_origin_may_use_the_calls_of_users() {
    let api = ApiFixture::new().await;
    let origin = ("origin", "https://app.example");
    for (path, methods) in [
        ("/api/user/custom-status", "PUT"),
        ("/api/presence/anna", "GET"),
        ("/api/presence/query", "GET, POST"),
    ] {
        let asked = ("access-control-request-method", "PUT");
        let reply = api.ask(&format!("OPTIONS {path}"), &[origin, asked], "").await;
        assert_eq!(reply.status, 204);
        assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example"));
        assert_eq!(reply.header("access-control-allow-methods"), Some(methods));
        assert_eq!(
            reply.header("access-control-allow-headers"),
            Some("authorization, content-type, x-request-id")
        );
        assert_eq!(reply.header("vary"), Some("origin"));
    }
    // Error responses too: the page must be able to read why.
    let reply = api
        .ask("PUT /api/user/custom-status", &[origin], CUSTOM_STATUS_BODY)
        .await;
    reply.assert_error(401, "unauthenticated");
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example"));
}

#[tokio::test]
async fn other_origins_and_internal_calls_get_no_cors_headers() {
    let api = ApiFixture::new().await;
    for origin in ["https://evil.example", "null", "http://app.example"] {
        let rejected = api.ask("OPTIONS /api/presence/anna", &[("origin", origin)], "").await;
        rejected.assert_error(403, "forbidden");
        let answered = api.ask("GET /api/presence/anna", &[ANNA, ("origin", origin)], "").await;
        for reply in [rejected, answered] {
            assert_eq!(reply.header("access-control-allow-origin"), None, "{origin}");
            assert_eq!(reply.header("vary"), Some("origin"));
        }
    }
    let allowed = ("origin", "https://app.example");
    for line in [
        "GET /api/stats",
        "GET /api/presence",
        "DELETE /api/user/anna",
        "GET /healthz",
    ] {
        let reply = api.ask(line, &[SECRET, allowed], "").await;
        assert_eq!(reply.header("access-control-allow-origin"), None, "{line}");
    }
}
