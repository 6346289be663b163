//! What the calls do and what they return to each kind of caller.

use serde_json::{Value, json};

use super::fixture::{ApiFixture, Reply, SECRET};
use crate::percent::{self, Plus};

fn token(user: &str) -> String {
    format!("Bearer token-of-{user}")
}

async fn set_custom_status(api: &ApiFixture, user: &str, custom: &str) -> Reply {
    let body = json!({ "customStatus": custom }).to_string();
    api.ask("PUT /api/user/custom-status", &[("authorization", &token(user))], body)
        .await
}

async fn report(api: &ApiFixture, user: &str, body: Value) -> Reply {
    let headers = [SECRET, ("x-user-id", user)];
    api.ask("PUT /api/user/realtime", &headers, body.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_status_is_returned_and_stored() {
    let api = ApiFixture::new().await;
    let unseen = api.internal("GET /api/user/custom-status/anna").await;
    assert_eq!(unseen.text, r#"{"customStatus":"ONLINE"}"#);
    let response = set_custom_status(&api, "anna", "DO_NOT_DISTURB").await;
    assert_eq!(response.status, 200, "{}", response.text);
    let record = response.json();
    assert_eq!(
        (&record["userId"], &record["status"]),
        (&json!("anna"), &json!("OFFLINE"))
    );
    assert_eq!(record["customStatus"], "DO_NOT_DISTURB");
    assert_eq!(record["lastActive"], Value::Null);
    let now = record["now"].as_str().unwrap();
    assert!(
        now.ends_with('Z') && now.len() == "2026-01-01T00:00:00.000Z".len(),
        "{now}"
    );
    let kept = api.internal("GET /api/user/custom-status/anna").await;
    assert_eq!(kept.text, r#"{"customStatus":"DO_NOT_DISTURB"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_caller_sees_its_view_of_a_record() {
    let api = ApiFixture::new().await;
    report(&api, "anna", json!({"status": "ONLINE"})).await;
    let see = async |user: &str| {
        let headers = [("authorization", token(user))];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        api.ask("GET /api/presence/anna", &headers, "").await.json()
    };
    let (own, other) = (see("anna").await, see("bert").await);
    let internal = api.internal("GET /api/presence/anna").await.json();
    for (record, custom, reason) in [(&other, false, false), (&own, true, false), (&internal, true, true)] {
        assert_eq!(record["status"], "ONLINE");
        assert_eq!(record.get("customStatus").is_some(), custom, "{record}");
        assert_eq!(record.get("sessions").is_some(), custom, "{record}");
        assert_eq!(record.get("reason").is_some(), reason, "{record}");
        assert_eq!(record.get("nodes").is_some(), reason, "{record}");
    }
    let body = r#"{"userIds":["bert","anna"]}"#;
    let queried = api
        .ask("POST /api/presence/query", &[("authorization", &token("anna"))], body)
        .await
        .json();
    assert_eq!(queried["users"][0]["userId"], "bert");
    assert!(queried["users"][0].get("customStatus").is_none());
    assert!(queried["users"][1].get("customStatus").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_equal_path_segments_work_like_any_other() {
    let api = ApiFixture::new().await;
    for id in [
        "query",
        "realtime",
        "custom-status",
        "explain",
        "sessions",
        "presence",
        "a%2Fb",
        "%25",
        "100%25%2F",
        "%C3%A9",
    ] {
        let decoded = percent::decode(id, Plus::Literal).unwrap();
        let body = json!({"status": "IDLE"}).to_string();
        let headers = [SECRET, ("x-user-id", decoded.as_str())];
        if decoded.is_ascii() {
            assert_eq!(api.ask("PUT /api/user/realtime", &headers, body).await.status, 200);
            let record = api.internal(&format!("GET /api/presence/{id}")).await.json();
            assert_eq!(
                (&record["userId"], &record["status"]),
                (&json!(decoded), &json!("IDLE"))
            );
            let ended = api.internal(&format!("DELETE /api/presence/{id}/sessions")).await;
            assert_eq!(ended.text, r#"{"ended":1}"#, "{id}");
        }
        let explained = api.internal(&format!("GET /api/presence/{id}/explain")).await.json();
        assert_eq!(
            (&explained["userId"], &explained["status"]),
            (&json!(decoded), &json!("OFFLINE"))
        );
        let response = api.internal(&format!("GET /api/user/custom-status/{id}")).await;
        assert_eq!(response.text, r#"{"customStatus":"ONLINE"}"#, "{id}");
        let forgotten = api.internal(&format!("DELETE /api/user/{id}")).await;
        assert_eq!(forgotten.text, r#"{"ended":0}"#, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn present_users_are_listed_page_by_page() {
    let api = ApiFixture::new().await;
    for index in 0..7 {
        let status = if index % 2 == 0 { "ONLINE" } else { "IDLE" };
        report(&api, &format!("user {index}"), json!({ "status": status })).await;
    }
    let (mut listed, mut next) = (Vec::new(), String::new());
    loop {
        let page = api.internal(&format!("GET /api/presence?limit=3{next}")).await.json();
        assert_eq!(page["counts"], json!({"ONLINE": 4, "IDLE": 3, "DO_NOT_DISTURB": 0}));
        for record in page["users"].as_array().unwrap() {
            listed.push(record["userId"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    let expected: Vec<String> = (0..7).map(|index| format!("user {index}")).collect();
    assert_eq!(listed, expected);
    let idle = api.internal("GET /api/presence?status=IDLE&prefix=user+").await.json();
    assert_eq!(idle["users"].as_array().unwrap().len(), 3);
    api.internal("GET /api/presence?limit=1001")
        .await
        .assert_error(400, "invalid_value");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_custom_statuses_and_reports_have_their_codes() {
    let api = ApiFixture::new().await;
    for index in 0..20 {
        assert_eq!(
            set_custom_status(&api, "anna", ["IDLE", "ONLINE"][index % 2])
                .await
                .status,
            200
        );
    }
    let rejected = set_custom_status(&api, "anna", "IDLE").await;
    rejected.assert_error(429, "rate_limited");
    let wait: Option<u64> = rejected.header("retry-after").and_then(|seconds| seconds.parse().ok());
    // All of ten seconds but for what the twenty took.
    assert!(wait.is_some_and(|seconds| (5..=10).contains(&seconds)), "{wait:?}");
    for index in 0..32 {
        let body = json!({"status": "ONLINE", "source": format!("s{index}")});
        assert_eq!(report(&api, "bert", body).await.status, 200);
    }
    report(&api, "bert", json!({"status": "ONLINE"}))
        .await
        .assert_error(429, "too_many");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_that_an_operator_set_the_custom_status() {
    let api = ApiFixture::new().await;
    let headers = [SECRET, ("x-user-id", "anna")];
    let body = r#"{"customStatus":"IDLE","by":"operator"}"#;
    let response = api.ask("PUT /api/user/custom-status", &headers, body).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["reason"], "no_session", "internal callers see why");
    let explained = api.internal("GET /api/presence/anna/explain").await.json();
    assert_eq!(explained["choice"]["setBy"], "operator");
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_are_served_to_internal_callers() {
    let api = ApiFixture::new().await;
    report(&api, "anna", json!({"status": "ONLINE"})).await;
    let stats = api.internal("GET /api/stats").await.json();
    assert_eq!(stats["users"]["ONLINE"], 1);
    assert_eq!(stats["sessions"]["reports"], 1);
    assert_eq!((&stats["node"], &stats["schemaVersion"]), (&json!("here"), &json!(4)));
    assert_eq!(stats["store"]["writable"], true);
    assert_eq!(stats["limits"], json!({"maxConnections": 100, "openFiles": 1000}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_is_its_only_node() {
    let api = ApiFixture::new().await;
    let answer = api.internal("GET /api/nodes").await.json();
    assert_eq!(answer["node"], "here");
    let node = json!({
        "name": "here",
        "incarnation": "0000000000000007",
        "address": "127.0.0.1:7420",
        "version": env!("CARGO_PKG_VERSION"),
        "connections": 0,
        "capacity": 100,
        "draining": false,
    });
    assert_eq!(answer["nodes"], json!([node]));
    assert_eq!(api.internal("GET /api/stats").await.json().get("cluster"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reports_of_a_source_are_ended_by_internal_callers() {
    let api = ApiFixture::new().await;
    report(&api, "anna", json!({"status": "ONLINE", "source": "mqtt.1_a-b"})).await;
    report(&api, "bert", json!({"status": "ONLINE", "source": "other"})).await;
    let refused = api
        .ask("DELETE /api/reports/other", &[("authorization", &token("anna"))], "")
        .await;
    assert_eq!(refused.status, 401);
    let ended = api.internal("DELETE /api/reports/mqtt.1_a-b").await;
    assert_eq!(ended.status, 200);
    assert_eq!(ended.text, r#"{"ended":1,"next":null}"#);
    assert_eq!(api.internal("GET /api/presence/anna").await.json()["status"], "OFFLINE");
    assert_eq!(api.internal("GET /api/presence/bert").await.json()["status"], "ONLINE");
    let again = api.internal("DELETE /api/reports/other?cursor=62657274").await;
    assert_eq!(again.json()["ended"], 0, "after bert");
    for (path, code) in [
        ("/api/reports/a%20b", "invalid_value"),
        ("/api/reports/", "not_found"),
        ("/api/reports/%zz", "invalid_value"),
        ("/api/reports/other?cursor=x", "invalid_value"),
    ] {
        let reply = api.internal(&format!("DELETE {path}")).await;
        assert_eq!(reply.json()["code"], code, "{path}");
    }
    assert_eq!(api.internal("GET /api/reports/other").await.status, 405);
}
