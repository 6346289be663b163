//! Authentication: secrets, duplicate and spoofed headers, proxies, `Host` and `Origin`.

use presence::wire::record::Record;
use presence_tests::daemon::Setup;
use presence_tests::jwt::{claims, hs256};
use presence_tests::rest::{percent, send};
use presence_tests::{Daemon, RawClient, Rest};
use reqwest::Method;
use serde_json::json;

/// Sets the custom status of alice with these header lines, on a connection of its own; returns the status and the
/// code.
async fn put_custom_status_raw(daemon: &Daemon, headers: &[&str]) -> (u16, String) {
    let body = r#"{"customStatus":"IDLE"}"#;
    let host = if headers.iter().any(|line| line.starts_with("host")) {
        ""
    } else {
        "host: localhost\r\n"
    };
    let mut request = format!("PUT /api/user/custom-status HTTP/1.1\r\n{host}");
    for line in headers {
        request.push_str(&format!("{line}\r\n"));
    }
    request.push_str(&format!(
        "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let mut raw = RawClient::connect(daemon.address()).await;
    raw.send(request).await;
    let response = raw.response().await;
    (response.status, response.code())
}

async fn assert_unseen(daemon: &Daemon, what: &str) {
    assert_eq!(daemon.rest().record("alice").await.revision.get(), 0, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_credential_is_rejected() {
    let daemon = Daemon::start(&[]).await;
    let secret = format!("x-secret-token: {}", daemon.secret());
    let token = format!(
        "authorization: Bearer {}",
        hs256(&daemon.jwt_key(), &claims("alice", 3_600))
    );
    let user = "x-user-id: alice";
    for headers in [
        [user, user, &secret],
        [user, "X-User-Id: bob", &secret],
        [user, &secret, &secret],
        [user, &secret, "x-secret-token: wrong"],
        [&token, &token, user],
    ] {
        assert_eq!(
            put_custom_status_raw(&daemon, &headers).await,
            (400, "invalid_header".into()),
            "{headers:?}"
        );
        assert_unseen(&daemon, &headers.join(" ")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_credential_is_rejected_beside_a_valid_one() {
    let daemon = Daemon::start(&[]).await;
    let secret = format!("x-secret-token: {}", daemon.secret());
    let token = format!(
        "authorization: Bearer {}",
        hs256(&daemon.jwt_key(), &claims("alice", 3_600))
    );
    let others = format!(
        "authorization: Bearer {}",
        hs256(&daemon.jwt_key(), &claims("bob", 3_600))
    );
    for headers in [
        vec![&*token, "x-secret-token: wrong"],
        vec![&secret, "x-user-id: alice", "authorization: Bearer nonsense"],
        vec!["x-user-id: alice", "x-secret-token: wrong"],
        vec!["x-user-id: alice", "authorization: Bearer nonsense"],
        vec![&others, "x-user-id: alice"],
        vec![&others, "x-user-id: alice", &secret],
    ] {
        assert_eq!(
            put_custom_status_raw(&daemon, &headers).await,
            (403, "forbidden".into()),
            "{headers:?}"
        );
        assert_unseen(&daemon, &headers.join(" ")).await;
    }
    for headers in [
        vec![&*token],
        vec![&token, "x-user-id: alice"],
        vec![&secret, "x-user-id: alice"],
    ] {
        assert_eq!(put_custom_status_raw(&daemon, &headers).await.0, 200, "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_id_through_an_untrusted_proxy_is_rejected() {
    let daemon = Daemon::start(&[]).await;
    let secret = format!("x-secret-token: {}", daemon.secret());
    let signs = [
        "Forwarded: for=192.0.2.1",
        "Via: 1.1 proxy",
        "X-Real-IP: 127.0.0.1",
        "X-Forwarded-For: 127.0.0.1",
        "x-forwarded-proto: https",
        "X-FORWARDED-HOST: localhost",
        "X-Forwarded-Anything:",
    ];
    for sign in signs {
        let answer = put_custom_status_raw(&daemon, &["x-user-id: alice", sign]).await;
        assert_eq!(answer, (403, "forbidden".into()), "{sign}");
        assert_unseen(&daemon, sign).await;
        let mut raw = RawClient::connect(daemon.address()).await;
        let (name, value) = sign.split_once(':').unwrap();
        let response = raw.upgrade("/ws", &[("x-user-id", "alice"), (name, value)]).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (403, "forbidden"),
            "{sign}"
        );
    }
    assert_eq!(
        put_custom_status_raw(&daemon, &["x-user-id: alice", signs[0], &secret])
            .await
            .0,
        200,
        "with the secret it is"
    );
    let named = Daemon::start(&["--trusted-proxy", "127.0.0.0/8"]).await;
    assert_eq!(
        put_custom_status_raw(&named, &["x-user-id: alice", signs[3]]).await.0,
        200,
        "a named proxy is believed"
    );
    let another = Daemon::start(&["--trusted-proxy", "192.0.2.0/24"]).await;
    assert_eq!(
        put_custom_status_raw(&another, &["x-user-id: alice"]).await.0,
        403,
        "only the named one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_host_header_is_rejected() {
    let daemon = Daemon::start(&["--allowed-origin", "https://app.example:8443"]).await;
    let port = daemon.address().port();
    for (host, expected) in [
        ("evil.example", 421),
        ("evil.example:80", 421),
        ("localhost.evil.example", 421),
        ("app.example.evil", 421),
        ("10.0.0.1", 421),
        ("[2001:db8::1]", 421),
        ("", 421),
        ("127.0.0.1@evil.example", 400),
    ] {
        let host_line = format!("host: {host}");
        let (status, code) = put_custom_status_raw(&daemon, &[&host_line, "x-user-id: alice"]).await;
        assert_eq!(status, expected, "{host:?}: {code}");
        assert_unseen(&daemon, host).await;
    }
    assert_eq!(
        put_custom_status_raw(&daemon, &["host: evil.example", "x-user-id: alice"]).await,
        (421, "misdirected_request".into())
    );
    let twice = put_custom_status_raw(&daemon, &["host: localhost", "host: evil.example", "x-user-id: alice"]).await;
    assert_eq!(twice, (400, "invalid_header".into()));
    assert_unseen(&daemon, "two hosts").await;
    let ours = [
        format!("127.0.0.1:{port}"),
        "LOCALHOST".into(),
        "[::1]:1".into(),
        "127.9.9.9".into(),
        "app.example".into(),
    ];
    for host in ours {
        let host_line = format!("host: {host}");
        assert_eq!(
            put_custom_status_raw(&daemon, &[&host_line, "x-user-id: alice"])
                .await
                .0,
            200,
            "{host}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_cannot_open_a_websocket() {
    let daemon = Daemon::start(&["--allowed-origin", "https://app.example"]).await;
    let own = format!("http://{}", daemon.address());
    let upgrade = async |origin: &str| {
        let mut raw = RawClient::connect(daemon.address()).await;
        raw.upgrade("/ws", &[("x-user-id", "alice"), ("origin", origin)]).await
    };
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example:444",
        "https://app.example.evil",
        "https://sub.app.example",
        "null",
        "",
        "https://app.example, https://evil.example",
        "http://localhost.evil.example",
    ] {
        let response = upgrade(origin).await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (403, "forbidden"),
            "{origin}"
        );
        assert_unseen(&daemon, origin).await;
    }
    for origin in ["https://app.example", &own] {
        assert_eq!(upgrade(origin).await.status, 101, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_allowed_origins_may_call_the_user_api() {
    let daemon = Daemon::start(&["--allowed-origin", "https://app.example"]).await;
    let rest = daemon.rest();
    let preflight = async |origin: &str| {
        let request = rest
            .request(Method::OPTIONS, "/api/user/custom-status")
            .header("origin", origin);
        let request = request.header("access-control-request-method", "PUT");
        send(request.header("access-control-request-headers", "authorization,content-type")).await
    };
    let allowed = preflight("https://app.example").await;
    assert!((200..300).contains(&allowed.status), "{}", allowed.status);
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert!(allowed.header("access-control-allow-methods").unwrap().contains("PUT"));
    assert!(
        allowed
            .header("access-control-allow-headers")
            .unwrap()
            .to_lowercase()
            .contains("authorization")
    );
    for origin in ["https://evil.example", "null", "https://app.example.evil"] {
        let refused = preflight(origin).await;
        assert_eq!(refused.header("access-control-allow-origin"), None, "{origin}");
        let request = rest
            .user("alice", Method::GET, "/api/presence/bob")
            .header("origin", origin);
        let answer = send(request).await;
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
    }
    let request = rest
        .user("alice", Method::GET, "/api/presence/bob")
        .header("origin", "https://app.example");
    let answer = send(request).await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_are_valid_during_a_rotation() {
    use std::os::unix::fs::PermissionsExt;
    let home = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let path = home.path().join("secrets");
    std::fs::write(&path, "the-new-secret-0123456789\nthe-old-secret-0123456789\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let daemon = Daemon::start(&["--secret-file", path.to_str().unwrap()]).await;
    let rest = presence_tests::Rest::new(daemon.address(), "the-new-secret-0123456789".into());
    rest.record("alice").await;
    let rest = presence_tests::Rest::new(daemon.address(), "the-old-secret-0123456789".into());
    rest.record("alice").await;
    for wrong in [
        "the-new-secret-0123456789\\n",
        "the-new-secret",
        "the-new-secret-0123456789the-old-secret-0123456789",
    ] {
        let rest = presence_tests::Rest::new(daemon.address(), wrong.into());
        send(rest.internal(Method::GET, "/api/stats"))
            .await
            .rejected(403, "forbidden");
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let failure = Daemon::start_failure(&home, &["--secret-file", path.to_str().unwrap()]).await;
    assert!(!failure.status.success());
    assert!(failure.stderr.contains("secrets"), "{failure:?}");
    assert!(!failure.stderr.contains("the-new-secret"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn internal_calls_need_the_secret() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let calls = [
        (Method::GET, "/api/user/custom-status/alice"),
        (Method::PUT, "/api/user/realtime"),
        (Method::GET, "/api/presence"),
        (Method::GET, "/api/presence/alice/explain"),
        (Method::DELETE, "/api/presence/alice/sessions"),
        (Method::DELETE, "/api/user/alice"),
        (Method::GET, "/api/stats"),
    ];
    for (method, path) in calls {
        let bare = || rest.request(method.clone(), path);
        send(bare()).await.rejected(401, "unauthenticated");
        send(bare().header("x-user-id", "alice"))
            .await
            .rejected(401, "unauthenticated");
        let token = hs256(&daemon.jwt_key(), &claims("alice", 3_600));
        send(bare().bearer_auth(token)).await.rejected(401, "unauthenticated");
        send(bare().header("x-secret-token", "wrong"))
            .await
            .rejected(403, "forbidden");
        send(bare().header("x-secret-token", daemon.secret().to_uppercase()))
            .await
            .rejected(403, "forbidden");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(rest.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_see_only_public_fields_of_others() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let _alice = daemon.socket("alice").await;
    rest.set_custom_status("alice", "DO_NOT_DISTURB").await.ok::<Record>();
    let path = format!("/api/presence/{}", percent("alice"));
    let as_user = async |user: &str| send(rest.user(user, Method::GET, &path)).await.ok::<Record>();
    let (own, public, internal) = (as_user("alice").await, as_user("bob").await, rest.record("alice").await);
    assert!(own.custom_status.is_some() && own.sessions.is_some() && own.reason.is_none() && own.nodes.is_none());
    assert!(public.custom_status.is_none() && public.sessions.is_none());
    assert!(public.reason.is_none() && public.nodes.is_none());
    assert!(internal.custom_status.is_some() && internal.sessions.is_some());
    assert!(internal.reason.is_some() && internal.nodes.is_some());
    let both = rest
        .user("alice", Method::POST, "/api/presence/query")
        .json(&json!({"userIds": ["alice", "bob"]}));
    let answer: presence::wire::rest::QueryResponse = send(both).await.ok();
    assert!(answer.users[0].custom_status.is_some() && answer.users[1].custom_status.is_none());
    send(rest.request(Method::GET, &path))
        .await
        .rejected(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_are_limited_to_ten_a_minute() {
    // Loopback is exempt while it is a trusted proxy.
    let daemon = Daemon::start(&["--trusted-proxy", "192.0.2.0/24"]).await;
    // Each node counts by itself.
    let rest = Rest::new(daemon.address_of_node(), daemon.secret());
    let wrong = || {
        send(
            rest.request(Method::GET, "/api/stats")
                .header("x-secret-token", "wrong"),
        )
    };
    for _ in 0..10 {
        wrong().await.rejected(403, "forbidden");
    }
    let limited = wrong().await;
    limited.rejected(429, "rate_limited");
    assert!(limited.header("retry-after").is_some());
    let exempt = Daemon::start(&[]).await;
    for _ in 0..30 {
        let rest = exempt.rest();
        send(
            rest.request(Method::GET, "/api/stats")
                .header("x-secret-token", "wrong"),
        )
        .await
        .rejected(403, "forbidden");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listening_beyond_loopback_needs_a_proxy_or_insecure() {
    for (listen, flags, starts) in [
        ("0.0.0.0:0", vec![], false),
        ("0.0.0.0:0", vec!["--insecure"], true),
        ("0.0.0.0:0", vec!["--trusted-proxy", "192.0.2.0/24"], true),
        ("127.0.0.2:0", vec![], true),
    ] {
        let setup = Setup::new(&flags).listening_on(listen);
        assert_eq!(setup.try_start().await.is_ok(), starts, "{listen} {flags:?}");
    }
}
