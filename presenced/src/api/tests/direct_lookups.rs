//! Requests for one record, which do not go through the router, and are answered as if they did.

use axum::http::Method;
use presence::Rate;
use std::time::Duration;

use super::fixture::{ANNA, ApiFixture, CUSTOM_STATUS_BODY, SECRET};
use crate::api::HealthCheck;
use crate::api::path::is_lookup;
use crate::limits::Limits;

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_is_answered_as_by_the_router() {
    let api = ApiFixture::new().await;
    let set = api
        .ask("PUT /api/user/custom-status", &[ANNA], CUSTOM_STATUS_BODY)
        .await;
    assert_eq!(set.status, 200, "{}", set.text);
    let without_now = |text: &str| match serde_json::from_str::<serde_json::Value>(text) {
        Ok(mut json) => {
            json.as_object_mut().map(|fields| fields.remove("now"));
            json.to_string()
        }
        Err(_) => text.to_owned(),
    };
    for path in [
        "anna",
        "nobody",
        "a%6Ena",
        "a%2Fb",
        "%ff",
        "%",
        "explain",
        "anna?x=1",
        &"x".repeat(300),
    ] {
        for headers in [
            &[][..],
            &[SECRET],
            &[ANNA],
            &[("x-secret-token", "wrong")],
            &[("authorization", "Bearer wrong")],
            &[SECRET, ("x-user-id", "anna")],
            &[("host", "evil.example")],
            &[("host", "localhost"), ("host", "localhost"), SECRET],
            &[("origin", "https://app.example"), ANNA],
            &[("origin", "https://evil.example"), ANNA],
        ] {
            let line = format!("GET /api/presence/{path}");
            // Of its own accord a lookup has none.
            let headers = &[headers, &[("x-request-id", "7")]].concat();
            let routed = api.ask(&line, headers, "").await;
            let direct = api.look_up(&line, headers).await;
            let mut headers_of_routed = routed.headers.clone();
            if !direct.headers.contains_key("content-length") {
                // hyper adds it to the others.
                headers_of_routed.remove("content-length");
            }
            assert_eq!(direct.status, routed.status, "{line} {headers:?}");
            assert_eq!(direct.headers, headers_of_routed, "{line} {headers:?}");
            assert_eq!(
                without_now(&direct.text),
                without_now(&routed.text),
                "{line} {headers:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_counts_as_a_request_and_toward_the_limit() {
    let limits = Limits {
        lookups: Rate {
            amount: 2,
            period: Duration::from_secs(60),
            burst: 2,
        },
        ..Limits::default()
    };
    let api = ApiFixture::with(limits, HealthCheck::default()).await;
    for status in [200, 200, 429] {
        assert_eq!(api.look_up("GET /api/presence/anna", &[ANNA]).await.status, status);
    }
    let routed = api.ask("GET /api/presence/anna", &[ANNA], "").await;
    routed.assert_error(429, "rate_limited");
    let metrics = api.internal("GET /metrics").await.text;
    for (class, count) in [("2xx", 2), ("4xx", 2)] {
        let line =
            format!(r#"http_requests_total{{method="GET",route="/api/presence/{{userId}}",status="{class}"}} {count}"#);
        assert!(metrics.contains(&line), "{line}: {metrics}");
    }
}

#[test]
fn only_a_get_of_one_record_passes_the_router_by() {
    for path in [
        "/api/presence/a",
        "/api/presence/%71uery",
        "/api/presence/a%2Fb",
        "/api/presence/queries",
    ] {
        assert!(is_lookup(&Method::GET, path), "{path}");
        for method in [Method::HEAD, Method::POST, Method::OPTIONS, Method::DELETE] {
            assert!(!is_lookup(&method, path), "{method} {path}");
        }
    }
    for path in [
        "/",
        "/api/presence",
        "/api/presence/",
        "/api/presence/query",
        "/api/presence/a/",
        "/api/presence/a/explain",
        "/api/presence//a",
        "//api/presence/a",
        "/api/presences/a",
        "/API/presence/a",
    ] {
        assert!(!is_lookup(&Method::GET, path), "{path}");
    }
}
