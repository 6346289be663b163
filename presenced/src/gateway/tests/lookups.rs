//! How many ids a user may look at over its connections.

use std::time::Duration;

use serde_json::json;

use super::fixture::{GatewayFixture, GatewaySettings};
use crate::clock::Stopwatch;
use crate::limits::Limits;

/// A gateway on which a user may look at `burst` ids at once, and at 100 a second.
async fn with_burst(burst: u64) -> GatewayFixture {
    with_rate(100, burst).await
}

/// The same with `amount` ids a second.
async fn with_rate(amount: u64, burst: u64) -> GatewayFixture {
    let mut limits = Limits::default();
    (limits.lookups.amount, limits.lookups.burst) = (amount, burst);
    GatewayFixture::with(GatewaySettings {
        limits,
        ..GatewaySettings::default()
    })
    .await
}

fn watch(id: &str, count: usize) -> String {
    let users: Vec<String> = (0..count).map(|number| format!("{id}-{number}")).collect();
    json!({"type": "watch", "id": id, "userIds": users}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_beyond_the_limit_of_ids_waits_for_its_turn() {
    let fixture = with_burst(10).await;
    let mut client = fixture.connect("anna").await;
    let watch_time = Stopwatch::start();
    client.say(&watch("a", 10)).await;
    client.say(&watch("b", 30)).await;
    let snapshot = client.answer("b").await;
    assert_eq!(snapshot["users"].as_array().map(Vec::len), Some(30), "{snapshot}");
    // Thirty ids at a hundred a second; the two clocks may differ by a millisecond.
    assert!(
        watch_time.elapsed() >= Duration::from_millis(290),
        "{:?}",
        watch_time.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_far_beyond_the_limit_of_ids_says_when_to_retry() {
    let fixture = with_burst(100).await;
    let mut client = fixture.connect("anna").await;
    client.say(&watch("a", 700)).await;
    let rejected = client.answer("a").await;
    assert_eq!(
        (&rejected["type"], &rejected["code"]),
        (&"error".into(), &"rate_limited".into())
    );
    assert_eq!(rejected["retryAfterMs"], 6_000, "{rejected}");
    assert_eq!(fixture.engine.stats().sessions.watches, 0, "nothing was added");
    assert!(fixture.metrics_text().contains("limit=\"lookups\"} 1\n"));
    client.say(&watch("b", 100)).await;
    assert_eq!(client.answer("b").await["type"], "snapshot");
    let mut other = fixture.connect("bert").await;
    other.say(&watch("a", 100)).await;
    assert_eq!(
        other.answer("a").await["type"],
        "snapshot",
        "each user has its own limit"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_of_a_user_share_its_limit_of_ids() {
    // What the first uses up does not come back while the test runs.
    let fixture = with_rate(1, 100).await;
    let (mut first, mut second) = (fixture.connect("anna").await, fixture.connect("anna").await);
    first.say(&watch("a", 100)).await;
    assert_eq!(first.answer("a").await["type"], "snapshot");
    second.say(&watch("b", 100)).await;
    assert_eq!(second.answer("b").await["code"], "rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_has_no_limit_of_ids() {
    let fixture = with_burst(1).await;
    let mut client = fixture.observe().await;
    client.say(&watch("a", 700)).await;
    assert_eq!(client.answer("a").await["type"], "snapshot");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_of_a_user_share_its_limit_of_watched_users() {
    let limits = Limits {
        watched_per_user: 50,
        ..Limits::default()
    };
    let fixture = GatewayFixture::with(GatewaySettings {
        limits,
        ..GatewaySettings::default()
    })
    .await;
    let (mut first, mut second) = (fixture.connect("anna").await, fixture.connect("anna").await);
    first.say(&watch("a", 40)).await;
    assert_eq!(first.answer("a").await["type"], "snapshot");
    second.say(&watch("b", 11)).await;
    let rejected = second.answer("b").await;
    assert_eq!(rejected["code"], "too_many_watched", "{rejected}");
    assert!(
        rejected["message"]
            .as_str()
            .is_some_and(|text| text.contains("at most 50 users")),
        "{rejected}"
    );
    assert_eq!(fixture.engine.stats().sessions.watches, 40, "nothing was added");
    assert!(fixture.metrics_text().contains("limit=\"watched_by_user\"} 1\n"));
    drop(first);
    fixture
        .until("the first connection is gone", async |fixture| {
            fixture.engine.stats().sessions.watches == 0
        })
        .await;
    second.say(&watch("c", 50)).await;
    assert_eq!(second.answer("c").await["type"], "snapshot", "there is room again");
    let mut other = fixture.connect("bert").await;
    other.say(&watch("d", 50)).await;
    assert_eq!(
        other.answer("d").await["type"],
        "snapshot",
        "each user has its own limit"
    );
}
