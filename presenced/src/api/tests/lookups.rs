//! How many ids a user may look at over REST.

use std::time::Duration;

use presence::Rate;
use serde_json::json;

use super::fixture::{ANNA, ApiFixture, SECRET};
use crate::api::HealthCheck;
use crate::config::limits::Limits;

/// An API on which a user may look at ten ids a minute.
async fn api() -> ApiFixture {
    let limits = Limits {
        lookups: Rate {
            amount: 10,
            period: Duration::from_secs(60),
            burst: 10,
        },
        ..Limits::default()
    };
    ApiFixture::with(limits, HealthCheck::default()).await
}

fn ids(count: usize) -> String {
    let ids: Vec<String> = (0..count).map(|number| format!("user-{number}")).collect();
    json!({ "userIds": ids }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_queries_too_many_ids_is_told_when_to_retry() {
    let api = api().await;
    let query = async |count: usize| api.ask("POST /api/presence/query", &[ANNA], ids(count)).await;
    assert_eq!(query(10).await.status, 200);
    let rejected = query(10).await;
    rejected.assert_error(429, "rate_limited");
    let wait: u64 = rejected
        .header("retry-after")
        .expect("a delay")
        .parse()
        .expect("seconds");
    // All of a minute but for what the first query took.
    assert!((50..=60).contains(&wait), "{wait}");
    let other = [("authorization", "Bearer token-of-bert")];
    assert_eq!(api.ask("POST /api/presence/query", &other, ids(10)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_a_record_counts_as_one_id() {
    let api = api().await;
    for _ in 0..10 {
        assert_eq!(api.ask("GET /api/presence/bert", &[ANNA], "").await.status, 200);
    }
    let rejected = api.ask("GET /api/presence/bert", &[ANNA], "").await;
    rejected.assert_error(429, "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_internal_caller_has_no_limit_of_ids() {
    let api = api().await;
    let on_behalf = [SECRET, ("x-user-id", "anna")];
    for headers in [&[SECRET][..], &on_behalf] {
        let reply = api.ask("POST /api/presence/query", headers, ids(1_000)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
}
