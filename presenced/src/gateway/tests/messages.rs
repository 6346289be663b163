//! Messages and their replies.

use std::sync::Arc;
use std::time::Duration;

use presence::{Rate, Wall};
use serde_json::{Value, json};

use super::client::{BINARY, FINAL, close, frame};
use super::fixture::{GatewayFixture, GatewaySettings};
use crate::clock::Clock;
use crate::limits::Limits;

#[tokio::test(flavor = "multi_thread")]
async fn an_id_comes_back_digit_for_digit() {
    let fixture = GatewayFixture::new().await;
    let mut client = fixture.connect("anna").await;
    for id in [
        "1",
        "-0.10e5",
        "123456789012345678901234567890",
        r#""\u00e9 \"q\"""#,
        r#""""#,
    ] {
        client.say(&format!(r#"{{"type":"ping","id":{id}}}"#)).await;
        let super::client::Received::Frame(_, answer) = client.next().await else {
            panic!("no answer to {id}")
        };
        assert_eq!(
            String::from_utf8(answer).expect("text"),
            format!(r#"{{"type":"pong","id":{id}}}"#)
        );
    }
    client.say(r#"{"type":"ping"}"#).await;
    assert_eq!(client.json().await, json!({"type": "pong"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_keep_the_order_of_the_messages() {
    let fixture = GatewayFixture::new().await;
    let mut client = fixture.connect("anna").await;
    let mut expected = Vec::new();
    for turn in 0..10 {
        let messages = [
            json!({"type": "setStatus", "customStatus": if turn % 2 == 0 { "IDLE" } else { "ONLINE" }}),
            json!({"type": "ping"}),
            json!({"type": "activity"}),
        ];
        for (index, mut message) in messages.into_iter().enumerate() {
            let id = format!("{turn}.{index}");
            message["id"] = id.clone().into();
            client.say(&message.to_string()).await;
            expected.push(id);
        }
    }
    let mut answered: Vec<String> = Vec::new();
    while answered.len() < expected.len() {
        if let Some(id) = client.json().await["id"].as_str() {
            answered.push(id.to_owned());
        }
    }
    assert_eq!(answered, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_status_is_replied_to_and_sent_to_watchers() {
    let fixture = GatewayFixture::new().await;
    let mut anna = fixture.connect("anna").await;
    let mut bob = fixture.connect("bob").await;
    bob.say(r#"{"type":"watch","id":"w","userIds":["anna","nobody"]}"#)
        .await;
    let snapshot = bob.answer("w").await;
    assert_eq!(
        (&snapshot["type"], &snapshot["done"]),
        (&"snapshot".into(), &true.into())
    );
    assert_eq!(snapshot["users"].as_array().map(Vec::len), Some(2));
    anna.say(r#"{"type":"setStatus","id":"s","customStatus":"DO_NOT_DISTURB"}"#)
        .await;
    let ok = anna.answer("s").await;
    assert_eq!(
        (&ok["type"], &ok["user"]["customStatus"]),
        (&"ok".into(), &"DO_NOT_DISTURB".into())
    );
    let event = bob.json().await;
    assert_eq!(event["users"][0]["status"], "DO_NOT_DISTURB");
    bob.say(r#"{"type":"unwatch","id":"u","userIds":["anna"]}"#).await;
    assert_eq!(bob.answer("u").await, json!({"type": "ok", "id": "u"}));
    anna.say(r#"{"type":"setStatus","id":"t","customStatus":"IDLE"}"#).await;
    anna.answer("t").await;
    bob.say(r#"{"type":"ping"}"#).await;
    assert_eq!(bob.json().await["type"], "pong", "no event of whom one does not watch");
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_is_replied_to_only_with_an_id() {
    let fixture = GatewayFixture::new().await;
    let mut anna = fixture.connect("anna").await;
    anna.say(r#"{"type":"activity"}"#).await;
    anna.say(r#"{"type":"activity","id":1}"#).await;
    let first: Value = anna.json().await;
    assert_eq!((&first["type"], &first["id"]), (&"ok".into(), &1.into()));
    anna.say(r#"{"type":"activity","idle":true,"id":2}"#).await;
    let answers = [anna.json().await, anna.json().await];
    let ok = answers.iter().find(|answer| answer["type"] == "ok").expect("an answer");
    assert_eq!(ok["user"]["status"], "IDLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ok_with_a_record_has_a_now_not_before_its_times() {
    let begin = Wall::from_millis(1_800_000_000_000);
    let later = begin.after(Duration::from_secs(3600));
    let clock = Arc::new(Clock::manual(begin));
    let fixture = GatewayFixture::on_clock(Arc::clone(&clock), GatewaySettings::default()).await;
    let mut bert = fixture.connect("bert").await;
    clock.set_wall(later);
    let mut anna = fixture.connect("anna").await;
    clock.set_wall(begin);
    for message in [
        json!({"type": "resume", "sessionId": "none", "id": "m"}),
        json!({"type": "activity", "id": "m"}),
        json!({"type": "activity", "idle": true, "id": "m"}),
        json!({"type": "setStatus", "customStatus": "IDLE", "id": "m"}),
    ] {
        for (client, now) in [(&mut anna, later), (&mut bert, begin)] {
            client.say(&message.to_string()).await;
            let ok = client.answer("m").await;
            assert_eq!((&ok["type"], &ok["now"]), (&"ok".into(), &json!(now)), "{ok}");
            assert!(ok["user"]["lastSeen"].as_str() <= ok["now"].as_str(), "{ok}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_observers_may_send_different_messages() {
    let fixture = GatewayFixture::new().await;
    let mut anna = fixture.connect("anna").await;
    anna.say(r#"{"type":"watchAll","id":"a"}"#).await;
    assert_eq!(anna.answer("a").await["code"], "observers_only");
    let mut observer = fixture.observe().await;
    for message in [
        r#"{"type":"setStatus","customStatus":"IDLE","id":"o"}"#,
        r#"{"type":"activity","id":"o"}"#,
    ] {
        observer.say(message).await;
        assert_eq!(observer.answer("o").await["code"], "users_only", "{message}");
    }
    observer.say(r#"{"type":"watchAll","id":"all"}"#).await;
    let snapshot = observer.answer("all").await;
    assert_eq!(
        (&snapshot["type"], &snapshot["users"][0]["userId"]),
        (&"snapshot".into(), &"anna".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_custom_statuses_get_a_retry_delay() {
    let mut limits = Limits::default();
    (limits.custom_statuses.amount, limits.custom_statuses.burst) = (2, 2);
    let fixture = GatewayFixture::with(GatewaySettings {
        limits,
        ..GatewaySettings::default()
    })
    .await;
    let mut client = fixture.connect("anna").await;
    for id in ["a", "b", "c"] {
        client
            .say(&format!(r#"{{"type":"setStatus","id":"{id}","customStatus":"IDLE"}}"#))
            .await;
    }
    assert_eq!(client.answer("b").await["type"], "ok");
    let rejected = client.answer("c").await;
    assert_eq!(rejected["code"], "rate_limited");
    assert!(
        rejected["retryAfterMs"]
            .as_u64()
            .is_some_and(|millis| (1..=10_000).contains(&millis)),
        "{rejected}"
    );
    assert!(client.is_served().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_malformed_messages_are_errors_and_the_eleventh_is_4008() {
    let fixture = GatewayFixture::new().await;
    let mut client = fixture.connect("anna").await;
    for index in 0..10 {
        let bad = [
            "nope",
            r#"{"type":"nope","id":7}"#,
            r#"{"type":"setStatus","customStatus":"GONE"}"#,
        ][index % 3];
        client.say(bad).await;
        let error = client.json().await;
        assert_eq!(error["type"], "error", "{bad}");
        assert_eq!(error["id"].as_u64(), bad.contains("id\":7").then_some(7));
    }
    assert!(client.is_served().await);
    client.say("nope").await;
    assert_eq!(client.until_closed().await.code, Some(4008));
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_are_limited_over_the_whole_period() {
    // A bucket would let its burst through, and what is refilled meanwhile.
    let fixture = GatewayFixture::with(GatewaySettings {
        limits: Limits {
            bad_messages: Rate {
                amount: 15,
                period: Duration::from_secs(3600),
                burst: 5,
            },
            ..Limits::default()
        },
        ..GatewaySettings::default()
    })
    .await;
    let mut client = fixture.connect("anna").await;
    for _ in 0..15 {
        client.say("nope").await;
        assert_eq!(client.json().await["type"], "error");
    }
    client.say("nope").await;
    assert_eq!(client.until_closed().await.code, Some(4008));
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_messages_count_as_malformed() {
    let fixture = GatewayFixture::new().await;
    let mut client = fixture.connect("anna").await;
    for _ in 0..10 {
        client.send(&frame(FINAL | BINARY, b"{}")).await;
        assert_eq!(client.json().await["code"], "not_text");
    }
    client.send(&frame(FINAL | BINARY, b"{}")).await;
    assert_eq!(client.until_closed().await.code, Some(4008));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_watched_users_are_an_error_but_not_malformed() {
    let fixture = GatewayFixture::with(GatewaySettings {
        limits: Limits {
            watched_per_connection: 2,
            ..Limits::default()
        },
        ..GatewaySettings::default()
    })
    .await;
    let mut client = fixture.connect("anna").await;
    for _ in 0..12 {
        client.say(r#"{"type":"watch","id":"w","userIds":["a","b","c"]}"#).await;
        assert_eq!(client.answer("w").await["code"], "too_many_watched");
    }
    client.say(r#"{"type":"watch","id":"w","userIds":["a","b"]}"#).await;
    assert_eq!(client.answer("w").await["type"], "snapshot");
    client.say(r#"{"type":"watch","id":"w","userIds":["c"]}"#).await;
    assert_eq!(client.answer("w").await["code"], "too_many_watched");
    assert_eq!(fixture.engine.stats().sessions.watches, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_metrics_exist_from_the_start_and_none_are_added() {
    let fixture = GatewayFixture::with(GatewaySettings {
        limits: Limits {
            watched_per_connection: 2,
            ..Limits::default()
        },
        ..GatewaySettings::default()
    })
    .await;
    let before = fixture.metrics_text();
    for sample in [
        r#"messages_total{kind="setStatus"} 0"#,
        r#"refused_by_limit_total{limit="watched"} 0"#,
        r#"connection_ends_total{reason="lost",code="none"} 0"#,
    ] {
        assert!(before.contains(sample), "{sample}\n{before}");
    }
    let mut client = fixture.connect("anna").await;
    for message in [
        r#"{"type":"setStatus","customStatus":"IDLE","id":"w"}"#,
        r#"{"type":"activity","id":"w"}"#,
        r#"{"type":"watchAll","id":"w"}"#,
        r#"{"type":"unwatch","userIds":["a"],"id":"w"}"#,
        r#"{"type":"ping","id":"w"}"#,
        r#"{"type":"nonsense","id":"w"}"#,
        r#"{"type":"watch","userIds":["a","b","c"],"id":"w"}"#,
        r#"{"type":"watch","userIds":["a","b"],"id":"w"}"#,
        r#"{"type":"watch","userIds":["c"],"id":"w"}"#,
    ] {
        client.say(message).await;
        client.answer("w").await;
    }
    client.send(&close(1000, b"")).await;
    fixture
        .until("the end is counted", async |fixture| {
            let counted = r#"connection_ends_total{reason="closed",code="1000"} 1"#;
            fixture.metrics_text().contains(counted)
        })
        .await;
    let after = fixture.metrics_text();
    assert!(
        after.contains(r#"refused_by_limit_total{limit="watched"} 2"#),
        "{after}"
    );
    assert_eq!(before.lines().count(), after.lines().count(), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_cannot_be_read_is_refused_without_naming_a_path() {
    let fixture = GatewayFixture::new().await;
    let mut client = fixture.connect("anna").await;
    let database = rusqlite::Connection::open(fixture.database()).expect("the database");
    let rename = "ALTER TABLE report RENAME TO gone";
    database.execute_batch(rename).expect("no table of reports");
    client.say(r#"{"type":"watch","id":"w","userIds":["bert"]}"#).await;
    let refused = client.answer("w").await;
    assert_eq!(refused["code"], "store_unavailable", "{refused}");
    let message = refused["message"].as_str().expect("a message");
    assert!(
        message.contains("no such table") && !message.contains("presence.db"),
        "{message}"
    );
    assert_eq!(fixture.engine.stats().sessions.watches, 0);
}
