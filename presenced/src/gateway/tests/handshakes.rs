//! Handshakes and the welcome.

use std::sync::Arc;
use std::time::Duration;

use presence::Wall;
use serde_json::json;

use super::client::{FINAL, PING, PONG, Received, SECRET, WsClient, close, frame, request, text};
use super::fixture::{GatewayFixture, GatewaySettings};
use crate::clock::Clock;
use crate::limits::Limits;

#[tokio::test(flavor = "multi_thread")]
async fn the_welcome_of_a_user_has_its_own_record() {
    let fixture = GatewayFixture::new().await;
    let mut client = WsClient::open(fixture.address(), &[("x-user-id", "anna")]).await;
    let welcome = client.json().await;
    assert_eq!(welcome["type"], "welcome");
    assert_eq!(welcome["user"]["status"], "ONLINE");
    assert_eq!(welcome["user"]["sessions"], 1);
    assert_eq!(welcome["pingSeconds"], 25.0);
    assert_eq!(welcome["node"], "here");
    for field in ["sessionId", "now", "version"] {
        assert!(welcome[field].is_string(), "{field}: {welcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_is_not_a_session() {
    let fixture = GatewayFixture::new().await;
    let mut observer = fixture.observe().await;
    assert!(observer.is_served().await);
    let sessions = fixture.engine.stats().sessions;
    assert_eq!((sessions.connections, sessions.observers), (0, 1));
    observer.send(&close(1000, b"")).await;
    assert_eq!(observer.until_closed().await.code, Some(1000));
    fixture
        .until("the observer is gone", async |fixture| {
            fixture.engine.stats().sessions.observers == 0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_sent_with_the_handshake_are_not_lost() {
    let fixture = GatewayFixture::new().await;
    let mut bytes = request("GET", &[("x-user-id", "anna")]).into_bytes();
    bytes.extend(text(r#"{"type":"ping","id":"early"}"#));
    bytes.extend(frame(FINAL | PING, b"early too"));
    let late = text(r#"{"type":"ping","id":"late"}"#);
    let (now, later) = late.split_at(9);
    bytes.extend(now);
    let mut client = WsClient::send_first(fixture.address(), &bytes).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.json().await["type"], "welcome");
    assert_eq!(client.json().await["id"], "early");
    assert_eq!(client.next().await, Received::Frame(PONG, b"early too".to_vec()));
    client.send(later).await;
    assert_eq!(client.json().await["id"], "late");
}

/// Nothing announces that there is more, and the first message waits for the engine.
#[tokio::test(flavor = "multi_thread")]
async fn messages_sent_with_the_handshake_are_all_handled() {
    const MESSAGES: usize = 90;
    let fixture = GatewayFixture::new().await;
    let mut bytes = request("GET", &[("x-user-id", "anna")]).into_bytes();
    bytes.extend(text(r#"{"type":"watch","userIds":["bob"]}"#));
    for number in 0..MESSAGES {
        bytes.extend(text(&format!(r#"{{"type":"ping","id":{number}}}"#)));
    }
    let mut client = WsClient::send_first(fixture.address(), &bytes).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.json().await["type"], "welcome");
    let mut answered = Vec::new();
    while answered.len() < MESSAGES {
        let message = client.json().await;
        if message["type"] == "pong" {
            answered.push(message["id"].as_u64());
        }
    }
    assert!(
        answered.iter().zip(0..).all(|(id, number)| *id == Some(number)),
        "{answered:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_handshake_is_an_http_error_and_no_session() {
    let fixture = GatewayFixture::new().await;
    let anna = ("x-user-id", "anna");
    type HandshakeCase<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: [HandshakeCase<'_>; 7] = [
        ("GET", &[], "401", "unauthenticated"),
        ("GET", &[anna, ("x-secret-token", "wrong")], "403", "forbidden"),
        ("GET", &[anna, ("upgrade", "h2c")], "426", "upgrade_required"),
        (
            "GET",
            &[anna, ("sec-websocket-version", "8")],
            "426",
            "upgrade_required",
        ),
        ("GET", &[anna, ("sec-websocket-key", "short")], "400", "invalid_header"),
        (
            "GET",
            &[anna, ("sec-websocket-protocol", "chat")],
            "400",
            "invalid_value",
        ),
        ("GET", &[anna, ("content-length", "2")], "400", "invalid_header"),
    ];
    for (method, headers, status, code) in cases {
        let mut client = WsClient::send_first(fixture.address(), request(method, headers).as_bytes()).await;
        let head = client.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{headers:?}: {head}");
        assert!(head.contains("application/problem+json"), "{head}");
        let body = client.body(&head).await;
        assert!(body.contains(&format!("\"code\":\"{code}\"")), "{headers:?}: {body}");
        if status == "426" {
            assert!(head.contains("sec-websocket-version: 13"), "{head}");
        }
    }
    for method in ["HEAD", "OPTIONS", "POST", "PUT"] {
        let mut client = WsClient::send_first(fixture.address(), request(method, &[anna]).as_bytes()).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 405 "), "{method}: {head}");
        assert!(head.contains("\r\nallow: GET\r\n"), "{method}: {head}");
    }
    assert_eq!(fixture.record("anna").await.revision.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_subprotocol_is_accepted_and_never_sent_back() {
    let fixture = GatewayFixture::new().await;
    let offer = format!("presence.v1, bearer.{}", fixture.token("anna", 60.0));
    let mut client = WsClient::send_first(
        fixture.address(),
        request("GET", &[("sec-websocket-protocol", &offer)]).as_bytes(),
    )
    .await;
    let head = client.head().await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-protocol: presence.v1\r\n"), "{head}");
    assert!(!head.contains("bearer"), "{head}");
    assert_eq!(client.json().await["user"]["userId"], "anna");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_too_many_is_4029_and_never_counted() {
    let fixture = GatewayFixture::with(GatewaySettings {
        limits: Limits {
            sessions_per_user: 2,
            ..Limits::default()
        },
        ..GatewaySettings::default()
    })
    .await;
    let mut first = fixture.connect("anna").await;
    let _second = fixture.connect("anna").await;
    let before = fixture.record("anna").await;
    let mut third = WsClient::open(fixture.address(), &[("x-user-id", "anna")]).await;
    let closed = third.until_closed().await;
    assert_eq!(closed.code, Some(4029));
    assert_eq!(closed.reason.as_deref(), Some("too_many_sessions"));
    assert!(closed.retry_after_ms.is_some_and(|millis| millis > 0));
    assert_eq!(fixture.record("anna").await, before);
    assert_eq!(fixture.engine.stats().sessions.connections, 2, "nor counted as one");
    assert!(first.is_served().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permit_is_released_when_its_connection_ends() {
    let fixture = GatewayFixture::new().await;
    let client = fixture.connect("anna").await;
    let observer = WsClient::open(fixture.address(), &[("x-secret-token", SECRET)]).await;
    assert_eq!(fixture.connection_limit.open(), 2);
    drop((client, observer));
    fixture
        .until("both permits are released", async |fixture| {
            fixture.connection_limit.open() == 0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_neither_an_http_connection_nor_a_stranger() {
    let fixture = GatewayFixture::new().await;
    let mut client = WsClient::send_first(fixture.address(), request("GET", &[("x-user-id", "anna")]).as_bytes()).await;
    let head = client.head().await;
    assert!(!head.contains("keep-alive"), "{head}");
    assert_eq!(client.json().await["type"], "welcome");
    assert_eq!(fixture.connection_limit.open(), 1);
    assert_eq!(fixture.connection_limit.http_and_strangers(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn now_of_a_welcome_is_not_before_the_times_in_it() {
    let begin = Wall::from_millis(1_800_000_000_000);
    let clock = Arc::new(Clock::manual(begin));
    let fixture = GatewayFixture::on_clock(Arc::clone(&clock), GatewaySettings::default()).await;
    clock.set_wall(begin.after(Duration::from_secs(3600)));
    let _first = fixture.connect("anna").await;
    clock.set_wall(begin);
    for (name, now) in [("anna", begin.after(Duration::from_secs(3600))), ("bert", begin)] {
        let mut client = WsClient::open(fixture.address(), &[("x-user-id", name)]).await;
        let welcome = client.json().await;
        for time in [&welcome["now"], &welcome["user"]["lastSeen"], &welcome["user"]["since"]] {
            assert_eq!(time, &json!(now), "{welcome}");
        }
    }
}
