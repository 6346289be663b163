//! Revoked tokens: connections end, older tokens are refused, and no handshake slips through in between.

use presence::SystemWall;

use super::client::{Closed, WsClient, request};
use super::fixture::{GatewayFixture, user};
use crate::clock::Clock;

/// Revokes what was issued until now. How many sessions ended.
async fn revoke(fixture: &GatewayFixture, name: &str) -> u64 {
    let now = SystemWall::from_millis(Clock::new().wall().as_millis() + 1);
    let revoked = fixture.engine.revoke_tokens(&user(name), now).await;
    revoked.expect("a revocation").ended
}

fn revoked() -> Closed {
    Closed {
        code: Some(4001),
        reason: Some("expired".to_owned()),
        retry_after_ms: Some(1_000),
    }
}

async fn head_of_handshake(fixture: &GatewayFixture, bearer: &str) -> (String, String) {
    let bytes = request("GET", &[("authorization", bearer)]);
    let mut client = WsClient::send_first(fixture.address(), bytes.as_bytes()).await;
    let head = client.head().await;
    let body = match head.starts_with("HTTP/1.1 101 ") {
        true => String::new(),
        false => client.body(&head).await,
    };
    (head, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_closes_with_4001_and_refuses_the_token() {
    let fixture = GatewayFixture::new().await;
    let bearer = format!("Bearer {}", fixture.token("anna", 60.0));
    let mut by_token = WsClient::open(fixture.address(), &[("authorization", &bearer)]).await;
    assert_eq!(by_token.json().await["type"], "welcome");
    let (mut by_proxy, mut other) = (fixture.connect("anna").await, fixture.connect("bob").await);
    assert_eq!(revoke(&fixture, "anna").await, 2);
    assert_eq!(by_token.until_closed().await, revoked());
    assert_eq!(by_proxy.until_closed().await, revoked());
    let explain = fixture.explain("anna").await;
    assert!(explain.grace.is_some(), "in grace, until new credentials come");
    assert!(other.is_served().await);

    let (head, body) = head_of_handshake(&fixture, &bearer).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert!(
        body.contains("forbidden") && body.contains("token was revoked"),
        "{body}"
    );
    let new = format!("Bearer {}", fixture.token("anna", 60.0));
    assert!(head_of_handshake(&fixture, &new).await.0.starts_with("HTTP/1.1 101 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_before_the_revocation_is_no_session_after_it() {
    let fixture = GatewayFixture::new().await;
    for name in ["anna", "bob"] {
        let bearer = format!("Bearer {}", fixture.token(name, 60.0));
        let held = fixture.store.hold_reads();
        let reads = fixture.store.read_requests();
        let bytes = request("GET", &[("authorization", &bearer)]);
        let mut client = WsClient::send_first(fixture.address(), bytes.as_bytes()).await;
        // The token was accepted, and the session is about to begin.
        fixture
            .until("the user is being loaded", async |fixture| {
                fixture.store.read_requests() > reads
            })
            .await;
        assert_eq!(revoke(&fixture, "anna").await, 0);
        drop(held);
        assert!(client.head().await.starts_with("HTTP/1.1 101 "));
        if name == "bob" {
            assert_eq!(client.json().await["type"], "welcome", "of another user");
            continue;
        }
        assert_eq!(client.until_closed().await, revoked());
        let explain = fixture.explain("anna").await;
        assert!(explain.sessions.is_empty() && explain.grace.is_none(), "{explain:?}");
    }
}
