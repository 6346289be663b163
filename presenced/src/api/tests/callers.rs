//! Authorization of each call, and the rate limits of failed logins and handshakes.

use std::time::Duration;

use presence::Rate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fixture::{ANNA, ApiFixture, CUSTOM_STATUS_BODY, PROXY, SECRET, UNTRUSTED};
use crate::api::HealthCheck;
use crate::limits::Limits;

/// Every call that needs a credential, and whether a user's is enough.
const CALLS: [(&str, bool); 16] = [
    ("PUT /api/user/custom-status", true),
    ("GET /api/user/custom-status/anna", false),
    ("PUT /api/user/realtime", false),
    ("GET /api/presence/anna", true),
    ("POST /api/presence/query", true),
    ("GET /api/presence", false),
    ("GET /api/presence/anna/explain", false),
    ("DELETE /api/presence/anna/sessions", false),
    ("GET /api/presence/anna/revocation", false),
    ("PUT /api/presence/anna/revocation", false),
    ("DELETE /api/user/anna", false),
    ("DELETE /api/user/realtime", false),
    ("GET /api/stats", false),
    ("GET /api/nodes", false),
    ("PUT /api/nodes/here/drain", false),
    ("DELETE /api/nodes/here/drain", false),
];

#[tokio::test]
async fn without_a_credential_every_request_is_unauthenticated() {
    let api = ApiFixture::new().await;
    for (line, _) in CALLS {
        let reply = api.ask(line, &[("content-type", "text/plain")], "{").await;
        reply.assert_error(401, "unauthenticated");
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    api.ask("GET /api/presence/%zz", &[], "")
        .await
        .assert_error(401, "unauthenticated");
    api.ask("GET /api/presence?limit=0", &[], "")
        .await
        .assert_error(401, "unauthenticated");
}

#[tokio::test]
async fn internal_calls_reject_users_and_invalid_credentials() {
    let api = ApiFixture::new().await;
    for (index, (line, for_users)) in CALLS.into_iter().enumerate() {
        // Each from its own address: failed logins are counted.
        let peer = format!("198.51.100.{index}:1");
        let ask = async |headers: &[(&str, &str)]| api.ask_from(&peer, line, headers, CUSTOM_STATUS_BODY).await;
        if !for_users {
            ask(&[ANNA]).await.assert_error(401, "unauthenticated");
        }
        ask(&[ANNA, ("x-secret-token", "wrong")])
            .await
            .assert_error(403, "forbidden");
        ask(&[("authorization", "Basic x")])
            .await
            .assert_error(403, "forbidden");
    }
}

#[tokio::test]
async fn an_internal_call_without_its_user_has_its_own_code() {
    let api = ApiFixture::new().await;
    for line in ["PUT /api/user/custom-status", "PUT /api/user/realtime"] {
        api.ask(line, &[SECRET], CUSTOM_STATUS_BODY)
            .await
            .assert_error(400, "missing_user");
    }
}

#[tokio::test]
async fn a_user_may_not_set_a_custom_status_as_operator() {
    let api = ApiFixture::new().await;
    let body = r#"{"customStatus":"IDLE","by":"operator"}"#;
    api.ask("PUT /api/user/custom-status", &[ANNA], body)
        .await
        .assert_error(403, "forbidden");
}

#[tokio::test]
async fn after_ten_failed_logins_an_address_is_rate_limited() {
    let api = ApiFixture::new().await;
    let wrong = ("x-secret-token", "wrong");
    for _ in 0..10 {
        // A request without a credential is not a failed login.
        api.ask("GET /api/stats", &[], "")
            .await
            .assert_error(401, "unauthenticated");
        api.ask("GET /api/stats", &[wrong], "")
            .await
            .assert_error(403, "forbidden");
    }
    for header in [wrong, SECRET] {
        let reply = api.ask("GET /api/stats", &[header], "").await;
        reply.assert_error(429, "rate_limited");
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((30..=60).contains(&wait), "until the first is a minute ago: {wait}");
    }
    let another = api.ask_from("198.51.100.8:1", "GET /api/stats", &[SECRET], "").await;
    assert_eq!(another.status, 200);
}

#[tokio::test]
async fn a_trusted_proxy_is_exempt_but_its_clients_are_not() {
    let api = ApiFixture::new().await;
    let wrong = ("x-secret-token", "wrong");
    let client = ("x-forwarded-for", "203.0.113.9");
    for _ in 0..30 {
        api.ask_from(PROXY, "GET /api/stats", &[wrong], "")
            .await
            .assert_error(403, "forbidden");
    }
    for _ in 0..10 {
        api.ask_from(PROXY, "GET /api/stats", &[wrong, client], "")
            .await
            .assert_error(403, "forbidden");
    }
    let reply = api.ask_from(PROXY, "GET /api/stats", &[SECRET, client], "").await;
    reply.assert_error(429, "rate_limited");
    assert_eq!(api.ask_from(PROXY, "GET /api/stats", &[SECRET], "").await.status, 200);
}

#[tokio::test]
async fn handshakes_on_one_connection_or_through_a_proxy_are_counted() {
    let limits = Limits {
        handshakes: Rate {
            amount: 1,
            period: Duration::from_secs(60),
            burst: 3,
        },
        ..Limits::default()
    };
    let api = ApiFixture::with(limits, HealthCheck::default()).await;
    let client = ("x-forwarded-for", "203.0.113.9");
    for (peer, headers) in [(UNTRUSTED, &[][..]), (PROXY, &[client][..])] {
        for _ in 0..3 {
            assert_eq!(api.ask_from(peer, "GET /ws", headers, "").await.status, 200);
        }
        let reply = api.ask_from(peer, "GET /ws", headers, "").await;
        reply.assert_error(429, "rate_limited");
        assert_eq!(reply.header("retry-after"), Some("60"));
        assert_eq!(api.ask_from(peer, "GET /healthz", headers, "").await.status, 200);
    }
    for _ in 0..9 {
        assert_eq!(api.ask_from(PROXY, "GET /ws", &[], "").await.status, 200);
    }
}

/// The first line of the answer to a request on this connection.
async fn ask_on(client: &mut TcpStream, path: &str, header: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{header}\r\n");
    client.write_all(request.as_bytes()).await.expect("sent");
    let mut bytes = vec![0; 4096];
    let read = client.read(&mut bytes).await.expect("an answer");
    let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_connection_is_a_strangers_until_a_request_authenticates() {
    let api = ApiFixture::new().await;
    let server = api.serve();
    let mut client = TcpStream::connect(server.local_addr()).await.expect("a connection");
    let strangers = || api.state.connection_limit.http_and_strangers();
    for (path, header, status, expected) in [
        ("/healthz", "", "200", (1, 1)),
        ("/api/presence/anna", "x-secret-token: wrong\r\n", "403", (1, 1)),
        ("/api/presence/anna", "x-secret-token: test-secret\r\n", "200", (1, 0)),
        ("/healthz", "", "200", (1, 0)),
    ] {
        let answer = ask_on(&mut client, path, header).await;
        assert!(answer.contains(status), "{answer}");
        assert_eq!(strangers(), expected, "{path} {header}");
    }
}
