//! Messages from clients: what is asked for, the id that comes back, and a code for everything else.

use presence::wire::client::{ClientMessage, Envelope};
use presence::wire::code::Code;
use presence::{Cursor, CustomStatus, UserId};
use proptest::prelude::*;

const IDS_MAX: usize = 5;

fn parse(text: &str) -> Envelope {
    Envelope::parse(text, IDS_MAX)
}

fn asked(text: &str) -> ClientMessage {
    parse(text)
        .message
        .unwrap_or_else(|refused| panic!("{text}: {refused:?}"))
}

fn code(text: &str) -> Code {
    let refused = parse(text).message.expect_err(text);
    assert!(
        !refused.message.is_empty() && refused.message.len() <= 204,
        "{refused:?}"
    );
    refused.code
}

fn id(text: &str) -> Option<String> {
    parse(text).id.map(|id| id.to_string())
}

fn users(ids: &[&str]) -> Vec<UserId> {
    ids.iter().map(|id| UserId::new(id).unwrap()).collect()
}

#[test]
fn every_message_of_the_contract_is_read() {
    let idle = ClientMessage::SetStatus(CustomStatus::Idle);
    assert_eq!(asked(r#"{"type":"setStatus","customStatus":"IDLE"}"#), idle);
    assert_eq!(asked(r#"{"type":"activity"}"#), ClientMessage::Activity);
    assert_eq!(asked(r#"{"type":"activity","idle":false}"#), ClientMessage::Activity);
    assert_eq!(asked(r#"{"type":"activity","idle":null}"#), ClientMessage::Activity);
    assert_eq!(asked(r#"{"type":"activity","idle":true}"#), ClientMessage::Away);
    assert_eq!(asked(r#"{"type":"ping"}"#), ClientMessage::Ping);
    assert_eq!(asked(r#"{"type":"watchAll"}"#), ClientMessage::WatchAll { since: None });
    let user_ids = users(&["a", "b"]);
    assert_eq!(
        asked(r#"{"type":"unwatch","userIds":["a","b"]}"#),
        ClientMessage::Unwatch {
            user_ids: user_ids.clone()
        }
    );
    let since = Some(Cursor {
        incarnation: 0xfe,
        counter: 0x10,
    });
    let watch = ClientMessage::Watch { user_ids, since };
    assert_eq!(
        asked(r#"{"type":"watch","userIds":["a","b"],"since":"00000000000000fe.10"}"#),
        watch
    );
    assert_eq!(
        asked(r#"{"type":"watchAll","since":"fe.10"}"#),
        ClientMessage::WatchAll { since }
    );
}

#[test]
fn unknown_fields_are_ignored_and_the_order_of_fields_means_nothing() {
    assert_eq!(
        asked(r#"{"x":[{}],"idle":true,"type":"activity","__proto__":{}}"#),
        ClientMessage::Away
    );
}

#[test]
fn a_cursor_nobody_understands_is_no_error_but_a_wrong_type_is() {
    for since in [r#""""#, r#""nonsense""#, r#""1.2.3""#, "null"] {
        assert_eq!(
            asked(&format!(r#"{{"type":"watchAll","since":{since}}}"#)),
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
fn an_id_is_any_string_or_number_up_to_64_bytes_and_comes_back_as_it_was() {
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
fn a_message_that_is_otherwise_wrong_keeps_its_id() {
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
fn only_the_three_words_are_a_custom_status() {
    for word in [
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
            code(&format!(r#"{{"type":"setStatus","customStatus":{word}}}"#)),
            Code::InvalidCustomStatus,
            "{word}"
        );
    }
    assert_eq!(code(r#"{"type":"setStatus"}"#), Code::InvalidCustomStatus);
    let escaped = r#"{"type":"setStatus","customStatus":"\u0049DLE"}"#;
    assert_eq!(
        asked(escaped),
        ClientMessage::SetStatus(CustomStatus::Idle),
        "an escape is how JSON may write it"
    );
}

#[test]
fn wrong_types_get_a_code() {
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
fn one_object_a_message_and_no_list_of_its_fields() {
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
fn as_many_user_ids_as_may_be_watched_and_not_one_more() {
    let list = |count: usize| {
        (0..count)
            .map(|index| format!("\"u{index}\""))
            .collect::<Vec<_>>()
            .join(",")
    };
    for kind in ["watch", "unwatch"] {
        for count in [0, IDS_MAX - 1, IDS_MAX] {
            let message = asked(&format!(r#"{{"type":"{kind}","userIds":[{}]}}"#, list(count)));
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
    assert!(matches!(asked(&same), ClientMessage::Watch { user_ids, .. } if user_ids.len() == IDS_MAX));
}

#[test]
fn one_bad_user_id_refuses_the_whole_list() {
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
    fn any_text_is_read_or_refused_and_never_a_panic(text in "\\PC{0,60}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_mixture_of_fields_is_read_or_refused_with_a_code(
        kind in prop_oneof!["setStatus", "activity", "watch", "watchAll", "unwatch", "ping", "x"].prop_map(|kind| format!("{kind:?}")),
        value in prop_oneof![Just("null".to_owned()), Just("[]".to_owned()), Just("{}".to_owned()), "-?[1-9][0-9]{0,80}", "\"[a-z.]{0,200}\""],
        field in prop_oneof!["id", "userIds", "since", "idle", "customStatus"],
    ) {
        let envelope = parse(&format!(r#"{{"type":{kind},"{field}":{value}}}"#));
        if let Err(refused) = envelope.message {
            prop_assert!(refused.code.http_status() == 400, "{refused:?}");
        }
    }
}
