//! Health, readiness, metrics.

use axum::body::Body;
use axum::http::Version;

use super::fixture::{ApiFixture, UNTRUSTED, ask, ask_hosts};
use crate::api::{HealthCheck, routes};
use crate::limits::Limits;

#[tokio::test]
async fn readiness_lists_the_problems() {
    let api = ApiFixture::new().await;
    let ready = api.ask("GET /readyz", &[], "").await;
    assert_eq!(
        (ready.status.as_u16(), ready.text.as_str()),
        (200, r#"{"ok":true,"problems":[]}"#)
    );
    api.state.readiness.drain();
    let draining = api.ask("GET /readyz", &[], "").await;
    assert_eq!(draining.status, 503);
    assert_eq!(draining.json()["problems"][0], "the daemon is shutting down");
    let health_check = HealthCheck {
        reload: None,
        store_error: Some("the disk is full".into()),
        is_store_shared: false,
        problems: vec!["the timer loop is stalled".into()],
        warnings: vec!["the clock went back".into()],
    };
    let unhealthy = ApiFixture::with(Limits::default(), health_check).await;
    let reply = unhealthy.ask("GET /readyz", &[], "").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json()["problems"].as_array().unwrap().len(), 2);
    assert_eq!(reply.json()["warnings"][0], "the clock went back");
    assert_eq!(unhealthy.ask("GET /healthz", &[], "").await.status, 200);
    let stats = unhealthy.internal("GET /api/stats").await.json();
    assert_eq!(stats["store"]["writable"], false);
    assert_eq!(stats["store"]["error"], "the disk is full");
}

#[tokio::test]
async fn a_node_whose_database_fails_for_all_nodes_is_ready_with_a_warning() {
    let health_check = HealthCheck {
        store_error: Some("connection refused".into()),
        is_store_shared: true,
        ..HealthCheck::default()
    };
    let api = ApiFixture::with(Limits::default(), health_check).await;
    let reply = api.ask("GET /readyz", &[], "").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["problems"], serde_json::json!([]));
    assert_eq!(reply.json()["warnings"][0], "the store can't write: connection refused");
    let stats = api.internal("GET /api/stats").await.json();
    assert_eq!(stats["store"]["writable"], false);
}

#[tokio::test]
async fn metrics_tell_whether_the_daemon_is_ready() {
    let api = ApiFixture::new().await;
    let metrics_text = async || api.ask("GET /metrics", &[], "").await.text;
    assert!(metrics_text().await.contains("\nready 1\n"));
    api.state.readiness.drain();
    assert!(metrics_text().await.contains("\nready 0\n"));
}

#[tokio::test]
async fn metrics_name_routes_and_never_users() {
    let api = ApiFixture::new().await;
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
async fn every_call_has_its_metric_before_the_first_request() {
    let api = ApiFixture::new().await;
    let metrics_text = api.ask("GET /metrics", &[], "").await.text;
    for (method, route) in routes::CALLS {
        for status in ["2xx", "4xx", "5xx"] {
            let sample =
                format!("http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} 0\n");
            assert!(metrics_text.contains(&sample), "{sample}{metrics_text}");
        }
        let path = route.replace("{userId}", "somebody").replace("{node}", "here");
        let reply = api.internal(&format!("{method} {path}")).await;
        assert!(![404, 405].contains(&reply.status.as_u16()), "{method} {path}");
    }
}

#[tokio::test]
async fn metrics_can_move_to_a_separate_listener() {
    let api = ApiFixture::new().await;
    let (main, metrics) = api.with_metrics_elsewhere();
    ask(&main, UNTRUSTED, "GET /metrics", &[], Body::empty())
        .await
        .assert_error(404, "not_found");
    let named = [("host", "metrics.internal:9100")];
    assert_eq!(
        ask(&metrics, UNTRUSTED, "GET /metrics", &named, Body::empty())
            .await
            .status,
        200
    );
    ask(&metrics, UNTRUSTED, "GET /healthz", &named, Body::empty())
        .await
        .assert_error(404, "not_found");
    ask(&metrics, UNTRUSTED, "PUT /metrics", &named, Body::empty())
        .await
        .assert_error(405, "method_not_allowed");
}

#[tokio::test]
async fn metrics_come_in_the_format_that_the_client_accepts() {
    let api = ApiFixture::new().await;
    let reply = api
        .ask("GET /metrics", &[("accept", "text/plain;version=0.0.4")], "")
        .await;
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(
        reply.text.contains("# TYPE http_requests_total counter\n"),
        "{}",
        reply.text
    );
    assert!(!reply.text.contains("# EOF") && !reply.text.contains("# UNIT"));
    assert_eq!(reply.header("vary"), Some("accept"));
}

#[tokio::test]
async fn probes_are_answered_whatever_their_host() {
    let api = ApiFixture::new().await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        for host in ["10.1.2.3:7420", "presence.example", "not a host"] {
            let reply = api.ask(&format!("GET {path}"), &[("host", host)], "").await;
            assert_eq!(reply.status, 200, "{path} {host}");
        }
        let reply = api.ask(&format!("HEAD {path}"), &[("host", "10.1.2.3")], "").await;
        assert_eq!(reply.status, 200, "{path}");
    }
    for path in ["/api/stats", "/ws", "/nowhere", "/healthz/"] {
        let reply = api.ask(&format!("GET {path}"), &[("host", "10.1.2.3")], "").await;
        reply.assert_error(421, "misdirected_request");
    }
}

#[tokio::test]
async fn http_1_1_needs_one_host_on_every_path() {
    let api = ApiFixture::new().await;
    let (main, metrics) = api.with_metrics_elsewhere();
    for line in [
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /api/stats",
        "GET /ws",
    ] {
        for hosts in [&[][..], &["localhost", "localhost"]] {
            for router in [&api.router, &main, &metrics] {
                let reply = ask_hosts(router, line, Version::HTTP_11, hosts).await;
                reply.assert_error(400, "invalid_header");
                assert_eq!(reply.header("cache-control"), Some("no-store"));
            }
        }
    }
}

#[tokio::test]
async fn http_1_0_needs_no_host_for_probes() {
    let api = ApiFixture::new().await;
    let (_, metrics) = api.with_metrics_elsewhere();
    for (router, line) in [
        (&api.router, "GET /healthz"),
        (&api.router, "GET /readyz"),
        (&api.router, "GET /metrics"),
        (&metrics, "GET /metrics"),
    ] {
        assert_eq!(
            ask_hosts(router, line, Version::HTTP_10, &[]).await.status,
            200,
            "{line}"
        );
        let twice = ask_hosts(router, line, Version::HTTP_10, &["localhost", "localhost"]).await;
        twice.assert_error(400, "invalid_header");
    }
    let others = ask_hosts(&api.router, "GET /api/stats", Version::HTTP_10, &[]).await;
    others.assert_error(400, "invalid_header");
}

#[tokio::test]
async fn a_malformed_host_is_a_bad_request_and_a_foreign_one_misdirected() {
    let api = ApiFixture::new().await;
    for (host, status, code) in [
        ("a b", 400, "invalid_header"),
        ("localhost:http", 400, "invalid_header"),
        ("user@localhost", 400, "invalid_header"),
        ("evil.example", 421, "misdirected_request"),
        ("", 421, "misdirected_request"),
    ] {
        let reply = ask_hosts(&api.router, "GET /api/stats", Version::HTTP_11, &[host]).await;
        reply.assert_error(status, code);
    }
}
