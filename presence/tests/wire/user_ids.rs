//! User ids: validation, and text that is kept byte for byte.

use presence::user_id::USER_ID_MAX_BYTES;
use presence::{InvalidUserId, UserId};
use proptest::prelude::*;

#[test]
fn unusual_user_ids_are_kept_unchanged() {
    let longest = "x".repeat(USER_ID_MAX_BYTES);
    let snow = format!("{}xx", "☃".repeat(42));
    assert_eq!(snow.len(), USER_ID_MAX_BYTES);
    for text in [
        "a",
        "...",
        ".a",
        "a.",
        "__proto__",
        "constructor",
        "query",
        "realtime",
        "stats",
        "a/b",
        "/",
        "//",
        "../etc/passwd",
        "%2e%2e",
        "%00",
        "100%",
        "a b",
        "a\u{a0}b",
        "a\u{2003}b",
        "'; DROP TABLE profile; --",
        "<script>",
        "\"",
        "\\",
        "*",
        "{}",
        "null",
        "0",
        "-1",
        "é",
        "e\u{301}",
        "İ",
        "ß",
        "ﬁ",
        "\u{200b}",
        "\u{feff}",
        "\u{202e}abc",
        "👩‍👩‍👧",
        "\u{e000}",
        "\u{10ffff}",
        &longest,
        &snow,
    ] {
        let id = UserId::new(text).unwrap_or_else(|why| panic!("{text:?}: {why}"));
        assert_eq!(id.as_str(), text);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<UserId>(&json).unwrap(), id);
        assert_eq!(id.to_string().parse::<UserId>().unwrap(), id);
    }
}

#[test]
fn user_ids_are_compared_byte_for_byte() {
    for (one, other) in [
        ("ann", "Ann"),
        ("é", "e\u{301}"),
        ("ß", "ss"),
        ("a", "a\u{200b}"),
        ("K", "\u{212a}"),
    ] {
        assert_ne!(UserId::new(one), UserId::new(other));
    }
}

#[test]
fn a_text_is_rejected_for_the_rule_that_it_breaks() {
    let too_long = "x".repeat(USER_ID_MAX_BYTES + 1);
    let too_long_in_bytes = format!("{}xxx", "☃".repeat(42));
    assert_eq!(too_long_in_bytes.len(), USER_ID_MAX_BYTES + 1);
    for (text, why) in [
        ("", InvalidUserId::Empty),
        (&too_long, InvalidUserId::TooLong),
        (&too_long_in_bytes, InvalidUserId::TooLong),
        (".", InvalidUserId::Dots),
        ("..", InvalidUserId::Dots),
        (" a", InvalidUserId::Space),
        ("a ", InvalidUserId::Space),
        (" ", InvalidUserId::Space),
        ("\u{a0}a", InvalidUserId::Space),
        ("a\u{2003}", InvalidUserId::Space),
        ("a\u{2028}", InvalidUserId::Space),
        ("\u{3000}", InvalidUserId::Space),
        ("\u{1680}a", InvalidUserId::Space),
        (" . ", InvalidUserId::Space),
    ] {
        assert_eq!(UserId::new(text), Err(why), "{text:?}");
    }
}

#[test]
fn control_characters_are_rejected_anywhere() {
    for control in (0..=0x1f_u32).chain(0x7f..=0x9f).filter_map(char::from_u32) {
        for text in [
            format!("a{control}b"),
            format!("{control}a"),
            format!("a{control}"),
            control.to_string(),
        ] {
            assert_eq!(UserId::new(&text), Err(InvalidUserId::Control), "{text:?}");
        }
    }
}

#[test]
fn debug_output_escapes_terminal_control_sequences() {
    let id = UserId::new("a\u{202e}\"b").unwrap();
    assert_eq!(format!("{id:?}"), r#""a\u{202e}\"b""#);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_kept_unchanged_or_rejected(text in any::<String>()) {
        match UserId::new(&text) {
            Ok(id) => {
                prop_assert_eq!(id.as_str(), &text);
                prop_assert!((1..=USER_ID_MAX_BYTES).contains(&text.len()));
                prop_assert!(!text.chars().any(char::is_control));
                prop_assert!(!text.starts_with(char::is_whitespace) && !text.ends_with(char::is_whitespace));
            }
            Err(why) => prop_assert!(!why.to_string().is_empty()),
        }
    }
}
