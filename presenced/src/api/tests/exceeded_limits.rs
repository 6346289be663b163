//! What is refused over REST because of a limit is counted, once.

use std::time::Duration;

use presence::Rate;
use serde_json::json;

use super::fixture::{ANNA, ApiFixture, CUSTOM_STATUS_BODY, SECRET};
use crate::api::HealthCheck;
use crate::api::answers::ANSWERS_PER_USER;
use crate::exceeded_limit::Limit;
use crate::limits::Limits;

/// A limit of one in a minute.
const ONE: Rate = Rate {
    amount: 1,
    period: Duration::from_secs(60),
    burst: 1,
};

async fn api(limits: Limits) -> ApiFixture {
    ApiFixture::with(limits, HealthCheck::default()).await
}

/// All counts of limits that are not 0.
async fn counts(api: &ApiFixture) -> Vec<String> {
    let metrics = api.ask("GET /metrics", &[], "").await.text;
    let is_count = |line: &&str| line.contains("refused") && line.contains("{limit=") && !line.ends_with(" 0");
    metrics.lines().filter(is_count).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_rest_calls_are_exported_before_they_are_exceeded() {
    let api = api(Limits::default()).await;
    let metrics = api.ask("GET /metrics", &[], "").await.text;
    for limit in [Limit::CustomStatuses, Limit::Lookups, Limit::Reports, Limit::Answers] {
        let line = format!("refused_by_limit_total{{limit=\"{}\"}} 0\n", limit.label());
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert_eq!(counts(&api).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_custom_status_is_counted_once() {
    let limits = Limits {
        custom_statuses: ONE,
        ..Limits::default()
    };
    let api = api(limits).await;
    for refused in 0..3 {
        let reply = api
            .ask("PUT /api/user/custom-status", &[ANNA], CUSTOM_STATUS_BODY)
            .await;
        assert_eq!(reply.status == 429, refused > 0, "{}", reply.text);
    }
    let label = Limit::CustomStatuses.label();
    assert_eq!(
        counts(&api).await,
        [format!("refused_by_limit_total{{limit=\"{label}\"}} 2")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_lookup_is_counted_once() {
    let limits = Limits {
        lookups: ONE,
        ..Limits::default()
    };
    let api = api(limits).await;
    assert_eq!(api.ask("GET /api/presence/bert", &[ANNA], "").await.status, 200);
    assert_eq!(api.ask("GET /api/presence/bert", &[ANNA], "").await.status, 429);
    let query = json!({ "userIds": ["bert"] }).to_string();
    let refused = api.ask("POST /api/presence/query", &[ANNA], query).await;
    assert_eq!(refused.status, 429);
    assert_eq!(counts(&api).await, ["refused_by_limit_total{limit=\"lookups\"} 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_report_is_counted_once() {
    let limits = Limits {
        reports_per_user: 1,
        ..Limits::default()
    };
    let api = api(limits).await;
    for (source, status) in [("a", 200), ("b", 429), ("a", 200), ("c", 429)] {
        let body = json!({ "status": "ONLINE", "source": source }).to_string();
        let headers = [SECRET, ("x-user-id", "anna")];
        assert_eq!(api.ask("PUT /api/user/realtime", &headers, body).await.status, status);
    }
    assert_eq!(counts(&api).await, ["refused_by_limit_total{limit=\"reports\"} 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_answer_is_counted_once() {
    let limits = Limits {
        message_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let api = api(limits).await;
    let query = json!({ "userIds": ["bert"] }).to_string();
    let mut unread = Vec::new();
    for _ in 0..ANSWERS_PER_USER {
        unread.push(api.send("POST /api/presence/query", &[ANNA], query.clone()).await);
    }
    let refused = api.ask("POST /api/presence/query", &[ANNA], query).await;
    assert_eq!(refused.status, 429);
    assert_eq!(counts(&api).await, ["refused_by_limit_total{limit=\"answers\"} 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_counted_once_among_those_of_admission() {
    let limits = Limits {
        failed_logins: ONE,
        ..Limits::default()
    };
    let api = api(limits).await;
    let wrong = [("x-secret-token", "wrong")];
    for status in [403, 429, 429] {
        assert_eq!(api.ask("GET /api/stats", &wrong, "").await.status, status);
    }
    assert_eq!(counts(&api).await, ["door_refused_total{limit=\"failed_logins\"} 2"]);
}
