//! Durations as in `300ms`, `5s`, `2m`, `1h`, `1d`, or combined as in `1h30m`.

use std::time::Duration;

pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let invalid = || "expected a duration such as 300ms, 5s, 2m, 1h or 1d".to_owned();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let number: u64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let millis: u64 = match &rest[..letters] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(invalid()),
        };
        rest = &rest[letters..];
        let part = Duration::from_millis(number.checked_mul(millis).ok_or_else(invalid)?);
        total = total.checked_add(part).ok_or_else(invalid)?;
    }
    Ok(total)
}

/// As [`parse`], but not 0: for times within which something has to happen.
pub(crate) fn parse_positive(text: &str) -> Result<Duration, String> {
    match parse(text)? {
        Duration::ZERO => Err("expected more than 0".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_with_and_without_several_units_are_parsed() {
        for (text, millis) in [
            ("300ms", 300),
            ("5s", 5000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn a_positive_duration_is_not_zero() {
        assert_eq!(parse_positive("300ms"), Ok(Duration::from_millis(300)));
        assert!(parse_positive("0s").is_err() && parse_positive("5").is_err());
    }

    #[test]
    fn invalid_durations_are_rejected() {
        for text in [
            "",
            " ",
            "5",
            "s",
            "-5s",
            "5 s",
            "5x",
            "1.5h",
            "99999999999999999999s",
            "18446744073709551615d",
            "５s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
