//! User ids are untrusted text: every valid one is a distinct user, every other is rejected.

use presence::wire::record::Record;
use presence::wire::rest::QueryResponse;
use presence::{CustomStatus, Status};
use presence_tests::rest::{percent, send};
use presence_tests::{Daemon, RawClient};
use reqwest::Method;
use serde_json::json;

/// Valid ids, separated by bars.
const ALLOWED: &str = "a|A|query|realtime|custom-status|presence|user|sessions|explain|api|ws|__proto__|constructor|\
null|undefined|NaN|0|-1|-rf|true|...|.a|a.|a/b|/|//|a/../b|../etc/passwd|a%b|%|%2F|%2e%2e|%00|a+b|a b|a?b=c|a#b|a&b|\
a;b|a=b|a:b|a@b|a,b|a\\b|\\|a\"b|'; DROP TABLE profile; --|' OR 1=1 --|%_%|a*|[a-z]|<script>alert(1)</script>|{{7*7}}|\
${jndi:ldap://x}|$(reboot)|`reboot`|é|e\u{301}|ı|İ|ß|SS|Ω|𝒳|🦀|👩‍👩‍👧|\u{202e}evil|a\u{200b}b|\u{feff}a|\u{fffd}|\u{10ffff}|\
ﷺ|名前|user@example.com|00000000-0000-0000-0000-000000000000";

fn allowed() -> Vec<String> {
    let longest = ["x".repeat(127), "x".repeat(128), "ü".repeat(64), "🦀".repeat(32)];
    ALLOWED.split('|').map(str::to_owned).chain(longest).collect()
}

/// Invalid path segments: escapes, UTF-8, ids.
const REJECTED: &str = "%2E %2E%2E %2e%2e %00 a%00b %0A a%0Ab %0D%0A %09 %1B%5B31m %7F %C2%80 %C2%85 %20 %20a a%20 \
%C2%A0a a%E2%80%83 %E3%80%80 %FF %C0%AF %C0%80 %ED%A0%80 %F4%90%80%80 %E2%82 a%FFb %F8%88%80%80%80";

