//! Requests for an upgrade, which do not go through the router, and are answered as if they did.

use std::time::Duration;

use axum::response::IntoResponse;
use presence::Rate;

use super::fixture::{ApiFixture, SECRET};
use crate::api::HealthCheck;
use crate::limits::Limits;
use crate::server::upgrades::Answered;

/// As the handler of the fixture's router.
fn upgraded() -> Answered {
    "upgraded".into_response().into()
}

#[tokio::test]
async fn an_upgrade_is_answered_as_by_the_router() {
    let api = ApiFixture::new().await;
    for headers in [
        &[SECRET][..],
        &[("host", "127.0.0.1:7420")],
        &[("host", "evil.example")],
        &[("host", "evil.example"), SECRET],
        &[("host", "localhost"), ("host", "localhost")],
        &[("origin", "https://app.example")],
        &[("origin", "https://evil.example")],
        &[("x-forwarded-for", "203.0.113.9")],
    ] {
        let headers = &[headers, &[("x-request-id", "7")]].concat();
        let mut routed = api.ask("GET /ws", headers, "").await;
        let direct = api.upgrade(headers, upgraded).await;
        // hyper adds it to the others.
        routed.headers.remove("content-length");
        assert_eq!(direct.status, routed.status, "{headers:?}");
        assert_eq!(direct.headers, routed.headers, "{headers:?}");
        assert_eq!(direct.text, routed.text, "{headers:?}");
    }
}

#[tokio::test]
async fn an_upgrade_counts_as_a_request_and_as_a_handshake() {
    let limits = Limits {
        handshakes: Rate {
            amount: 1,
            period: Duration::from_secs(60),
            burst: 2,
        },
        ..Limits::default()
    };
    let api = ApiFixture::with(limits, HealthCheck::default()).await;
    for status in [200, 200, 429] {
        assert_eq!(api.upgrade(&[], upgraded).await.status, status);
    }
    let routed = api.ask("GET /ws", &[], "").await;
    routed.assert_error(429, "rate_limited");
    let metrics = api.internal("GET /metrics").await.text;
    for (class, count) in [("2xx", 2), ("4xx", 2)] {
        let line = format!(r#"http_requests_total{{method="GET",route="/ws",status="{class}"}} {count}"#);
        assert!(metrics.contains(&line), "{line}");
    }
}

#[tokio::test]
async fn a_panicking_upgrade_responds_with_500() {
    let api = ApiFixture::new().await;
    let reply = api.upgrade(&[], || panic!("on purpose")).await;
    reply.assert_error(500, "internal");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}
