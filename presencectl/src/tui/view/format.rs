//! Formats shared by the panels: statuses with their signs, times, numbers.

use std::time::Duration;

use presence::{Status, Wall};

use super::super::model::{Model, TimeDisplay};
use crate::output::{number, time};

/// The sign of a status. Each has its own shape, so none depends on its colour.
pub(super) const fn sign(status: Status) -> &'static str {
    match status {
        Status::Online => "●",
        Status::Idle => "◐",
        Status::DoNotDisturb => "⊘",
        Status::Offline => "○",
    }
}

/// Sign and name.
pub(super) fn status(status: Status) -> String {
    format!("{} {}", sign(status), status.as_str())
}

/// A time in the selected display format, as it is told at `now`.
pub(super) fn moment(times: TimeDisplay, at: Option<Wall>, now: Wall) -> String {
    let Some(at) = at else {
        return "never".to_owned();
    };
    match times {
        TimeDisplay::Both => format!("{} {}", time::time_or_date(at, now), time::age(at, now)),
        TimeDisplay::Relative => time::age(at, now),
        TimeDisplay::Absolute => time::time_or_date(at, now),
    }
}

/// A time in the past, for sentences.
pub(super) fn past(model: &Model, at: Wall) -> String {
    let (when, age) = (time::time_or_date(at, model.now), time::age(at, model.now));
    match model.times {
        TimeDisplay::Both => format!("{when} ({age} ago)"),
        TimeDisplay::Relative => format!("{age} ago"),
        TimeDisplay::Absolute => when,
    }
}

pub(super) fn count(number: u64) -> String {
    number::grouped(number)
}

/// `1 session`, `12,345 sessions`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        number => format!("{} {noun}s", count(number)),
    }
}

/// `0.4 ms`, `12 ms`, `1.2 s`.
pub(super) fn lag(length: Duration) -> String {
    let millis = length.as_secs_f64() * 1000.0;
    match millis {
        ..10.0 => format!("{millis:.1} ms"),
        ..1000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", millis / 1000.0),
    }
}

/// `0.3/s`, `1,234/s`.
pub(super) fn rate(rate: f64) -> String {
    // A rate counts changes over ten seconds: it is neither negative nor too large.
    if rate < 10.0 {
        format!("{rate:.1}/s")
    } else {
        format!("{}/s", count(rate.round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn status_signs_are_one_cell_wide_and_distinct() {
        let signs = Status::ALL.map(sign);
        assert!(signs.iter().all(|sign| sign.width() == 1));
        for (index, one) in signs.iter().enumerate() {
            assert!(!signs[..index].contains(one));
        }
    }

    #[test]
    fn numbers_are_formatted_for_people() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 1, 1_000].map(|number| counted(number, "user")),
            ["0 users", "1 user", "1,000 users"]
        );
        assert_eq!(
            [0.0, 0.26, 12.6, 1234.4].map(rate),
            ["0.0/s", "0.3/s", "13/s", "1,234/s"]
        );
        let lags = [400_u64, 12_300, 1_240_000].map(|micros| lag(Duration::from_micros(micros)));
        assert_eq!(lags, ["0.4 ms", "12 ms", "1.2 s"]);
    }
}
