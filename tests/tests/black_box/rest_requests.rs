//! Invalid REST requests: bodies, sizes, parameters, methods, heads. Each gets an error code and has no effect.

use presence::Status;
use presence::wire::record::Record;
use presence::wire::rest::QueryResponse;
use presence_tests::rest::{Answer, send};
use presence_tests::{Daemon, RawClient, Rest};
use reqwest::Method;
use serde_json::{Value, json};

async fn put_custom_status_body(rest: &Rest, body: impl Into<Vec<u8>>) -> Answer {
    let request = rest.user("alice", Method::PUT, "/api/user/custom-status");
    send(request.header("content-type", "application/json").body(body.into())).await
}

async fn assert_nothing_changed(daemon: &Daemon, what: &str) {
    let record = daemon.rest().record("alice").await;
    assert_eq!((record.status, record.revision.get()), (Status::Offline, 0), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_object_is_rejected() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
    let deep_inside = format!(
        r#"{{"customStatus":"IDLE","x":{}1{}}}"#,
        r#"{"a":"#.repeat(8_000),
        "}".repeat(8_000)
    );
    let garbage: Vec<&[u8]> = vec![
        b"",
        b" ",
        b"{",
        b"}",
        b"null",
        b"[]",
        b"7",
        b"\"IDLE\"",
        b"true",
        b"nope",
        b"{}}",
        b"{} {}",
        br#"{"customStatus":"IDLE""#,
        br#"{"customStatus":"IDLE"} x"#,
        br#"{"customStatus":"IDLE",}"#,
        br#"{'customStatus':'IDLE'}"#,
        br#"{customStatus:"IDLE"}"#,
        br#"{"customStatus":"IDLE"/**/}"#,
        br#"{"customStatus":"IDLE","customStatus":"IDLE"}"#,
        br#"{"customStatus":"IDLE","\u0063ustomStatus":"ONLINE"}"#,
        br#"{"customStatus":"IDLE","x":{"y":1,"y":2}}"#,
        br#"{"x":1,"customStatus":"IDLE","x":2}"#,
        br#"{"customStatus":"IDLE","x":[{"y":1},{"y":1,"y":1}]}"#,
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{\"customStatus\":\"IDLE\"}",
        b"{\"customStatus\":\"IDLE\",\"x\":\"\xff\"}",
        b"{\"customStatus\":\"IDLE\",\"x\":\"\xed\xa0\x80\"}",
        br#"{"customStatus":"IDLE","x":"\ud800"}"#,
        b"{\"customStatus\":\"IDLE\",\"x\":\"\x00\"}",
        b"{\"customStatus\":\"IDLE\",\"x\":\"a\nb\"}",
        br#"{"customStatus":"IDLE","x":NaN}"#,
        br#"{"customStatus":"IDLE","x":01}"#,
        br#"{"customStatus":"IDLE","x":1e}"#,
        br#"{"customStatus":"IDLE","x":"\q"}"#,
        br#"{"customStatus":"IDLE","x":tru}"#,
        deep.as_bytes(),
        deep_inside.as_bytes(),
    ];
    for body in garbage {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let answer = put_custom_status_body(&rest, body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "invalid_json"),
            "{shown} {}",
            answer.body
        );
        assert_nothing_changed(&daemon, &shown).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_the_wrong_type_is_rejected() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    for value in [
        "7",
        "null",
        "true",
        "[]",
        "{}",
        "[\"IDLE\"]",
        "\"OFFLINE\"",
        "\"idle\"",
        "\"IDLE \"",
        "\"\"",
        "\"\\u0000\"",
    ] {
        let answer = put_custom_status_body(&rest, format!(r#"{{"customStatus":{value}}}"#)).await;
        assert_eq!(answer.status, 400, "{value}");
        answer.rejected(400, answer.code());
        assert_nothing_changed(&daemon, value).await;
    }
    for by in ["7", "\"admin\"", "\"Operator\"", "[]"] {
        let answer = put_custom_status_body(&rest, format!(r#"{{"customStatus":"IDLE","by":{by}}}"#)).await;
        assert_eq!(answer.status, 400, "{by}");
        assert_nothing_changed(&daemon, by).await;
    }
    let harmless = r#"{"customStatus":"IDLE","__proto__":{"x":1},"constructor":[null],"unknown":{"a":{"b":[1e300]}}}"#;
    assert_eq!(
        put_custom_status_body(&rest, harmless).await.status,
        200,
        "unknown fields are ignored"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn content_type_is_ignored_and_content_encoding_rejected() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    for kind in [
        "application/json; charset=utf-8",
        "application/x-www-form-urlencoded",
        "text/plain",
    ] {
        let request = rest
            .user("bob", Method::PUT, "/api/user/custom-status")
            .header("content-type", kind);
        assert_eq!(
            send(request.body(r#"{"customStatus":"IDLE"}"#)).await.status,
            200,
            "{kind}"
        );
    }
    for encoding in ["gzip", "br", "nonsense"] {
        let request = rest.user("alice", Method::PUT, "/api/user/custom-status");
        let request = request
            .header("content-encoding", encoding)
            .body(r#"{"customStatus":"IDLE"}"#);
        send(request).await.rejected(415, "unsupported_media_type");
        assert_nothing_changed(&daemon, encoding).await;
    }
}

fn padded(json: &str, bytes: usize) -> String {
    format!("{json}{}", " ".repeat(bytes - json.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_limited_in_size() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    const BODY: usize = 64 * 1024;
    const QUERY: usize = 1024 * 1024;
    for (bytes, status) in [(BODY - 1, 200), (BODY, 200), (BODY + 1, 413), (BODY * 10, 413)] {
        let answer = put_custom_status_body(&rest, padded(r#"{"customStatus":"IDLE"}"#, bytes)).await;
        assert_eq!(answer.status, status, "{bytes}");
        if status == 413 {
            answer.rejected(413, "too_large");
        }
    }
    for (bytes, status) in [(BODY + 1, 200), (QUERY - 1, 200), (QUERY, 200), (QUERY + 1, 413)] {
        let request = rest
            .internal(Method::POST, "/api/presence/query")
            .header("content-type", "application/json");
        let answer = send(request.body(padded(r#"{"userIds":["alice"]}"#, bytes))).await;
        assert_eq!(answer.status, status, "{bytes}");
    }
    let chunked = async |bytes: usize| {
        let mut raw = RawClient::connect(daemon.address()).await;
        raw.send(
            "PUT /api/user/custom-status HTTP/1.1\r\nhost: localhost\r\nx-user-id: bob\r\n\
             content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        )
        .await;
        for part in padded(r#"{"customStatus":"IDLE"}"#, bytes).as_bytes().chunks(1_000) {
            raw.send([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat())
                .await;
        }
        raw.send("0\r\n\r\n").await;
        raw.response().await
    };
    assert_eq!(chunked(BODY).await.status, 200);
    let refused = chunked(BODY + 1).await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "too_large"));
    let announced = async |length: &str| {
        let mut raw = RawClient::connect(daemon.address()).await;
        raw.send(format!(
            "PUT /api/user/custom-status HTTP/1.1\r\nhost: localhost\r\nx-user-id: bob\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        ))
        .await;
        raw.response().await.status
    };
    assert_eq!(announced("65537").await, 413, "refused before it is sent");
    assert_eq!(announced("99999999999999999999999").await, 400);
    assert_eq!(announced("-1").await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_limited_to_1000_users() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let ids: Vec<String> = (0..1_001).map(|index| format!("user-{index}")).collect();
    for count in [0, 1, 999, 1_000] {
        let answer: QueryResponse = rest.query(&ids[..count]).await.ok();
        assert_eq!(answer.users.len(), count);
    }
    rest.query(&ids).await.rejected(400, "too_many");
    let twice: QueryResponse = rest.query(&["b".into(), "a".into(), "b".into()]).await.ok();
    let names: Vec<&str> = twice.users.iter().map(|record| record.user_id.as_str()).collect();
    assert_eq!(names, ["b", "a", "b"], "in the order asked");
    for body in [
        json!({}),
        json!({"userIds": null}),
        json!({"userIds": "alice"}),
        json!({"userIds": [1]}),
        json!([]),
    ] {
        let answer = send(rest.internal(Method::POST, "/api/presence/query").json(&body)).await;
        assert_eq!(answer.status, 400, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn present_users_are_listed_in_pages() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    for index in 0..25 {
        let status = ["ONLINE", "IDLE", "DO_NOT_DISTURB"][index % 3];
        rest.report(&format!("user-{index:02}"), json!({"status": status}))
            .await
            .ok::<Record>();
    }
    rest.report("gone", json!({"status": "OFFLINE"})).await.ok::<Record>();
    let (mut listed, mut query) = (Vec::new(), "?limit=10".to_owned());
    loop {
        let page = rest.list(&query).await;
        assert!(page.users.len() <= 10);
        assert_eq!(
            (page.counts.online, page.counts.idle, page.counts.do_not_disturb),
            (9, 8, 8)
        );
        listed.extend(page.users.iter().map(|record| record.user_id.as_str().to_owned()));
        let Some(next) = page.next else { break };
        query = format!("?limit=10&cursor={}", presence_tests::rest::percent(&next));
    }
    assert_eq!(
        listed,
        (0..25).map(|index| format!("user-{index:02}")).collect::<Vec<_>>()
    );
    let idle = rest.list("?status=IDLE&limit=1000").await;
    assert_eq!(idle.users.len(), 8);
    assert!(idle.users.iter().all(|record| record.status == Status::Idle));
    assert_eq!(rest.list("?prefix=user-1").await.users.len(), 10);
    assert_eq!(rest.list("?prefix=user-1&status=IDLE").await.users.len(), 4);
    assert_eq!(rest.list("?prefix=nobody").await.users.len(), 0);
    assert_eq!(rest.list("?unknown=1&limit=1").await.users.len(), 1);
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=99999999999999999999",
        "status=AWAY",
        "status=online",
        "cursor=%FF",
        "prefix=%FF",
    ] {
        let answer = send(rest.internal(Method::GET, &format!("/api/presence?{bad}"))).await;
        assert_eq!(answer.status, 400, "{bad} {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_have_error_codes() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    for path in [
        "/",
        "/api",
        "/api/",
        "/api/presence/",
        "/api/user/alice/x",
        "/api/presence/a/b",
        "/openapi.yaml",
        "/favicon.ico",
        "//",
        "/api//presence",
        "/ws/",
        "/autobahn",
    ] {
        send(rest.internal(Method::GET, path)).await.rejected(404, "not_found");
    }
    for (method, path) in [
        ("POST", "/api/user/custom-status"),
        ("DELETE", "/api/user/custom-status/alice"),
        ("PATCH", "/api/user/realtime"),
        ("PUT", "/api/presence"),
        ("POST", "/api/stats"),
        ("POST", "/healthz"),
        ("BREW", "/metrics"),
        ("POST", "/ws"),
    ] {
        let answer = send(rest.internal(method.parse().unwrap(), path)).await;
        assert_eq!(
            (answer.status, answer.code()),
            (405, "method_not_allowed"),
            "{method} {path}"
        );
        assert!(answer.header("allow").is_some(), "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_request_head_is_rejected() {
    let daemon = Daemon::start(&[]).await;
    let many = (0..200).map(|index| format!("h{index}: x\r\n")).collect::<String>();
    let large = "x".repeat(64 * 1024);
    let heads = [
        "\r\n\r\n\r\n".to_owned(),
        "GET\r\n\r\n".into(),
        "GET /healthz\r\n\r\n".into(),
        "GET /healthz HTTP/9.9\r\n\r\n".into(),
        "GET /healthz HTTP/1.1\r\n\r\n".into(),
        "GET /healthz HTTP/1.1\r\nno colon\r\n\r\n".into(),
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nbad name: x\r\n\r\n".into(),
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\n\r\n".into(),
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: a\rb\r\n\r\n".into(),
        "GET /health z HTTP/1.1\r\nhost: localhost\r\n\r\n".into(),
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"),
        format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {large}\r\n\r\n"),
        format!("GET /{large} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        "PUT /api/user/custom-status HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello".into(),
        "PUT /api/user/custom-status HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip\r\n\r\nhello".into(),
        "PUT /api/user/custom-status HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n".into(),
        "CONNECT example.com:443 HTTP/1.1\r\nhost: localhost\r\n\r\n".into(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".into(),
    ];
    for head in heads {
        let shown: String = head.chars().take(100).collect();
        let mut raw = RawClient::connect(daemon.address()).await;
        raw.send(&head).await;
        let response = raw.response().await;
        assert!(
            response.status == 0 || (400..600).contains(&response.status),
            "{shown:?}: {}",
            response.head
        );
        assert_ne!(response.status, 500, "{shown:?}");
        assert_eq!(
            daemon.rest().get("/healthz").await.body["ok"],
            Value::Bool(true),
            "{shown:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smuggled_request_is_not_executed() {
    let daemon = Daemon::start(&[]).await;
    let secret = daemon.secret();
    let inner = format!("DELETE /api/user/alice HTTP/1.1\r\nhost: localhost\r\nx-secret-token: {secret}\r\n\r\n");
    daemon.rest().set_custom_status("alice", "IDLE").await.ok::<Record>();
    for head in [
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "content-length: 5\r\ntransfer-encoding: chunked",
    ] {
        let mut raw = RawClient::connect(daemon.address()).await;
        raw.send(format!(
            "POST /healthz HTTP/1.1\r\nhost: localhost\r\n{head}\r\n\r\n0\r\n\r\n"
        ))
        .await;
        let first = raw.response().await;
        assert!(first.status == 0 || first.status >= 400, "{}", first.head);
    }
    // An unexpected body must not be parsed as the next request.
    let mut raw = RawClient::connect(daemon.address()).await;
    raw.send(format!(
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{inner}",
        inner.len()
    ))
    .await;
    assert_eq!(raw.response().await.status, 200);
    assert_eq!(daemon.rest().custom_status("alice").await, "IDLE");
}
