//! Messages from the server: what `frame` encodes is what a client parses.

use presence::wire::client_message::{Envelope, MessageId};
use presence::wire::error_code::Code;
use presence::wire::record::{Record, Removed, Update, Viewer};
use presence::wire::server_message::frame::SnapshotHeader;
use presence::wire::server_message::{ServerMessage, frame};
use presence::{Cursor, CustomStatus, Freshness, Profile, Revision, UserId, Wall};
use serde_json::Value;

const CURSOR: Cursor = Cursor {
    incarnation: 0xfeed,
    watermark: Revision::new(42),
};
const NOW: Wall = Wall::from_millis(1_700_000_000_123);

fn message_id(json: &str) -> MessageId {
    let text = format!(r#"{{"type":"ping","id":{json}}}"#);
    Envelope::parse(&text, 1).id.unwrap()
}

fn updates() -> Vec<Update> {
    let ids = ["ann", "quote\"back\\slash", "snow☃man", "__proto__"];
    let mut updates: Vec<Update> = ids
        .iter()
        .map(|id| Update::Record(Record::never_seen(UserId::new(id).unwrap(), Viewer::Internal)))
        .collect();
    updates.push(Update::Record(Profile::fallback(CustomStatus::Online).record(
        &UserId::new("degraded").unwrap(),
        &[],
        Viewer::Public,
        Freshness::Current,
    )));
    updates.push(Update::Removed(Removed {
        user_id: UserId::new("gone").unwrap(),
        revision: Revision::new((1 << 53) - 1),
        removed: true,
    }));
    updates
}

fn encoded(updates: &[Update]) -> Vec<String> {
    updates
        .iter()
        .map(|update| serde_json::to_string(update).unwrap())
        .collect()
}

fn assert_same(text: &str, message: &ServerMessage) {
    assert_eq!(&serde_json::from_str::<ServerMessage>(text).unwrap(), message, "{text}");
    let built: Value = serde_json::from_str(text).unwrap();
    assert_eq!(built, serde_json::to_value(message).unwrap(), "{text}");
}

#[test]
fn an_encoded_presence_frame_parses_as_the_presence_message() {
    for count in [0, 1, updates().len()] {
        let users = updates()[..count].to_vec();
        let text = frame::presence(CURSOR, NOW, &encoded(&users));
        assert_same(
            &text,
            &ServerMessage::Presence {
                cursor: CURSOR.to_string(),
                now: NOW,
                users,
            },
        );
    }
}

#[test]
fn an_encoded_snapshot_frame_parses_as_the_snapshot_message() {
    for (json, id) in [
        ("\"a\"", Some(Value::from("a"))),
        ("\"\\u0000\\\"\"", Some(Value::from("\0\""))),
        ("17", Some(Value::from(17))),
        ("-1.5", Some(Value::from(-1.5))),
        ("null", None),
    ] {
        let named = id.as_ref().map(|_| message_id(json));
        for (resumed, done) in [(false, false), (false, true), (true, false), (true, true)] {
            let header = SnapshotHeader {
                id: named.as_ref(),
                cursor: CURSOR,
                now: NOW,
                resumed,
                done,
            };
            let text = frame::snapshot(&header, &encoded(&updates()));
            let message = ServerMessage::Snapshot {
                id: id.clone(),
                cursor: CURSOR.to_string(),
                now: NOW,
                users: updates(),
                resumed,
                done,
            };
            assert_same(&text, &message);
        }
    }
}

#[test]
fn a_message_without_records_fits_the_overhead_bound() {
    let longest = message_id(&format!("\"{}\"", "\\u0001".repeat(64)));
    let cursor = Cursor {
        incarnation: u64::MAX,
        watermark: Revision::new(u64::MAX),
    };
    for now in [i64::MIN, i64::MAX] {
        let header = SnapshotHeader {
            id: Some(&longest),
            cursor,
            now: Wall::from_millis(now),
            resumed: false,
            done: false,
        };
        let around = frame::snapshot(&header, &[""; 0]);
        assert!(around.len() <= frame::OVERHEAD_MAX_BYTES, "{}", around.len());
    }
}

#[test]
fn a_removal_and_a_record_are_distinguished() {
    for update in updates() {
        let text = serde_json::to_string(&update).unwrap();
        assert_eq!(serde_json::from_str::<Update>(&text).unwrap(), update);
    }
    let gone = r#"{"userId":"gone","revision":9007199254740991,"removed":true}"#;
    assert_eq!(encoded(&updates()).last().unwrap(), gone);
}

#[test]
fn an_id_is_written_as_it_was_read() {
    for json in [
        "1",
        "-0.10e5",
        "123456789012345678901234567890",
        r#""\u00e9 \"q\"""#,
        r#""""#,
    ] {
        let id = Some(message_id(json));
        let pong = ServerMessage::Pong { id: id.clone() };
        assert_eq!(pong.encode().unwrap(), format!(r#"{{"type":"pong","id":{json}}}"#));
        let ok = ServerMessage::Ok {
            id,
            user: None,
            now: None,
            resumed: None,
        };
        assert_eq!(ok.encode().unwrap(), format!(r#"{{"type":"ok","id":{json}}}"#));
    }
}

#[test]
fn answers_have_the_documented_tags_and_fields() {
    let ann = Record::never_seen(UserId::new("ann").unwrap(), Viewer::Public);
    let user = r#"{"userId":"ann","status":"OFFLINE","since":null,"lastSeen":null,"lastActive":null,"revision":0}"#;
    let now = "2023-11-14T22:13:20.123Z";
    let cases = [
        (
            ServerMessage::Welcome {
                session_id: "s1".into(),
                user: Some(ann.clone()),
                now: NOW,
                ping_seconds: 25.0,
                node: "n1".into(),
                version: "0.1.0".into(),
            },
            format!(
                r#"{{"type":"welcome","sessionId":"s1","user":{user},"now":"{now}","pingSeconds":25.0,"node":"n1","version":"0.1.0"}}"#
            ),
        ),
        (
            ServerMessage::Ok {
                id: Some(7.into()),
                user: Some(ann),
                now: Some(NOW),
                resumed: Some(false),
            },
            format!(r#"{{"type":"ok","id":7,"user":{user},"now":"{now}","resumed":false}}"#),
        ),
        (
            ServerMessage::Ok {
                id: None,
                user: None,
                now: None,
                resumed: None,
            },
            r#"{"type":"ok"}"#.into(),
        ),
        (
            ServerMessage::Pong { id: Some("x".into()) },
            r#"{"type":"pong","id":"x"}"#.into(),
        ),
        (
            ServerMessage::Error {
                id: None,
                code: Code::RateLimited,
                message: "later".into(),
                retry_after_ms: Some(5),
            },
            r#"{"type":"error","code":"rate_limited","message":"later","retryAfterMs":5}"#.into(),
        ),
    ];
    for (message, text) in cases {
        assert_eq!(message.encode().unwrap(), text);
        assert_same(&text, &message);
    }
}

#[test]
fn a_goodbye_has_the_documented_tag_and_fields() {
    let cases = [
        (
            ServerMessage::Goodbye {
                reason: "restart".into(),
                reconnect_after_ms: Some(1_500),
            },
            r#"{"type":"goodbye","reason":"restart","reconnectAfterMs":1500}"#,
        ),
        (
            ServerMessage::Goodbye {
                reason: "kicked".into(),
                reconnect_after_ms: None,
            },
            r#"{"type":"goodbye","reason":"kicked"}"#,
        ),
    ];
    for (message, text) in cases {
        assert_eq!(message.encode().unwrap(), text);
        assert_same(text, &message);
    }
}
