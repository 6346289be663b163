//! The frames that the daemon builds around encoded records are the messages that a client reads.

use presence::wire::client::{Envelope, MessageId};
use presence::wire::code::Code;
use presence::wire::record::{Record, Removed, Update, Viewer};
use presence::wire::server::{ServerMessage, frame};
use presence::{Cursor, Freshness, Profile, Revision, UserId, Wall};
use serde_json::Value;

const CURSOR: Cursor = Cursor {
    incarnation: 0xfeed,
    counter: 42,
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
    updates.push(Update::Record(Profile::fallback().record(
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
fn a_presence_frame_is_the_presence_message() {
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
fn a_snapshot_frame_is_the_snapshot_message() {
    for (json, id) in [
        ("\"a\"", Some(Value::from("a"))),
        ("\"\\u0000\\\"\"", Some(Value::from("\0\""))),
        ("17", Some(Value::from(17))),
        ("-1.5", Some(Value::from(-1.5))),
        ("null", None),
    ] {
        let named = id.as_ref().map(|_| message_id(json));
        for (resumed, done) in [(false, false), (false, true), (true, false), (true, true)] {
            let text = frame::snapshot(named.as_ref(), (CURSOR, NOW), &encoded(&updates()), resumed, done);
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
fn what_stands_around_the_records_fits_the_room_kept_for_it() {
    let longest = message_id(&format!("\"{}\"", "\\u0001".repeat(64)));
    let cursor = Cursor {
        incarnation: u64::MAX,
        counter: u64::MAX,
    };
    for now in [i64::MIN, i64::MAX] {
        let around = frame::snapshot(Some(&longest), (cursor, Wall::from_millis(now)), &[""; 0], false, false);
        assert!(around.len() <= frame::AROUND_MAX_BYTES, "{}", around.len());
    }
}

#[test]
fn a_removal_and_a_record_are_told_apart() {
    for update in updates() {
        let text = serde_json::to_string(&update).unwrap();
        assert_eq!(serde_json::from_str::<Update>(&text).unwrap(), update);
    }
    let gone = r#"{"userId":"gone","revision":9007199254740991,"removed":true}"#;
    assert_eq!(encoded(&updates()).last().unwrap(), gone);
}

#[test]
fn the_other_messages_are_tagged_and_named_as_the_contract_says() {
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
            },
            format!(r#"{{"type":"ok","id":7,"user":{user}}}"#),
        ),
        (ServerMessage::Ok { id: None, user: None }, r#"{"type":"ok"}"#.into()),
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
        (
            ServerMessage::Goodbye {
                reason: "restart".into(),
                reconnect_after_ms: Some(1_500),
            },
            r#"{"type":"goodbye","reason":"restart","reconnectAfterMs":1500}"#.into(),
        ),
        (
            ServerMessage::Goodbye {
                reason: "kicked".into(),
                reconnect_after_ms: None,
            },
            r#"{"type":"goodbye","reason":"kicked"}"#.into(),
        ),
    ];
    for (message, text) in cases {
        assert_eq!(serde_json::to_string(&message).unwrap(), text);
        assert_same(&text, &message);
    }
}
