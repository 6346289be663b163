//! A timestamp as RFC 3339 text. Every record has several, and a list thousands of records, so nothing here allocates or
//! goes through a formatter.

use super::Wall;

/// The earliest timestamp of RFC 3339: 0000-01-01T00:00:00.000Z.
const MIN_MILLIS: i64 = -62_167_219_200_000;
/// The latest timestamp whose year has four digits in every time zone: 9999-12-30T22:00:00.000Z.
const MAX_MILLIS: i64 = 253_402_207_200_000;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// `2026-11-29T05:38:00.123Z`.
pub(super) struct Text([u8; 24]);

impl Text {
    /// A timestamp outside the range of RFC 3339 is clamped to the nearest one inside.
    pub(super) fn of(time: Wall) -> Self {
        let since_epoch = time.as_millis().clamp(MIN_MILLIS, MAX_MILLIS);
        let (day, millis) = (
            since_epoch.div_euclid(MILLIS_PER_DAY),
            since_epoch.rem_euclid(MILLIS_PER_DAY),
        );
        let (year, month, day) = date_of(day);
        // Within a day, and the year has four digits: all of it fits, and divides faster than 64 bits.
        let [year, month, day, millis] =
            [year, month, day, millis].map(|number| u32::try_from(number).unwrap_or_default());
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (at, number) in [
            (0, year / 100),
            (2, year % 100),
            (5, month),
            (8, day),
            (11, millis / 3_600_000),
            (14, millis / 60_000 % 60),
            (17, millis / 1_000 % 60),
            (20, millis % 1_000 / 10),
        ] {
            text[at..at + 2].copy_from_slice(&[digit(number / 10), digit(number)]);
        }
        text[22] = digit(millis);
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        // All of it is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Year, month and day of the Gregorian calendar for a day since 1970-01-01. Counted in eras of 400 years that begin with a
/// March, so that a leap day is the last day of its year.
fn date_of(day: i64) -> (i64, i64, i64) {
    const DAYS_PER_ERA: i64 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const TO_EPOCH: i64 = 719_468;
    let day = day + TO_EPOCH;
    let (era, day) = (day.div_euclid(DAYS_PER_ERA), day.rem_euclid(DAYS_PER_ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, over and over.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = match month {
        0..10 => (month + 3, 0),
        _ => (month - 9, 1),
    };
    (400 * era + year + next_year, month, day)
}

/// The last decimal digit of a number.
fn digit(number: u32) -> u8 {
    b"0123456789"[(number % 10) as usize]
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn days_of_all_eras_are_written_as_a_calendar_library_does() {
        let (first, last) = (MIN_MILLIS / MILLIS_PER_DAY, MAX_MILLIS / MILLIS_PER_DAY);
        for day in (first..=last).step_by(5) {
            // Each day of an era of 400 years in one of the eras, each at another time.
            let millis = (day * MILLIS_PER_DAY + (day - first) * 7_919_873 % MILLIS_PER_DAY).min(MAX_MILLIS);
            let expected = Timestamp::from_millisecond(millis).expect("a timestamp");
            assert_eq!(Text::of(Wall::from_millis(millis)).as_str(), format!("{expected:.3}"));
        }
    }
}
