//! Timestamps on the wire: RFC 3339, UTC, exactly three decimals.

use presence::Wall;
use proptest::prelude::*;

fn text(millis: i64) -> String {
    Wall::from_millis(millis).to_string()
}

#[test]
fn milliseconds_are_always_three_digits() {
    for (millis, expected) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (120, "1970-01-01T00:00:00.120Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
    ] {
        assert_eq!(text(millis), expected);
        assert_eq!(
            serde_json::to_string(&Wall::from_millis(millis)).unwrap(),
            format!("\"{expected}\"")
        );
    }
}

#[test]
fn times_are_clamped_to_the_range_of_rfc_3339() {
    for (millis, expected) in [
        (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
        (-62_167_219_200_001, "0000-01-01T00:00:00.000Z"),
        (i64::MIN, "0000-01-01T00:00:00.000Z"),
        (253_402_207_200_000, "9999-12-30T22:00:00.000Z"),
        (253_402_207_200_001, "9999-12-30T22:00:00.000Z"),
        (i64::MAX, "9999-12-30T22:00:00.000Z"),
    ] {
        assert_eq!(text(millis), expected);
    }
}

#[test]
fn an_invalid_time_is_rejected() {
    for json in [
        "\"\"",
        "\"yesterday\"",
        "\"2023-11-14\"",
        "\"2023-11-14T22:13:20.123\"",
        "\"2023-13-01T00:00:00Z\"",
        "17",
        "null",
        "[]",
    ] {
        assert!(serde_json::from_str::<Wall>(json).is_err(), "{json}");
    }
    let elsewhere: Wall = serde_json::from_str("\"2023-11-15T00:13:20.123+02:00\"").unwrap();
    assert_eq!(elsewhere.as_millis(), 1_700_000_000_123);
}

#[test]
fn an_optional_time_takes_8_bytes() {
    assert_eq!(size_of::<Option<Wall>>(), size_of::<Wall>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_time_in_range_is_24_bytes_and_round_trips(millis in -62_167_219_200_000_i64..=253_402_207_200_000) {
        let written = text(millis);
        prop_assert_eq!(written.len(), 24);
        let read: Wall = serde_json::from_str(&format!("\"{written}\"")).unwrap();
        prop_assert_eq!(read.as_millis(), millis);
    }

    #[test]
    fn times_are_ordered_by_their_milliseconds(one: i64, other: i64) {
        prop_assume!(one != i64::MIN && other != i64::MIN);
        let (a, b) = (Wall::from_millis(one), Wall::from_millis(other));
        prop_assert_eq!(a.cmp(&b), one.cmp(&other));
        prop_assert_eq!(a.as_millis(), one);
        prop_assert!(Some(a) > None);
    }
}
