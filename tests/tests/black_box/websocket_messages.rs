//! WebSocket messages: answers carry the id, invalid messages are answered up to a limit, handshakes are validated.

use presence::wire::error_code::Code;
use presence::wire::server_message::ServerMessage;
use presence_tests::frame::Frame;
use presence_tests::websocket::{ConnectionEnd, Socket};
use presence_tests::{Daemon, RawClient};
use serde_json::{Value, json};

async fn next_error(socket: &mut Socket) -> (Option<Value>, Code) {
    let what = "an error";
    match socket
        .expect(what, |message| matches!(message, ServerMessage::Error { .. }))
        .await
    {
        ServerMessage::Error { id, code, .. } => (id, code),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_message_is_answered_and_keeps_the_connection() {
    let daemon = Daemon::start(&[]).await;
    let deep = format!("{}{}", "[".repeat(8_000), "]".repeat(8_000));
    let cases: Vec<(&str, Code)> = vec![
        ("", Code::InvalidJson),
        ("{", Code::InvalidJson),
        ("nope", Code::InvalidJson),
        ("[]", Code::InvalidJson),
        ("7", Code::InvalidJson),
        ("{} {}", Code::InvalidJson),
        (&deep, Code::InvalidJson),
        (r#"{"type":"ping","type":"ping"}"#, Code::InvalidJson),
        (r#"{"type":"ping","x":{"y":1,"y":1}}"#, Code::InvalidJson),
        ("{\"type\":\"ping\",\"x\":\"\u{0}\"}", Code::InvalidJson),
        (r#"{"type":"nope"}"#, Code::UnknownType),
        (r#"{"type":""}"#, Code::UnknownType),
        (r#"{"type":"Ping"}"#, Code::UnknownType),
        (r#"{"type":"__proto__"}"#, Code::UnknownType),
        ("{}", Code::InvalidValue),
        (r#"{"type":7}"#, Code::InvalidValue),
        (r#"{"type":null}"#, Code::InvalidValue),
        (r#"{"type":"setStatus"}"#, Code::InvalidCustomStatus),
        (
            r#"{"type":"setStatus","customStatus":"OFFLINE"}"#,
            Code::InvalidCustomStatus,
        ),
        (
            r#"{"type":"setStatus","customStatus":["IDLE"]}"#,
            Code::InvalidCustomStatus,
        ),
        (r#"{"type":"activity","idle":"yes"}"#, Code::InvalidValue),
        (r#"{"type":"activity","agoMs":-1}"#, Code::InvalidValue),
        (r#"{"type":"watch"}"#, Code::InvalidValue),
        (r#"{"type":"watch","userIds":"alice"}"#, Code::InvalidValue),
        (r#"{"type":"watch","userIds":[1]}"#, Code::InvalidValue),
        (r#"{"type":"watch","userIds":["alice",""]}"#, Code::InvalidUserId),
        (r#"{"type":"watch","userIds":["alice"],"since":7}"#, Code::InvalidValue),
        (r#"{"type":"unwatch","userIds":null}"#, Code::InvalidValue),
        (r#"{"type":"watchAll"}"#, Code::ObserversOnly),
    ];
    for batch in cases.chunks(8) {
        // The custom status, which is asked for below, is unknown until the row was read.
        let mut bob = daemon.session("bob").await;
        for (text, code) in batch {
            bob.send_text(*text);
            let shown = &text[..text.len().min(80)];
            assert_eq!(next_error(&mut bob).await, (None, *code), "{shown}");
        }
        assert!(matches!(
            bob.ask(json!({"type": "ping"})).await,
            ServerMessage::Pong { .. }
        ));
        assert_eq!(bob.close(Some(1000)).await, ConnectionEnd::Closed(1000, String::new()));
    }
    assert_eq!(daemon.rest().custom_status("bob").await, "ONLINE");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_carries_the_id_of_its_request() {
    let daemon = Daemon::start(&[]).await;
    let mut bob = RawClient::user(daemon.address(), "bob").await;
    let longest = format!("\"{}\"", "x".repeat(64));
    for id in [
        "\"a\"",
        "\"\"",
        "7",
        "-7",
        "1.50",
        "1e3",
        "12345678901234567890123",
        "\"ü\\\"\\\\\"",
        &longest,
    ] {
        bob.send_frame(Frame::text(format!(r#"{{"type":"ping","id":{id}}}"#)))
            .await;
        let pong = bob.text_with("pong").await;
        assert!(pong.contains(&format!("\"id\":{id}")), "{id} {pong}");
        bob.send_frame(Frame::text(format!(r#"{{"type":"activity","id":{id}}}"#)))
            .await;
        assert!(bob.text_with("\"ok\"").await.contains(&format!("\"id\":{id}")));
    }
    bob.send_frame(Frame::text(r#"{"type":"nope","id":"kept"}"#)).await;
    assert!(
        bob.text_with("error").await.contains("\"id\":\"kept\""),
        "even of a message that is refused"
    );
    let too_long = format!("\"{}\"", "x".repeat(65));
    for id in ["{}", "[1]", "true", &too_long, &"1".repeat(65)] {
        bob.send_frame(Frame::text(format!(r#"{{"type":"ping","id":{id}}}"#)))
            .await;
        let error = bob.text_with("error").await;
        assert!(error.contains("invalid_value"), "{id} {error}");
        assert!(!error.contains("\"id\":"), "{error}");
    }
    bob.send_frame(Frame::text(r#"{"type":"ping","id":null}"#)).await;
    assert!(!bob.text_with("pong").await.contains("\"id\""), "null is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_is_answered_only_if_it_has_an_id() {
    let daemon = Daemon::start(&[]).await;
    let mut bob = daemon.socket("bob").await;
    bob.send(&json!({"type": "activity"}));
    bob.send(&json!({"type": "activity", "idle": false}));
    let pong = bob.ask(json!({"type": "ping"})).await;
    assert!(matches!(pong, ServerMessage::Pong { .. }));
    let before: Vec<_> = bob
        .unseen()
        .into_iter()
        .filter(|message| matches!(message, ServerMessage::Ok { .. }))
        .collect();
    assert_eq!(before, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binary_message_is_rejected_and_keeps_the_connection() {
    let daemon = Daemon::start(&[]).await;
    let mut bob = daemon.socket("bob").await;
    bob.send_binary(br#"{"type":"ping"}"#);
    assert_eq!(next_error(&mut bob).await, (None, Code::NotText));
    assert!(matches!(
        bob.ask(json!({"type": "ping"})).await,
        ServerMessage::Pong { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_messages_are_limited_to_ten_a_minute() {
    let daemon = Daemon::start(&[]).await;
    let mut bob = daemon.socket("bob").await;
    for index in 0..10 {
        match index % 3 {
            0 => bob.send_text("nope"),
            1 => bob.send_binary([0, 1, 2]),
            _ => bob.send(&json!({"type": "nope"})),
        }
        next_error(&mut bob).await;
    }
    assert!(matches!(
        bob.ask(json!({"type": "ping"})).await,
        ServerMessage::Pong { .. }
    ));
    bob.send_text("nope");
    let (code, reason, reconnect) = bob.goodbye().await;
    assert_eq!((code, reconnect), (4008, None), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_subprotocol_is_rejected() {
    let daemon = Daemon::start(&[]).await;
    let upgrade =
        async |headers: &[(&str, &str)]| RawClient::connect(daemon.address()).await.upgrade("/ws", headers).await;
    let user = ("x-user-id", "bob");
    for (offer, status) in [
        ("presence.v2", 400),
        ("chat, presence.v0", 400),
        ("PRESENCE.V1", 400),
        ("presence.v1", 101),
        ("chat, presence.v1", 101),
        ("presence.v1,chat", 101),
    ] {
        let response = upgrade(&[user, ("sec-websocket-protocol", offer)]).await;
        assert_eq!(response.status, status, "{offer}");
        let chosen = response.header("sec-websocket-protocol");
        assert_eq!(chosen, (status == 101).then_some("presence.v1"), "{offer}");
    }
    let none = upgrade(&[user]).await;
    assert_eq!((none.status, none.header("sec-websocket-protocol")), (101, None));
    let twice = upgrade(&[
        user,
        ("sec-websocket-protocol", "chat"),
        ("sec-websocket-protocol", "presence.v1"),
    ])
    .await;
    assert_eq!(twice.status, 101, "a list may be given in several lines");
    let extensions = upgrade(&[user, ("sec-websocket-extensions", "permessage-deflate")]).await;
    assert_eq!(
        (extensions.status, extensions.header("sec-websocket-extensions")),
        (101, None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_upgrade_is_rejected() {
    let daemon = Daemon::start(&[]).await;
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let cases = [
        ("", 426),
        (
            "connection: Upgrade\r\nupgrade: h2c\r\nsec-websocket-version: 13\r\n",
            426,
        ),
        ("upgrade: websocket\r\nsec-websocket-version: 13\r\n", 426),
        (
            "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 8\r\n",
            426,
        ),
        ("connection: Upgrade\r\nupgrade: websocket\r\n", 426),
    ];
    for (lines, status) in cases {
        let mut raw = RawClient::connect(daemon.address()).await;
        raw.send(format!(
            "GET /ws HTTP/1.1\r\nhost: localhost\r\nx-user-id: bob\r\n{key}{lines}\r\n"
        ))
        .await;
        let response = raw.response().await;
        assert!(matches!(response.status, 400 | 426), "{lines:?} {}", response.head);
        assert_eq!(
            (response.status, response.code().as_str()),
            (status, "upgrade_required"),
            "{lines:?}"
        );
    }
    for key in [
        "",
        "sec-websocket-key: \r\n",
        "sec-websocket-key: c2hvcnQ=\r\n",
        "sec-websocket-key: not base64 at all!!!!!!!\r\n",
    ] {
        let mut raw = RawClient::connect(daemon.address()).await;
        let lines = "connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-version: 13\r\n";
        raw.send(format!(
            "GET /ws HTTP/1.1\r\nhost: localhost\r\nx-user-id: bob\r\n{key}{lines}\r\n"
        ))
        .await;
        let response = raw.response().await;
        assert!(matches!(response.status, 400 | 426), "{key:?} {}", response.head);
    }
    assert_eq!(
        daemon.rest().record("bob").await.revision.get(),
        0,
        "bob was never here"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_may_not_watch_all_users() {
    let daemon = Daemon::start(&[]).await;
    let mut bob = daemon.socket("bob").await;
    let refused = bob.ask(json!({"type": "watchAll"})).await;
    assert!(
        matches!(
            refused,
            ServerMessage::Error {
                code: Code::ObserversOnly,
                ..
            }
        ),
        "{refused:?}"
    );
    let mut operator = daemon.observer().await;
    for message in [
        json!({"type": "setStatus", "customStatus": "IDLE"}),
        json!({"type": "activity"}),
    ] {
        let refused = operator.ask(message).await;
        assert!(
            matches!(
                refused,
                ServerMessage::Error {
                    code: Code::UsersOnly,
                    ..
                }
            ),
            "{refused:?}"
        );
    }
}