fn rejected_segments() -> Vec<String> {
    let too_long = [
        "x".repeat(129),
        percent(&"ü".repeat(65)),
        percent(&"🦀".repeat(33)),
        "x".repeat(4_000),
    ];
    REJECTED.split_whitespace().map(str::to_owned).chain(too_long).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_valid_user_id_is_a_distinct_user() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let ids = allowed();
    let word = |index: usize| ["IDLE", "DO_NOT_DISTURB", "ONLINE"][index % 3];
    for (index, id) in ids.iter().enumerate() {
        let saved: Record = rest.set_custom_status(id, word(index)).await.ok();
        assert_eq!(saved.user_id.as_str(), id);
        rest.report(id, json!({"status": "ONLINE"})).await.ok::<Record>();
    }
    for (index, id) in ids.iter().enumerate() {
        assert_eq!(rest.custom_status(id).await, word(index), "{id:?}");
        let record = rest.record(id).await;
        assert_eq!((record.user_id.as_str(), record.sessions), (id.as_str(), Some(1)));
        assert_eq!(rest.explain(id).await.user_id.as_str(), id);
    }
    let answer: QueryResponse = rest.query(&ids).await.ok();
    let answered: Vec<&str> = answer.users.iter().map(|record| record.user_id.as_str()).collect();
    assert_eq!(
        answered,
        ids.iter().map(String::as_str).collect::<Vec<_>>(),
        "in the order asked"
    );
    let mut sorted = ids.clone();
    sorted.sort();
    let page = rest.list("").await;
    let listed: Vec<&str> = page.users.iter().map(|record| record.user_id.as_str()).collect();
    assert_eq!(
        listed,
        sorted.iter().map(String::as_str).collect::<Vec<_>>(),
        "by their bytes"
    );
    for id in &ids {
        let page = rest.list(&format!("?prefix={}", percent(id))).await;
        let expected = ids.iter().filter(|other| other.starts_with(id.as_str())).count();
        assert_eq!(page.users.len(), expected, "{id:?}");
    }
    for (index, id) in ids.iter().enumerate() {
        assert_eq!(rest.kick(id).await, 1, "{id:?}");
        let told = rest.record(id).await;
        assert_eq!(rest.forget(id).await, 0);
        let gone = rest.record(id).await;
        assert_eq!((gone.status, gone.sessions), (Status::Offline, Some(0)), "{id:?}");
        assert_eq!(
            (gone.since, gone.last_seen, gone.last_active),
            (None, None, None),
            "{id:?}"
        );
        assert!(gone.revision > told.revision, "{id:?}: the removal's");
        if let Some(next) = ids.get(index + 1) {
            assert!(
                rest.record(next).await.status != Status::Offline,
                "{next:?} was not meant"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_user_ids_work_on_websocket_and_over_a_restart() {
    let mut daemon = Daemon::start(&[]).await;
    let ids = allowed();
    for id in &ids {
        let mut socket = daemon.socket(id).await;
        assert_eq!(socket.user.as_ref().unwrap().user_id.as_str(), id);
        assert_eq!(socket.set_custom_status("IDLE").await.user_id.as_str(), id);
        socket.close(Some(1000)).await;
    }
    daemon.flushed().await;
    daemon.crash_and_start_again().await;
    let mut bob = daemon.socket("bob").await;
    let snapshot = bob.watch(&ids).await;
    for id in &ids {
        let record = snapshot.record(id);
        assert_eq!(record.status, Status::Offline);
        assert!(record.last_active.is_some(), "{id:?}");
        assert_eq!(daemon.rest().custom_status(id).await, CustomStatus::Idle.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_user_id_in_a_path_is_rejected() {
    let daemon = Daemon::start(&[]).await;
    let secret = daemon.secret();
    for segment in rejected_segments() {
        for (method, path) in [
            ("GET", format!("/api/presence/{segment}")),
            ("GET", format!("/api/user/custom-status/{segment}")),
            ("GET", format!("/api/presence/{segment}/explain")),
            ("DELETE", format!("/api/presence/{segment}/sessions")),
            ("DELETE", format!("/api/user/{segment}")),
        ] {
            let mut raw = RawClient::connect(daemon.address()).await;
            raw.send(format!(
                "{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-secret-token: {secret}\r\n\r\n"
            ))
            .await;
            let response = raw.response().await;
            assert_eq!(
                (response.status, response.code().as_str()),
                (400, "invalid_user_id"),
                "{method} {path}"
            );
        }
    }
    for segment in ["", "%", "%2", "%zz", "a%", "a%g0"] {
        let mut raw = RawClient::connect(daemon.address()).await;
        let path = format!("/api/presence/{segment}/explain");
        raw.send(format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nx-secret-token: {secret}\r\n\r\n"
        ))
        .await;
        let response = raw.response().await;
        assert!(
            matches!(response.status, 200 | 400 | 404),
            "{segment}: {}",
            response.status
        );
        assert!(
            response.status != 200 || response.body.contains(segment),
            "{}",
            response.body
        );
    }
    let present = daemon.rest().list("").await;
    assert_eq!(present.users, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_user_id_in_header_or_body_is_rejected() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let long = "x".repeat(129);
    let headers: Vec<&[u8]> = vec![
        b".",
        b"..",
        b"a\tb",
        b"\xff",
        b"\xc0\xaf",
        b"a\xed\xa0\x80",
        b"\xc2\x85",
        long.as_bytes(),
    ];
    for value in headers {
        let name = [b"x-user-id: ", value, b"\r\n"].concat();
        let body = "content-type: application/json\r\ncontent-length: 23\r\n\r\n{\"customStatus\":\"IDLE\"}";
        let put = "PUT /api/user/custom-status HTTP/1.1\r\nhost: localhost\r\n";
        let upgrade = presence_tests::raw_client::upgrade_request("/ws", &[]);
        let upgrade = upgrade.strip_suffix("\r\n").unwrap();
        for request in [
            [put.as_bytes(), &name, body.as_bytes()].concat(),
            [upgrade.as_bytes(), &name, b"\r\n"].concat(),
        ] {
            let mut raw = RawClient::connect(daemon.address()).await;
            raw.send(request).await;
            let response = raw.response().await;
            assert_eq!(
                (response.status, response.code().as_str()),
                (400, "invalid_user_id"),
                "{value:?}"
            );
        }
    }
    let in_bodies = [
        "", ".", "..", " a", "a ", "a\u{0}", "a\nb", "\u{7f}", "\u{85}", "\u{a0}a", &long,
    ];
    for id in in_bodies {
        // Invalid messages are limited per connection, so each has a connection of its own.
        let mut bob = daemon.socket("bob").await;
        let request = rest.internal(Method::POST, "/api/presence/query");
        send(request.json(&json!({"userIds": ["alice", id]})))
            .await
            .rejected(400, "invalid_user_id");
        let answer = bob.ask(json!({"type": "watch", "userIds": ["alice", id]})).await;
        let text = format!("{answer:?}");
        assert!(text.contains("InvalidUserId"), "{id:?}: {text}");
    }
}
