//! Keepalive, unfinished messages and expiring tokens, with short timeouts.

use std::time::Duration;

use super::client::{CONTINUATION, FINAL, PING, PONG, Received, TEXT, WsClient, frame};
use super::fixture::{GatewayFixture, GatewaySettings, plenty};
use crate::clock::Stopwatch;
use crate::limits::Limits;

fn quick() -> GatewaySettings {
    GatewaySettings {
        ping_interval: Duration::from_millis(1_000),
        // A busy machine looks in it, and answers in it.
        ping_timeout: Duration::from_millis(4_000),
        ..GatewaySettings::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_pinged_and_then_cut_off() {
    let fixture = GatewayFixture::with(quick()).await;
    let mut client = fixture.connect("anna").await;
    assert_eq!(client.next().await, Received::Frame(PING, Vec::new()));
    assert_eq!(fixture.explain("anna").await.sessions.len(), 1, "it has time to answer");
    assert_eq!(client.next().await, Received::End, "no close frame");
    let explain = fixture.explain("anna").await;
    assert!(explain.sessions.is_empty() && explain.grace.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_answers_pings_stays_connected() {
    let fixture = GatewayFixture::with(quick()).await;
    let mut client = fixture.connect("anna").await;
    let heard = fixture.explain("anna").await.sessions[0].last_heard;
    for round in 0..2 {
        assert_eq!(client.next().await, Received::Frame(PING, Vec::new()), "{round}");
        client.send(&frame(FINAL | PONG, b"")).await;
    }
    assert!(client.is_served().await);
    let session = fixture.explain("anna").await.sessions[0].clone();
    assert!(
        session.last_heard.since(heard) >= Duration::from_millis(1_900),
        "a pong counts as heard"
    );
    assert_eq!(session.last_active, None, "and is no activity");
}

/// The next frame; a ping comes only if the client has been silent for the interval.
async fn next_if_silent(client: &mut WsClient, silence: Stopwatch) -> Received {
    let received = client.next().await;
    let is_ping = matches!(received, Received::Frame(PING, _));
    assert!(!is_ping || silence.elapsed() >= quick().ping_interval, "{received:?}");
    received
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_messages_is_not_pinged() {
    let fixture = GatewayFixture::with(quick()).await;
    let mut client = fixture.connect("anna").await;
    let mut spoken = Duration::ZERO;
    let mut silence = Stopwatch::start();
    while spoken < Duration::from_millis(2_500) {
        let speaking = Stopwatch::start();
        client.say(r#"{"type":"ping","id":"served?"}"#).await;
        // A ping before the answer is for the silence before.
        let mut answer = next_if_silent(&mut client, silence).await;
        while matches!(answer, Received::Frame(PING, _)) {
            answer = next_if_silent(&mut client, silence).await;
        }
        let is_pong = matches!(&answer, Received::Frame(TEXT, pong) if pong.starts_with(br#"{"type":"pong""#));
        assert!(is_pong, "{answer:?}");
        silence = speaking;
        let pause = Duration::from_millis(50);
        let idle = tokio::time::timeout(pause, next_if_silent(&mut client, silence)).await;
        assert!(matches!(idle, Err(_) | Ok(Received::Frame(PING, _))), "{idle:?}");
        spoken += pause;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_message_is_4008_whatever_comes_between() {
    let fixture = GatewayFixture::with(GatewaySettings {
        limits: Limits {
            message_timeout: Duration::from_millis(1_500),
            messages: plenty(),
            ..Limits::default()
        },
        ..GatewaySettings::default()
    })
    .await;
    let mut whole = fixture.connect("whole").await;
    whole.send(&frame(TEXT, br#"{"type":"ping","#)).await;
    whole.send(&frame(FINAL | CONTINUATION, br#""id":"w"}"#)).await;
    assert_eq!(whole.answer("w").await["type"], "pong");

    let mut half = fixture.connect("half").await;
    half.send(frame(FINAL | TEXT, b"{}").split_at(3).0).await;
    assert_eq!(half.until_closed().await.code, Some(4008), "half a frame");

    let mut client: WsClient = fixture.connect("anna").await;
    client.send(&frame(TEXT, b"{")).await;
    let mut pongs = 0;
    let mut is_over = false;
    while !is_over {
        client.send(&frame(FINAL | PING, b"")).await;
        // As often as thirty times before the message is overdue.
        while let Ok(received) = tokio::time::timeout(Duration::from_millis(50), client.next()).await {
            match received {
                Received::Frame(PONG, _) => pongs += 1,
                Received::Frame(TEXT, _) => {
                    is_over = true;
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(pongs < 100, "never timed out");
    }
    let code = client.until_closed().await.code;
    assert_eq!(code, Some(4008));
    assert!(pongs >= 2, "{pongs}");
    let metrics_text = fixture.metrics_text();
    assert!(
        metrics_text.contains(r#"refused_by_limit_total{limit="unfinished_message"} 2"#),
        "{metrics_text}"
    );
    assert!(whole.is_served().await, "a finished message has no effect");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_when_its_token_expires() {
    let fixture = GatewayFixture::new().await;
    let bearer = format!("Bearer {}", fixture.token("anna", 3.0));
    let mut client = WsClient::open(fixture.address(), &[("authorization", &bearer)]).await;
    assert_eq!(client.json().await["type"], "welcome");
    assert!(client.is_served().await);
    let closed = client.until_closed().await;
    assert_eq!(
        (closed.code, closed.reason.as_deref(), closed.retry_after_ms),
        (Some(4001), Some("expired"), Some(0))
    );
    let explain = fixture.explain("anna").await;
    assert!(explain.grace.is_some(), "in grace, until new credentials come");
}
