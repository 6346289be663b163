//! `now` is never before a time beside it, though the system's clock was set back.

use std::time::Duration;

use presence::Wall;
use presence::wire::rest::ReloadStats;
use serde_json::{Value, json};

use super::fixture::{ANNA, ApiFixture, Reply, SECRET};
use crate::api::HealthCheck;
use crate::clock::Clock;
use crate::limits::Limits;

const BEGIN: Wall = Wall::from_millis(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

/// Times of something that happened, wherever they are.
fn past_times(value: &Value) -> Vec<String> {
    const NAMES: [&str; 7] = ["since", "lastSeen", "lastActive", "lastHeard", "setAt", "lastAt", "at"];
    match value {
        Value::Array(values) => values.iter().flat_map(past_times).collect(),
        Value::Object(fields) => {
            let told = fields.iter().filter(|(name, _)| *name != "next");
            told.flat_map(|(name, value)| match value {
                Value::String(text) if NAMES.contains(&name.as_str()) => vec![text.clone()],
                _ => past_times(value),
            })
            .collect()
        }
        _ => Vec::new(),
    }
}

#[track_caller]
fn assert_now_is_last(reply: &Reply, what: &str) {
    assert_eq!(reply.status, 200, "{what}: {}", reply.text);
    let body = reply.json();
    let now = body["now"].as_str().expect("now");
    let times = past_times(&body);
    assert!(times.iter().any(|time| *time > BEGIN.to_string()), "{what}: {body}");
    for time in times {
        assert!(*time <= *now, "{what}: {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn now_is_before_no_time_beside_it_in_any_answer() {
    let reload = ReloadStats {
        at: BEGIN.after(HOUR),
        error: None,
        changed: Vec::new(),
        restart_needed: Vec::new(),
    };
    let health_check = HealthCheck {
        reload: Some(reload),
        ..HealthCheck::default()
    };
    let api = ApiFixture::on_clock(Clock::manual(BEGIN), Limits::default(), health_check).await;
    let as_anna = [SECRET, ("x-user-id", "anna")];
    let report = json!({"status": "ONLINE", "updateLastActive": true}).to_string();
    let chosen = r#"{"customStatus":"IDLE"}"#;
    let by_operator = r#"{"customStatus":"ONLINE","by":"operator"}"#;
    let as_cora = [SECRET, ("x-user-id", "cora")];
    api.ask("PUT /api/user/realtime", &as_cora, report.clone()).await;
    api.state.clock.set_wall(BEGIN.after(HOUR));
    api.ask("PUT /api/user/realtime", &as_anna, report.clone()).await;
    api.state.clock.set_wall(BEGIN.after(2 * HOUR));
    api.ask(
        "PUT /api/user/custom-status",
        &[SECRET, ("x-user-id", "bert")],
        by_operator,
    )
    .await;
    // It was ahead for a while, and is right again.
    api.state.clock.set_wall(BEGIN);
    for line in [
        "GET /api/presence/anna",
        "GET /api/presence/anna/explain",
        "GET /api/presence/bert/explain",
        "GET /api/presence",
        "GET /api/stats",
    ] {
        assert_now_is_last(&api.internal(line).await, line);
    }
    let own = api.ask("GET /api/presence/anna", &[ANNA], "").await;
    assert_now_is_last(&own, "her own record");
    let ids = json!({"userIds": ["bert", "cora", "anna", "nobody"]}).to_string();
    assert_now_is_last(&api.ask("POST /api/presence/query", &[SECRET], ids).await, "query");
    for (line, body) in [
        ("PUT /api/user/realtime", report),
        ("PUT /api/user/custom-status", chosen.to_owned()),
        ("PUT /api/user/custom-status", by_operator.to_owned()),
        ("PUT /api/user/realtime", json!({"status": "OFFLINE"}).to_string()),
    ] {
        assert_now_is_last(&api.ask(line, &as_anna, body).await, line);
    }
    assert_now_is_last(&api.internal("GET /api/presence/anna/explain").await, "explain");
}
