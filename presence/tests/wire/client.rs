//! Parsing of messages from clients: requests, ids, and error codes.

use std::time::Duration;

use presence::wire::client_message::{ClientMessage, Envelope};
use presence::wire::error_code::Code;
use presence::{Cursor, CustomStatus, Revision, SessionId, SessionName, UserId};
use proptest::prelude::*;

const IDS_MAX: usize = 5;

fn parse(text: &str) -> Envelope {
    Envelope::parse(text, IDS_MAX)
}

pub(super) fn parsed(text: &str) -> ClientMessage {
    parse(text).message.unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

pub(super) fn code(text: &str) -> Code {
    let error = parse(text).message.expect_err(text);
    assert!(!error.message.is_empty() && error.message.len() <= 204, "{error:?}");
    error.code
}

fn id(text: &str) -> Option<String> {
    parse(text).id.map(|id| id.to_string())
}

fn users(ids: &[&str]) -> Vec<UserId> {
    ids.iter().map(|id| UserId::new(id).unwrap()).collect()
}

#[test]
fn every_documented_message_is_parsed() {
    let idle = ClientMessage::SetStatus(CustomStatus::Idle);
    assert_eq!(parsed(r#"{"type":"setStatus","customStatus":"IDLE"}"#), idle);
    assert_eq!(
        parsed(r#"{"type":"activity"}"#),
        ClientMessage::Activity { ago: Duration::ZERO }
    );
    assert_eq!(
        parsed(r#"{"type":"activity","idle":false}"#),
        ClientMessage::Activity { ago: Duration::ZERO }
    );
    assert_eq!(
        parsed(r#"{"type":"activity","idle":null}"#),
        ClientMessage::Activity { ago: Duration::ZERO }
    );
    assert_eq!(
        parsed(r#"{"type":"activity","idle":true}"#),
        ClientMessage::Away { ago: None }
    );
    assert_eq!(parsed(r#"{"type":"ping"}"#), ClientMessage::Ping);
    let of = Some(SessionName {
        run: 0xfe12,
        session: SessionId(0x1f),
    });
    assert_eq!(
        parsed(r#"{"type":"resume","sessionId":"fe12-1f"}"#),
        ClientMessage::Resume { of }
    );
    assert_eq!(
        parsed(r#"{"type":"watchAll"}"#),
        ClientMessage::WatchAll { since: None }
    );
    let user_ids = users(&["a", "b"]);
    assert_eq!(
        parsed(r#"{"type":"unwatch","userIds":["a","b"]}"#),
        ClientMessage::Unwatch {
            user_ids: user_ids.clone()
        }
    );
    let since = Some(Cursor {
        incarnation: 0xfe,
        watermark: Revision::new(0x10),
    });
    let watch = ClientMessage::Watch { user_ids, since };
    assert_eq!(
        parsed(r#"{"type":"watch","userIds":["a","b"],"since":"00000000000000fe.10"}"#),
        watch
    );
    assert_eq!(
        parsed(r#"{"type":"watchAll","since":"fe.10"}"#),
        ClientMessage::WatchAll { since }
    );
}

#[test]
fn unknown_fields_and_field_order_are_ignored() {
    assert_eq!(
        parsed(r#"{"x":[{}],"idle":true,"type":"activity","__proto__":{}}"#),
        ClientMessage::Away { ago: None }
    );
}

#[test]
fn a_malformed_cursor_is_ignored_but_a_wrong_type_is_an_error() {
    for since in [r#""""#, r#""nonsense""#, r#""1.2.3""#, "null"] {
        assert_eq!(
            parsed(&format!(r#"{{"type":"watchAll","since":{since}}}"#)),
            ClientMessage::WatchAll { since: None }
        );
    }
    for since in ["1", "true", "[]", "{}"] {
        assert_eq!(
            code(&format!(r#"{{"type":"watchAll","since":{since}}}"#)),
            Code::InvalidValue
        );
    }
}

#[test]
fn a_session_id_is_read_as_welcome_gives_it_and_no_other_text() {
    for (run, session) in [(0, 0), (1, 0xa0), (u32::MAX, u64::MAX)] {
        let name = SessionName {
            run,
            session: SessionId(session),
        };
        assert_eq!(name.to_string().parse(), Ok(name));
    }
    let others = [
        "",
        "-",
        "1-",
        "-1",
        "+1-1",
        "1-+1",
        "01-1",
        "1-01",
        "A-1",
        "1-F",
        "1-1-1",
        " 1-1",
        "100000000-1",
        "é-1",
    ];
    for text in others {
        assert!(text.parse::<SessionName>().is_err(), "{text}");
        assert_eq!(
            parsed(&format!(r#"{{"type":"resume","sessionId":"{text}"}}"#)),
            ClientMessage::Resume { of: None }
        );
    }
    for session_id in ["1", "null", "[]", "true"] {
        let text = format!(r#"{{"type":"resume","sessionId":{session_id}}}"#);
        assert_eq!(code(&text), Code::InvalidValue);
    }
    assert_eq!(code(r#"{"type":"resume"}"#), Code::InvalidValue);
}

#[test]
fn an_id_is_a_string_or_number_up_to_64_bytes_kept_verbatim() {
    let of = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    let digits = |bytes: usize| "1".repeat(bytes);
    let snow = format!("\"{}\"", "☃".repeat(21));
    let escaped = format!("\"{}\"", "\\u0061".repeat(64));
    for good in [
        &of(0),
        &of(63),
        &of(64),
        &digits(63),
        &digits(64),
        &snow,
        &escaped,
        "0",
        "-1",
        "1.50",
        "1e3",
        r#""\"\\\u0000""#,
    ] {
        assert_eq!(
            id(&format!(r#"{{"type":"ping","id":{good}}}"#)).as_deref(),
            Some(good),
            "{good}"
        );
    }
    let snow = format!("\"{}\"", "☃".repeat(22));
    let escaped = format!("\"{}\"", "\\u0061".repeat(65));
    for bad in [
        &of(65),
        &digits(65),
        &snow,
        &escaped,
        "true",
        "false",
        "[]",
        "{}",
        r#"["a"]"#,
        r#"{"a":1}"#,
    ] {
        let text = format!(r#"{{"type":"ping","id":{bad}}}"#);
        assert_eq!((id(&text), code(&text)), (None, Code::InvalidValue), "{bad}");
    }
    assert_eq!(parse(r#"{"type":"ping","id":null}"#), parse(r#"{"type":"ping"}"#));
}

#[test]
fn an_invalid_message_keeps_its_id() {
    for (text, expected) in [
        (r#"{"id":7,"type":"dance"}"#, Code::UnknownType),
        (
            r#"{"id":7,"type":"setStatus","customStatus":"AWAY"}"#,
            Code::InvalidCustomStatus,
        ),
        (r#"{"id":7,"type":"watch","userIds":[""]}"#, Code::InvalidUserId),
        (r#"{"id":7}"#, Code::InvalidValue),
    ] {
        assert_eq!((code(text), id(text).as_deref()), (expected, Some("7")), "{text}");
    }
}

#[test]
fn only_the_three_values_are_a_custom_status() {
    for value in [
        r#""""#,
        r#""OFFLINE""#,
        r#""idle""#,
        r#"" IDLE""#,
        r#""IDLE ""#,
        r#""DND""#,
        r#""DO NOT DISTURB""#,
        r#""ONLINE\u0000""#,
        "0",
        "null",
        "true",
        "[]",
        r#"["IDLE"]"#,
        r#"{"IDLE":1}"#,
    ] {
        assert_eq!(
            code(&format!(r#"{{"type":"setStatus","customStatus":{value}}}"#)),
            Code::InvalidCustomStatus,
            "{value}"
        );
    }
    assert_eq!(code(r#"{"type":"setStatus"}"#), Code::InvalidCustomStatus);
    let escaped = r#"{"type":"setStatus","customStatus":"\u0049DLE"}"#;
    assert_eq!(
        parsed(escaped),
        ClientMessage::SetStatus(CustomStatus::Idle),
        "escapes are decoded"
    );
}

#[test]
fn wrong_types_are_rejected_with_a_code() {
    for kind in ["null", "1", "true", "[]", "{}", r#"["ping"]"#] {
        assert_eq!(code(&format!(r#"{{"type":{kind}}}"#)), Code::InvalidValue, "{kind}");
    }
    for kind in [r#""""#, r#""Ping""#, r#""ping ""#, r#""welcome""#] {
        assert_eq!(code(&format!(r#"{{"type":{kind}}}"#)), Code::UnknownType, "{kind}");
    }
    for idle in ["0", "1", r#""true""#, "[]", "{}"] {
        assert_eq!(
            code(&format!(r#"{{"type":"activity","idle":{idle}}}"#)),
            Code::InvalidValue,
            "{idle}"
        );
    }
    for kind in ["watch", "unwatch"] {
        for ids in [
            "null",
            "1",
            r#""ann""#,
            "{}",
            "[1]",
            "[null]",
            r#"["a",["b"]]"#,
            r#"[{"a":"b"}]"#,
        ] {
            assert_eq!(
                code(&format!(r#"{{"type":"{kind}","userIds":{ids}}}"#)),
                Code::InvalidValue,
                "{ids}"
            );
        }
        assert_eq!(code(&format!(r#"{{"type":"{kind}"}}"#)), Code::InvalidValue);
    }
}

#[test]
fn a_message_is_one_object_and_no_array_of_fields() {
    for text in [
        r#"["ping"]"#,
        r#"["ping",null,null,null,null,null]"#,
        r#"[["ping"]]"#,
        "\"ping\"",
        "ping",
        "",
        r#"{"type":"ping"}{"type":"ping"}"#,
        r#"{"type":"ping","type":"ping"}"#,
        r#"{"type":"ping","t\u0079pe":"ping"}"#,
        r#"{"type":"ping","x":{"a":1,"a":1}}"#,
        r#"{"type":"ping""#,
    ] {
        let envelope = parse(text);
        assert_eq!((code(text), envelope.id), (Code::InvalidJson, None), "{text}");
    }
}

#[test]
fn a_watch_list_is_parsed_up_to_its_limit() {
    let list = |count: usize| {
        (0..count)
            .map(|index| format!("\"u{index}\""))
            .collect::<Vec<_>>()
            .join(",")
    };
    for kind in ["watch", "unwatch"] {
        for count in [0, IDS_MAX - 1, IDS_MAX] {
            let message = parsed(&format!(r#"{{"type":"{kind}","userIds":[{}]}}"#, list(count)));
            let (ClientMessage::Watch { user_ids, .. } | ClientMessage::Unwatch { user_ids }) = message else {
                panic!("{message:?}")
            };
            assert_eq!(user_ids.len(), count);
        }
        for count in [IDS_MAX + 1, 1_000] {
            let text = format!(r#"{{"type":"{kind}","userIds":[{}]}}"#, list(count));
            assert_eq!(code(&text), Code::TooManyWatched, "{count}");
        }
    }
    let same = format!(r#"{{"type":"watch","userIds":[{}]}}"#, ["\"ann\""; IDS_MAX].join(","));
    assert!(matches!(parsed(&same), ClientMessage::Watch { user_ids, .. } if user_ids.len() == IDS_MAX));
}

#[test]
fn one_invalid_user_id_rejects_the_whole_list() {
    for bad in [
        r#""""#,
        r#"" a""#,
        r#""a\u0000""#,
        r#"".""#,
        r#""..""#,
        &format!("\"{}\"", "x".repeat(129)),
    ] {
        for list in [format!("{bad},\"a\""), format!("\"a\",{bad}"), bad.to_owned()] {
            assert_eq!(
                code(&format!(r#"{{"type":"watch","userIds":[{list}]}}"#)),
                Code::InvalidUserId,
                "{list}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_parsed_or_rejected_without_a_panic(text in "\\PC{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_mixture_of_fields_is_parsed_or_rejected_with_a_code(
        kind in prop_oneof!["setStatus", "activity", "watch", "watchAll", "unwatch", "ping", "x"].prop_map(|kind| format!("{kind:?}")),
        value in prop_oneof![Just("null".to_owned()), Just("[]".to_owned()), Just("{}".to_owned()), "-?[1-9][0-9]{0,80}", "\"[a-z.]{0,200}\""],
        field in prop_oneof!["id", "userIds", "since", "idle", "customStatus"],
    ) {
        let envelope = parse(&format!(r#"{{"type":{kind},"{field}":{value}}}"#));
        if let Err(error) = envelope.message {
            prop_assert!(error.code.http_status() == 400, "{error:?}");
        }
    }
}
