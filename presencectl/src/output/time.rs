//! Times in tables and sentences: absolute in UTC, and relative to the server's clock.

use std::time::Duration;

use presence::Wall;

/// Absolute and relative: `2026-11-23 05:39:11Z (2m ago)`.
pub(crate) fn moment(at: Wall, now: Wall) -> String {
    format!("{} ({})", seconds(at), relative(at, now))
}

/// As [`moment`], but only the time if it is today, else only the date.
pub(crate) fn short_moment(at: Wall, now: Wall) -> String {
    format!("{} ({})", time_or_date(at, now), relative(at, now))
}

/// The time if it is today, else the date: `05:37:06Z`, `2026-11-22`.
pub(crate) fn time_or_date(at: Wall, now: Wall) -> String {
    let (at_text, now_text) = (seconds(at), seconds(now));
    match (at_text.split_once(' '), now_text.split_once(' ')) {
        (Some((date, time)), Some((today, _))) if date == today => time.to_owned(),
        (Some((date, _)), _) => date.to_owned(),
        _ => at_text,
    }
}

/// The age in whole seconds, rounded down and never negative: `2m 5s`.
pub(crate) fn age(at: Wall, now: Wall) -> String {
    let whole = Duration::from_secs(now.since(at).as_secs());
    if whole.is_zero() {
        "0s".to_owned()
    } else {
        length(whole)
    }
}

/// The remaining time in whole seconds, rounded up: a countdown ends with `1s`, then `0s`.
pub(crate) fn until(at: Wall, now: Wall) -> String {
    let left = at.since(now);
    let whole = Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0));
    if whole.is_zero() {
        "0s".to_owned()
    } else {
        length(whole)
    }
}

/// `2026-11-23 05:39:11Z`: truncated, not rounded, so that it is never in the future.
fn seconds(at: Wall) -> String {
    let text = at.to_string();
    match text.split_once('.') {
        Some((whole, _)) => format!("{}Z", whole.replacen('T', " ", 1)),
        None => text,
    }
}

/// `2m ago`, `in 12s`, `just now`.
pub(crate) fn relative(at: Wall, now: Wall) -> String {
    if at.as_millis() > now.as_millis() {
        format!("in {}", length(at.since(now)))
    } else if now.since(at) < Duration::from_secs(1) {
        "just now".to_owned()
    } else {
        format!("{} ago", length(now.since(at)))
    }
}

/// The two largest units: `850ms`, `12s`, `2m 5s`, `3h 20m`, `2d 4h`, `40d`.
pub(crate) fn length(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit} {small}{small_unit}"),
    };
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => two(seconds / 60, "m", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        86_400..864_000 => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall::from_millis(1_795_412_351_999);

    #[test]
    fn a_time_is_shown_absolute_and_relative() {
        let at = Wall::from_millis(NOW.as_millis() - 125_000);
        assert_eq!(moment(at, NOW), "2026-11-23 05:37:06Z (2m 5s ago)");
    }

    #[test]
    fn a_short_time_has_no_date_today_and_no_time_otherwise() {
        let ago = |seconds: i64| Wall::from_millis(NOW.as_millis() - seconds * 1000);
        assert_eq!(short_moment(ago(125), NOW), "05:37:06Z (2m 5s ago)");
        assert_eq!(short_moment(ago(86_400), NOW), "2026-11-22 (1d ago)");
    }

    #[test]
    fn ages_round_down_and_countdowns_round_up() {
        let by = |millis| NOW.after(Duration::from_millis(millis));
        assert_eq!(
            (age(NOW, by(999)), age(NOW, by(61_500)), age(by(5), NOW)),
            ("0s".into(), "1m 1s".into(), "0s".into())
        );
        assert_eq!(
            (until(by(1), NOW), until(by(60_001), NOW)),
            ("1s".into(), "1m 1s".into())
        );
        assert_eq!((until(NOW, NOW), until(NOW, by(9))), ("0s".into(), "0s".into()));
    }

    #[test]
    fn durations_have_at_most_two_units() {
        for (seconds, text) in [
            (1, "1s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m 1s"),
            (3599, "59m 59s"),
            (3600, "1h"),
            (3659, "1h"),
            (12_000, "3h 20m"),
            (86_400, "1d"),
            (187_200, "2d 4h"),
            (864_000, "10d"),
            (3_456_000, "40d"),
        ] {
            assert_eq!(length(Duration::from_secs(seconds)), text);
        }
        assert_eq!(length(Duration::from_millis(850)), "850ms");
    }

    #[test]
    fn relative_times_have_forms_for_future_and_now() {
        assert_eq!(relative(NOW, NOW), "just now");
        assert_eq!(relative(NOW.after(Duration::from_secs(12)), NOW), "in 12s");
        assert_eq!(relative(Wall::from_millis(NOW.as_millis() - 999), NOW), "just now");
        assert_eq!(relative(Wall::from_millis(0), Wall::from_millis(0)), "just now");
    }
}
