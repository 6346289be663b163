//! How connections close, and what that means for the user.

use std::sync::Arc;
use std::time::Duration;

use presence::{Status, Wall};

use super::client::{BINARY, FINAL, PING, PONG, Received, WsClient, close, frame, text};
use super::fixture::{GatewayFixture, GatewaySettings, plenty, user};
use crate::clock::Clock;
use crate::limits::Limits;

async fn until_gone(fixture: &GatewayFixture, name: &str) {
    fixture
        .until("the session has ended", async |fixture| {
            fixture.explain(name).await.sessions.is_empty()
        })
        .await;
}

/// An end is counted after it took effect, so this waits.
async fn until_counted(fixture: &GatewayFixture, sample: &str) {
    fixture
        .until(sample, async |fixture| fixture.metrics_text().contains(sample))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_clean_close_skips_the_grace_period() {
    let fixture = GatewayFixture::new().await;
    for (code, status) in [(1000, Status::Offline), (1001, Status::Online), (4000, Status::Online)] {
        let name = format!("anna{code}");
        let mut client = fixture.connect(&name).await;
        client.send(&close(code, b"")).await;
        // Decided before the echo, and long before the socket is closed.
        assert!(matches!(client.next().await, Received::Frame(..)));
        let explain = fixture.explain(&name).await;
        assert_eq!((explain.status, explain.sessions.len()), (status, 0), "{code}");
        assert_eq!(client.next().await, Received::End);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_without_a_close_frame_starts_the_grace_period() {
    let fixture = GatewayFixture::new().await;
    let client = fixture.connect("ended").await;
    drop(client);
    let client = fixture.connect("reset").await;
    socket2::SockRef::from(&client.stream)
        .set_linger(Some(Duration::ZERO))
        .expect("an option");
    drop(client);
    for name in ["ended", "reset"] {
        until_gone(&fixture, name).await;
        assert!(fixture.explain(name).await.grace.is_some(), "{name}");
    }
    until_counted(&fixture, r#"connection_ends_total{reason="lost",code="none"} 2"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_client_was_last_active_with_its_last_message_not_a_ping() {
    let clock = Arc::new(Clock::manual(Wall::from_millis(1_700_000_000_000)));
    let fixture = GatewayFixture::on_clock(Arc::clone(&clock), GatewaySettings::default()).await;
    let kinds = [
        (
            "unwatch",
            text(r#"{"type":"unwatch","userIds":[]}"#),
            Some("unwatch"),
            true,
        ),
        ("ping-message", text(r#"{"type":"ping"}"#), Some("ping"), false),
        ("malformed", text("no JSON"), Some("refused"), true),
        ("binary", frame(FINAL | BINARY, b"x"), Some("binary"), true),
        ("ping", frame(FINAL | PING, b""), None, false),
        ("pong", frame(FINAL | PONG, b""), None, false),
    ];
    for (name, bytes, counted, is_active) in kinds {
        let mut client = fixture.connect(name).await;
        let connected = clock.wall();
        clock.advance(Duration::from_secs(1));
        client.send(&bytes).await;
        let heard = Some(clock.wall());
        fixture
            .until("heard", async |fixture| fixture.record(name).await.last_seen == heard)
            .await;
        // The handler reads the clock after the reader did, so the clock stands still until both are done.
        if let Some(kind) = counted {
            until_counted(&fixture, &format!("messages_total{{kind=\"{kind}\"}} 1")).await;
        }
        clock.advance(Duration::from_secs(1));
        drop(client);
        until_gone(&fixture, name).await;
        let record = fixture.record(name).await;
        let active = if is_active { heard } else { Some(connected) };
        assert_eq!((record.last_seen, record.last_active), (heard, active), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kicked_or_forgotten_user_gets_no_retry_delay() {
    let fixture = GatewayFixture::new().await;
    let mut kicked = fixture.connect("anna").await;
    assert_eq!(fixture.engine.kick(&user("anna")).await, Ok(1));
    let closed = kicked.until_closed().await;
    assert_eq!(
        (closed.code, closed.reason.as_deref(), closed.retry_after_ms),
        (Some(4003), Some("kicked"), None)
    );
    assert_eq!(fixture.record("anna").await.status, Status::Offline);
    let mut forgotten = fixture.connect("anna").await;
    assert_eq!(fixture.engine.forget(&user("anna")).await, Ok(1));
    let closed = forgotten.until_closed().await;
    assert_eq!((closed.code, closed.retry_after_ms), (Some(4010), None));
    assert_eq!(fixture.record("anna").await.status, Status::Offline);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ignores_the_close_frame_loses_its_socket() {
    let fixture = GatewayFixture::new().await;
    let mut stays = fixture.connect("anna").await;
    assert_eq!(fixture.engine.kick(&user("anna")).await, Ok(1));
    // It neither replies to the close frame nor closes.
    assert_eq!(stays.until_closed().await.code, Some(4003));
    fixture
        .until("the socket is given back", async |fixture| {
            fixture.connection_limit.open() == 0
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_sends_retry_delays_and_rejects_new_clients() {
    let fixture = GatewayFixture::new().await;
    let mut anna = fixture.connect("anna").await;
    let mut observer = fixture.observe().await;
    fixture.engine.begin_drain();
    for client in [&mut anna, &mut observer] {
        let closed = client.until_closed().await;
        assert_eq!((closed.code, closed.reason.as_deref()), (Some(1012), Some("restart")));
        assert!(closed.retry_after_ms.is_some_and(|millis| millis >= 500));
    }
    let explain = fixture.explain("anna").await;
    assert!(
        explain
            .grace
            .is_some_and(|grace| grace.until.since(explain.now).as_secs() > 20),
        "restart grace"
    );
    let request = super::client::request("GET", &[("x-user-id", "bob")]);
    let mut late = WsClient::send_first(fixture.address(), request.as_bytes()).await;
    assert!(late.head().await.starts_with("HTTP/1.1 503 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_does_not_wait_for_the_store() {
    let fixture = GatewayFixture::new().await;
    let mut anna = fixture.connect("anna").await;
    let blocker = rusqlite::Connection::open(fixture.database()).expect("the database");
    blocker.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    anna.say(r#"{"type":"setStatus","customStatus":"IDLE","id":"s"}"#).await;
    fixture
        .until("the message is read", async |fixture| {
            fixture.metrics_text().contains(r#"messages_total{kind="setStatus"} 1"#)
        })
        .await;
    fixture.engine.begin_drain();
    // Before the reply to setStatus, which waits for the store.
    assert_eq!(anna.json().await["type"], "goodbye");
    assert_eq!(anna.until_closed().await.code, Some(1012));
    blocker.execute_batch("ROLLBACK").expect("no lock");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_closed_without_affecting_others() {
    let fixture = GatewayFixture::with(GatewaySettings {
        limits: Limits {
            write_timeout: std::time::Duration::from_millis(700),
            messages: plenty(),
            bytes: plenty(),
            ..Limits::default()
        },
        ..GatewaySettings::default()
    })
    .await;
    let mut other = fixture.connect("bob").await;
    let mut slow = fixture.connect("anna").await;
    let ids: Vec<String> = (0..110).map(|index| format!("{index:0>120}")).collect();
    let watch = super::client::text(&serde_json::json!({"type": "watch", "userIds": ids}).to_string());
    // Each is answered by over 20 KB that nobody reads. Bounded: no socket buffers take 20 MB.
    for _ in 0..1_000 {
        let sent = tokio::time::timeout(std::time::Duration::from_millis(200), slow.send(&watch)).await;
        if sent.is_err() {
            break;
        }
    }
    until_gone(&fixture, "anna").await;
    assert!(fixture.explain("anna").await.grace.is_some());
    until_counted(&fixture, "slow_closes_total 1").await;
    assert!(other.is_served().await);
    fixture
        .until("the socket is given back", async |fixture| {
            fixture.connection_limit.open() == 1
        })
        .await;
}
