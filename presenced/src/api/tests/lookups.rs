//! How much a user may look at over REST: ids, and answers at once.

use std::time::Duration;

use presence::Rate;
use serde_json::json;

use super::fixture::{ANNA, ApiFixture, SECRET};
use crate::api::HealthCheck;
use crate::api::answers::{ANSWERS_INTERNAL, ANSWERS_PER_USER};
use crate::limits::Limits;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_query_waits_for_a_place_until_an_answer_was_read() {
    let limits = Limits {
        message_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let api = ApiFixture::with(limits, HealthCheck::default()).await;
    let mut unread = Vec::new();
    for _ in 0..ANSWERS_PER_USER {
        unread.push(api.send("POST /api/presence/query", &[ANNA], ids(10)).await);
    }
    let rejected = api.ask("POST /api/presence/query", &[ANNA], ids(10)).await;
    rejected.assert_error(429, "rate_limited");
    assert_eq!(rejected.header("retry-after"), Some("1"));
    assert_eq!(
        api.ask("POST /api/presence/query", &[SECRET], ids(10)).await.status,
        200
    );
    unread.pop();
    assert_eq!(api.ask("POST /api/presence/query", &[ANNA], ids(10)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_waits_for_a_place_until_an_answer_was_read() {
    let limits = Limits {
        message_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let api = ApiFixture::with(limits, HealthCheck::default()).await;
    let mut unread = Vec::new();
    for _ in 0..ANSWERS_INTERNAL {
        unread.push(api.send("GET /api/presence", &[SECRET], "").await);
    }
    for call in ["GET /api/presence", "POST /api/presence/query"] {
        let rejected = api.ask(call, &[SECRET], ids(1)).await;
        rejected.assert_error(429, "rate_limited");
    }
    unread.pop();
    assert_eq!(api.internal("GET /api/presence").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_of_the_longest_ids_fit_into_a_query_however_escaped() {
    let api = ApiFixture::new().await;
    let escaped = |number: u16, length: usize, base: u16| {
        let units = [base + number / 100, base + number % 100].into_iter();
        let rest = std::iter::repeat_n(base, length - 2);
        units
            .chain(rest)
            .map(|unit| format!("\\u{unit:04x}"))
            .collect::<String>()
    };
    // Two bytes of UTF-8 a letter, then one.
    for (length, base) in [(64, 0x0400), (128, 0x0021)] {
        let ids: Vec<String> = (0..1000)
            .map(|number| format!("\"{}\"", escaped(number % 90, length, base)))
            .collect();
        let body = format!("{{\"userIds\": [{}]}}", ids.join(", "));
        let reply = api.ask("POST /api/presence/query", &[SECRET], body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let users = reply.json()["users"].as_array().expect("users").clone();
        assert_eq!(users.len(), 1000);
        assert!(
            users
                .iter()
                .all(|user| user["userId"].as_str().map(str::len) == Some(128))
        );
    }
}
