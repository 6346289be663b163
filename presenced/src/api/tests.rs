//! The API without sockets: who may call, how a request is refused, what every answer carries. What calls do to users is
//! in `engine_tests`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use presence::Rate;

use super::Vitals;
use super::fixture::{Fixture, PROXY, SECRET, STRANGER, ask};
use crate::config::limits::Limits;

const ANNA: (&str, &str) = ("authorization", "Bearer token-of-anna");
const CHOICE: &str = r#"{"customStatus":"IDLE"}"#;

/// Every call that needs a credential, and whether a user's is enough.
const CALLS: [(&str, bool); 11] = [
    ("PUT /api/user/custom-status", true),
    ("GET /api/user/custom-status/anna", false),
    ("PUT /api/user/realtime", false),
    ("GET /api/presence/anna", true),
    ("POST /api/presence/query", true),
    ("GET /api/presence", false),
    ("GET /api/presence/anna/explain", false),
    ("DELETE /api/presence/anna/sessions", false),
    ("DELETE /api/user/anna", false),
    ("DELETE /api/user/realtime", false),
    ("GET /api/stats", false),
];

#[tokio::test]
async fn whoever_shows_nothing_is_unauthenticated_whatever_else_is_wrong() {
    let api = Fixture::new().await;
    for (line, _) in CALLS {
        let reply = api.ask(line, &[("content-type", "text/plain")], "{").await;
        reply.refused(401, "unauthenticated");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    api.ask("GET /api/presence/%zz", &[], "")
        .await
        .refused(401, "unauthenticated");
    api.ask("GET /api/presence?limit=0", &[], "")
        .await
        .refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_user_does_not_get_where_only_internal_callers_do() {
    let api = Fixture::new().await;
    for (index, (line, for_users)) in CALLS.into_iter().enumerate() {
        // Each from its own address: failed logins are counted.
        let peer = format!("198.51.100.{index}:1");
        let ask = async |headers: &[(&str, &str)]| api.ask_from(&peer, line, headers, CHOICE).await;
        if !for_users {
            ask(&[ANNA]).await.refused(401, "unauthenticated");
        }
        ask(&[ANNA, ("x-secret-token", "wrong")])
            .await
            .refused(403, "forbidden");
        ask(&[("authorization", "Basic x")]).await.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn an_internal_caller_without_the_user_it_needs_is_told() {
    let api = Fixture::new().await;
    for line in ["PUT /api/user/custom-status", "PUT /api/user/realtime"] {
        api.ask(line, &[SECRET], CHOICE).await.refused(400, "missing_user");
    }
}

#[tokio::test]
async fn a_user_is_no_operator() {
    let api = Fixture::new().await;
    let body = r#"{"customStatus":"IDLE","by":"operator"}"#;
    api.ask("PUT /api/user/custom-status", &[ANNA], body)
        .await
        .refused(403, "forbidden");
}

#[tokio::test]
async fn paths_that_do_not_exist_are_problems_too() {
    let api = Fixture::new().await;
    for path in [
        "/",
        "/api",
        "/api/presence/",
        "/api/presence/a/b",
        "/api/user",
        "/openapi.json",
        "//healthz",
        "/healthz/",
    ] {
        api.internal(&format!("GET {path}")).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let api = Fixture::new().await;
    for (line, allowed) in [
        ("POST /api/user/custom-status", "PUT,DELETE,OPTIONS"),
        ("PUT /api/user/custom-status/anna", "GET,HEAD"),
        ("GET /api/user/realtime", "PUT,DELETE"),
        ("GET /api/user/anna", "DELETE"),
        ("DELETE /api/presence", "GET,HEAD"),
        ("PATCH /api/presence/query", "POST,GET,HEAD,OPTIONS"),
        ("POST /api/presence/anna", "GET,HEAD,OPTIONS"),
        ("OPTIONS /api/presence/anna/explain", "GET,HEAD"),
        ("GET /api/presence/anna/sessions", "DELETE"),
        ("BREW /metrics", "GET,HEAD"),
        ("POST /ws", "GET,HEAD"),
    ] {
        let reply = api.internal(line).await;
        reply.refused(405, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some(allowed), "{line}");
    }
}

#[tokio::test]
async fn ids_that_are_none_are_refused_by_name() {
    let api = Fixture::new().await;
    let long = "x".repeat(129);
    for segment in [
        "%", "%2", "%zz", "%FF", "%00", "%0A", "%C2%85", ".", "..", "%2E", "%20a", "a%20", &long,
    ] {
        for line in [
            format!("GET /api/presence/{segment}"),
            format!("GET /api/presence/{segment}/explain"),
            format!("DELETE /api/presence/{segment}/sessions"),
            format!("GET /api/user/custom-status/{segment}"),
            format!("DELETE /api/user/{segment}"),
        ] {
            api.internal(&line).await.refused(400, "invalid_user_id");
        }
    }
}

#[tokio::test]
async fn bodies_must_be_json_and_say_nothing_else() {
    let api = Fixture::new().await;
    let put = async |kind: &str| {
        let headers = [ANNA, ("content-type", kind)];
        api.ask("PUT /api/user/custom-status", &headers, CHOICE).await
    };
    for kind in [
        "text/plain",
        "application/jsonp",
        "application/x-www-form-urlencoded",
        "",
        "json",
    ] {
        put(kind).await.refused(415, "unsupported_media_type");
    }
    for kind in ["application/json", "Application/JSON ; charset=utf-8"] {
        assert_eq!(put(kind).await.status, 200, "{kind}");
    }
    assert_eq!(
        api.ask("PUT /api/user/custom-status", &[ANNA], CHOICE).await.status,
        200
    );
    let gzip = [ANNA, ("content-encoding", "gzip")];
    api.ask("PUT /api/user/custom-status", &gzip, CHOICE)
        .await
        .refused(415, "unsupported_media_type");
}

/// A body in pieces, without a length.
struct InPieces(Bytes);

impl HttpBody for InPieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.len().min(1000);
        Poll::Ready((piece > 0).then(|| Ok(Frame::data(self.0.split_to(piece)))))
    }
}

#[tokio::test]
async fn a_body_fits_up_to_its_limit_with_and_without_a_length() {
    let api = Fixture::new().await;
    let padded = |json: &str, bytes: usize| format!("{json}{}", " ".repeat(bytes - json.len()));
    for (line, json, limit) in [
        ("PUT /api/user/custom-status", CHOICE, 64 * 1024),
        ("POST /api/presence/query", r#"{"userIds":["anna"]}"#, 256 * 1024),
    ] {
        for (bytes, good) in [(limit - 1, true), (limit, true), (limit + 1, false), (limit * 9, false)] {
            let text = padded(json, bytes);
            for reply in [
                api.ask(line, &[ANNA], text.clone()).await,
                api.ask(line, &[ANNA], Body::new(InPieces(text.into()))).await,
            ] {
                if good {
                    assert_eq!(reply.status, 200, "{line} {bytes}");
                } else {
                    reply.refused(413, "too_large");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_page_of_somebody_elses_host_gets_nothing() {
    let api = Fixture::new().await;
    for line in [
        "GET /healthz",
        "GET /metrics",
        "GET /ws",
        "GET /nowhere",
        "GET /api/stats",
        "BREW /api/stats",
    ] {
        let headers = [("host", "evil.example"), SECRET];
        api.ask(line, &headers, "").await.refused(421, "misdirected_request");
    }
}

#[tokio::test]
async fn every_answer_forbids_caching_and_sniffing() {
    let api = Fixture::new().await;
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
async fn an_allowed_page_may_call_the_users_calls_and_read_their_answers() {
    let api = Fixture::new().await;
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
            Some("authorization, content-type")
        );
        assert_eq!(reply.header("vary"), Some("origin"));
    }
    // A refusal too: the page must be able to read why.
    let reply = api.ask("PUT /api/user/custom-status", &[origin], CHOICE).await;
    reply.refused(401, "unauthenticated");
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example"));
}

#[tokio::test]
async fn no_other_page_may_and_no_page_may_call_operators_calls() {
    let api = Fixture::new().await;
    for origin in ["https://evil.example", "null", "http://app.example"] {
        let refused = api.ask("OPTIONS /api/presence/anna", &[("origin", origin)], "").await;
        refused.refused(403, "forbidden");
        let answered = api.ask("GET /api/presence/anna", &[ANNA, ("origin", origin)], "").await;
        for reply in [refused, answered] {
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

#[tokio::test]
async fn ten_failed_logins_of_an_address_are_answered_and_then_not_even_good_ones() {
    let api = Fixture::new().await;
    let wrong = ("x-secret-token", "wrong");
    for _ in 0..10 {
        api.ask("GET /api/stats", &[wrong], "").await.refused(403, "forbidden");
        api.ask("GET /api/stats", &[], "").await.refused(401, "unauthenticated");
    }
    for header in [wrong, SECRET] {
        let reply = api.ask("GET /api/stats", &[header], "").await;
        reply.refused(429, "rate_limited");
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=6).contains(&wait), "{wait}");
    }
    let another = api.ask_from("198.51.100.8:1", "GET /api/stats", &[SECRET], "").await;
    assert_eq!(another.status, 200);
}

#[tokio::test]
async fn a_trusted_proxy_is_exempt_but_its_clients_are_not() {
    let api = Fixture::new().await;
    let wrong = ("x-secret-token", "wrong");
    let client = ("x-forwarded-for", "203.0.113.9");
    for _ in 0..30 {
        api.ask_from(PROXY, "GET /api/stats", &[wrong], "")
            .await
            .refused(403, "forbidden");
    }
    for _ in 0..10 {
        api.ask_from(PROXY, "GET /api/stats", &[wrong, client], "")
            .await
            .refused(403, "forbidden");
    }
    let reply = api.ask_from(PROXY, "GET /api/stats", &[SECRET, client], "").await;
    reply.refused(429, "rate_limited");
    assert_eq!(api.ask_from(PROXY, "GET /api/stats", &[SECRET], "").await.status, 200);
}

#[tokio::test]
async fn handshakes_on_one_connection_or_through_a_proxy_are_counted() {
    let limits = Limits {
        handshakes: Rate {
            amount: 1,
            period: Duration::from_secs(60),
            burst: 3,
        },
        ..Limits::default()
    };
    let api = Fixture::with(limits, Vitals::default()).await;
    let client = ("x-forwarded-for", "203.0.113.9");
    for (peer, headers) in [(STRANGER, &[][..]), (PROXY, &[client][..])] {
        for _ in 0..3 {
            assert_eq!(api.ask_from(peer, "GET /ws", headers, "").await.status, 200);
        }
        let reply = api.ask_from(peer, "GET /ws", headers, "").await;
        reply.refused(429, "rate_limited");
        assert_eq!(reply.header("retry-after"), Some("60"));
        assert_eq!(api.ask_from(peer, "GET /healthz", headers, "").await.status, 200);
    }
    for _ in 0..9 {
        assert_eq!(api.ask_from(PROXY, "GET /ws", &[], "").await.status, 200);
    }
}

#[tokio::test]
async fn readiness_says_what_is_wrong() {
    let api = Fixture::new().await;
    let ready = api.ask("GET /readyz", &[], "").await;
    assert_eq!(
        (ready.status.as_u16(), ready.text.as_str()),
        (200, r#"{"ok":true,"problems":[]}"#)
    );
    api.state.readiness.drain();
    let draining = api.ask("GET /readyz", &[], "").await;
    assert_eq!(draining.status, 503);
    assert_eq!(draining.json()["problems"][0], "the daemon is going down");
    let vitals = Vitals {
        store_error: Some("the disk is full".into()),
        problems: vec!["the timer loop is stalled".into()],
    };
    let broken = Fixture::with(Limits::default(), vitals).await;
    let reply = broken.ask("GET /readyz", &[], "").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["problems"].as_array().unwrap().len(), 2);
    assert_eq!(broken.ask("GET /healthz", &[], "").await.status, 200);
    let stats = broken.internal("GET /api/stats").await.json();
    assert_eq!(stats["store"]["writable"], false);
    assert_eq!(stats["store"]["error"], "the disk is full");
}

#[tokio::test]
async fn metrics_name_routes_and_never_users() {
    let api = Fixture::new().await;
    api.internal("GET /api/presence/somebody-special").await;
    api.internal("GET /somewhere-special").await;
    api.internal("BREW-special /healthz").await;
    let reply = api.ask("GET /metrics", &[], "").await;
    assert!(
        reply
            .header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    let line = r#"http_requests_total{method="GET",route="/api/presence/{userId}",status="2xx"} 1"#;
    assert!(reply.text.contains(line), "{}", reply.text);
    assert!(
        reply.text.contains(r#"method="other",route="/healthz",status="4xx""#),
        "{}",
        reply.text
    );
    assert!(!reply.text.contains("special"), "{}", reply.text);
    assert!(reply.text.ends_with("# EOF\n"));
}

#[tokio::test]
async fn metrics_can_move_to_a_listener_of_their_own() {
    let api = Fixture::new().await;
    let (main, metrics) = api.with_metrics_elsewhere();
    ask(&main, STRANGER, "GET /metrics", &[], Body::empty())
        .await
        .refused(404, "not_found");
    let named = [("host", "metrics.internal:9100")];
    assert_eq!(
        ask(&metrics, STRANGER, "GET /metrics", &named, Body::empty())
            .await
            .status,
        200
    );
    ask(&metrics, STRANGER, "GET /healthz", &named, Body::empty())
        .await
        .refused(404, "not_found");
    ask(&metrics, STRANGER, "PUT /metrics", &named, Body::empty())
        .await
        .refused(405, "method_not_allowed");
}
