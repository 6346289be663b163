//! Strict JSON parsing: truncated, deep, huge or invalid input, and duplicate keys, are short errors.

use presence::wire::strict;
use proptest::prelude::*;
use serde_json::Value;

const DEEP: usize = 100_000;
const ERROR_MAX_BYTES: usize = 204;

fn rejected(bytes: &[u8]) -> String {
    let error = strict::check(bytes)
        .expect_err(&String::from_utf8_lossy(&bytes[..bytes.len().min(80)]))
        .to_string();
    assert!(strict::from_slice::<Value>(bytes).is_err());
    assert!(
        error.len() <= ERROR_MAX_BYTES,
        "an error must not send the input back: {} bytes",
        error.len()
    );
    assert!(!error.chars().any(char::is_control), "{error:?}");
    error
}

fn accepted(text: &str) {
    strict::check(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(
        strict::from_slice::<Value>(text.as_bytes()).unwrap(),
        serde_json::from_str::<Value>(text).unwrap()
    );
}

#[test]
fn one_object_of_any_content_is_accepted() {
    for text in [
        "{}",
        " \t\r\n{ }\n",
        r#"{"a":1}"#,
        r#"{"a":{"a":{"a":[{"a":1},{"a":2}]}}}"#,
        r#"{"":0,"\u0000":1}"#,
        r#"{"a":"\ud83d\ude00☃","b":[null,true,false,-0,1.5e-7,18446744073709551615]}"#,
        r#"{"a":123456789012345678901234567890}"#,
        "{\"A\":1,\"a\":2,\"\u{e1}\":3,\"a\u{301}\":4}",
    ] {
        accepted(text);
    }
}

#[test]
fn duplicate_keys_are_rejected_at_any_depth_and_escaping() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"\u0061":3}"#,
        r#"{"\u0061":1,"\u0061":2}"#,
        r#"{"x":{"y":[1,{"z":1,"z":2}]}}"#,
        r#"{"":1,"":2}"#,
        r#"{"/":1,"\/":2}"#,
        r#"{"☃":1,"\u2603":2}"#,
        r#"{"__proto__":1,"__proto__":2}"#,
    ] {
        assert!(rejected(text.as_bytes()).contains("duplicate key"), "{text}");
    }
}

#[test]
fn duplicate_keys_are_found_in_small_and_large_objects() {
    for count in [1, 7, 8, 9, 10, 100] {
        let keys: Vec<String> = (0..count).map(|index| format!(r#""k{index}":{index}"#)).collect();
        accepted(&format!("{{{}}}", keys.join(",")));
        for twice in [0, count / 2, count - 1] {
            let text = format!(r#"{{{},"k{twice}":0}}"#, keys.join(","));
            assert!(rejected(text.as_bytes()).contains("duplicate key"), "{text}");
        }
    }
}

#[test]
fn anything_but_an_object_is_rejected() {
    for text in [
        "",
        " ",
        "null",
        "true",
        "1",
        "\"a\"",
        "[]",
        "[{}]",
        r#"["IDLE"]"#,
        "\u{feff}{}",
        "/**/{}",
        "'{}'",
    ] {
        rejected(text.as_bytes());
    }
}

#[test]
fn truncated_and_trailing_input_is_rejected() {
    let whole = r#"{"type":"watch","userIds":["ann","b\u0061"],"n":-1.5e3,"x":{"y":null}}"#;
    accepted(whole);
    for end in 0..whole.len() {
        rejected(&whole.as_bytes()[..end]);
    }
    for tail in ["}", "{}", ",", "x", "\0", "//", "[]", "\u{a0}"] {
        rejected(format!("{whole}{tail}").as_bytes());
    }
}

#[test]
fn malformed_json_is_rejected() {
    for text in [
        "{a:1}",
        "{'a':1}",
        r#"{"a":1,}"#,
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{,}"#,
        r#"{"a" 1}"#,
        r#"{1:1}"#,
        r#"{"a":01}"#,
        r#"{"a":+1}"#,
        r#"{"a":.5}"#,
        r#"{"a":1.}"#,
        r#"{"a":NaN}"#,
        r#"{"a":Infinity}"#,
        r#"{"a":0x1}"#,
        r#"{"a":tru}"#,
        r#"{"a":"\x"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\udc00\ud800"}"#,
        r#"{"a":"\u12g4"}"#,
        "{\"a\":\"\n\"}",
        "{\"a\":\"\0\"}",
        r#"{"\ud800":1}"#,
        r#"{"a":1e999}"#,
        r#"{"a":-1e999}"#,
    ] {
        rejected(text.as_bytes());
    }
}

#[test]
fn invalid_utf_8_is_rejected_wherever_it_occurs() {
    for bad in [
        b"\xff".as_slice(),
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x98",
        b"\x80",
    ] {
        for (before, after) in [("{\"a\":\"", "\"}"), ("{\"", "\":1}"), ("{\"a\":1}", ""), ("", "{}")] {
            rejected(&[before.as_bytes(), bad, after.as_bytes()].concat());
        }
    }
}

#[test]
fn deep_nesting_is_an_error_without_a_stack_overflow() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        for is_closed in [true, false] {
            let close = if is_closed { close.repeat(DEEP) } else { String::new() };
            let text = format!(r#"{{"x":{}1{close}}}"#, open.repeat(DEEP));
            assert!(rejected(text.as_bytes()).contains("recursion limit"), "{open}");
        }
    }
    accepted(&format!(r#"{{"x":{}{}}}"#, "[".repeat(100), "]".repeat(100)));
}

#[test]
fn error_texts_are_short_whatever_the_input() {
    let key = "\u{85}".repeat(10_000);
    rejected(format!(r#"{{"{key}":1,"{key}":2}}"#).as_bytes());
    let error = strict::from_slice::<std::collections::BTreeMap<String, u8>>(format!(r#"{{"a":"{key}"}}"#).as_bytes());
    assert!(error.unwrap_err().to_string().len() <= ERROR_MAX_BYTES);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_accepted_or_rejected_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if strict::check(&bytes).is_err() {
            rejected(&bytes);
        }
    }

    #[test]
    fn json_like_text_is_accepted_only_if_it_is_json(text in r#"\{[\{\}\[\]":,a1\\u0 .e-]{0,24}\}"#) {
        let is_json = serde_json::from_str::<Value>(&text).is_ok();
        if strict::check(text.as_bytes()).is_ok() {
            prop_assert!(is_json);
        }
    }
}
