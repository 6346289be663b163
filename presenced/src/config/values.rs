//! Parsers of values: durations, sizes, counts.

use std::time::Duration;

/// A whole number and a unit: `300ms`, `5s`, `2m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a duration such as 300ms, 5s, 2m or 1h";
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| EXPECTED.to_owned())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(EXPECTED.to_owned()),
    };
    // A hundred years: more is a mistake, and sums of deadlines stay far from overflow.
    const MAX_MILLIS: u64 = 100 * 366 * 24 * 3_600_000;
    match number.checked_mul(millis) {
        Some(millis) if millis <= MAX_MILLIS => Ok(Duration::from_millis(millis)),
        _ => Err("must be at most a hundred years".into()),
    }
}

/// A duration above zero.
pub(super) fn nonzero_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must not be zero".into()),
        duration => Ok(duration),
    }
}

/// A number of bytes: `4096`, `16KiB`, `1MiB`.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    const EXPECTED: &str = "expected a number of bytes such as 4096, 16KiB or 1MiB";
    let (number, unit) = match text.strip_suffix("iB") {
        Some(rest) => match rest.split_at_checked(rest.len().saturating_sub(1)) {
            Some((number, "K")) => (number, 1024),
            Some((number, "M")) => (number, 1024 * 1024),
            _ => return Err(EXPECTED.into()),
        },
        None => (text, 1),
    };
    let number: usize = number.parse().map_err(|_| EXPECTED.to_owned())?;
    match number.checked_mul(unit) {
        Some(0) => Err("must not be zero".into()),
        Some(bytes) if bytes <= 1024 * 1024 * 1024 => Ok(bytes),
        _ => Err("must be at most 1024MiB".into()),
    }
}

/// A number from 1 to a billion.
pub(super) fn count(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number @ 1..=1_000_000_000) => Ok(number),
        _ => Err("expected a whole number from 1 to 1000000000".into()),
    }
}

/// A [`count`] as a `usize`.
pub(super) fn size(text: &str) -> Result<usize, String> {
    usize::try_from(count(text)?).map_err(|_| "too large".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_a_unit() {
        let good = [
            ("0s", 0),
            ("300ms", 300),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ];
        for (text, millis) in good {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "1 s",
            "1S",
            "1d",
            "5sec",
            "99999999999999999999s",
            "18446744073709551615h",
            "٣s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_may_have_a_unit() {
        for (text, size) in [("1", 1), ("16KiB", 16_384), ("1MiB", 1_048_576), ("1024MiB", 1 << 30)] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in [
            "",
            "0",
            "0KiB",
            "iB",
            "KiB",
            "1KB",
            "1kiB",
            "-1",
            "1.5KiB",
            "1025MiB",
            "99999999999999999999",
            "KéiB",
        ] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
