//! Value parsers of the command line: user ids, statuses, times, rates.

use std::ffi::OsStr;
use std::time::Duration;

use clap::builder::{PossibleValue, TypedValueParser};
use presence::{CustomStatus, Source, Status, UserId, Wall};

use crate::duration;

/// A parser that also tells the values that a shell completes; it may accept other spellings of them.
#[derive(Debug, Clone)]
pub(crate) struct Completed<T> {
    pub(crate) parse: fn(&str) -> Result<T, String>,
    pub(crate) values: &'static [&'static str],
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Completed<T> {
    type Value = T;

    fn parse_ref(&self, command: &clap::Command, arg: Option<&clap::Arg>, value: &OsStr) -> Result<T, clap::Error> {
        self.parse.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.values.iter().map(PossibleValue::new)))
    }
}

/// The statuses that can be set, and those of a present user.
const STATUSES: &[&str] = &["ONLINE", "IDLE", "DO_NOT_DISTURB"];

pub(crate) const CUSTOM_STATUS: Completed<CustomStatus> = Completed {
    parse: custom_status,
    values: STATUSES,
};

pub(crate) const PRESENT_STATUS: Completed<Status> = Completed {
    parse: present_status,
    values: STATUSES,
};

pub(crate) fn user_id(text: &str) -> Result<UserId, String> {
    UserId::new(text).map_err(|why| why.to_string())
}

pub(crate) fn source(text: &str) -> Result<Source, String> {
    text.parse()
        .map_err(|_| "expected 1 to 64 of the characters A-Z a-z 0-9 . _ -".to_owned())
}

/// Maps user input to the spelling of the wire: any case, `-` and spaces for `_`, `dnd` for DO_NOT_DISTURB.
fn normalized(text: &str) -> String {
    let name = text.trim().to_ascii_uppercase().replace(['-', ' '], "_");
    if name == "DND" {
        "DO_NOT_DISTURB".to_owned()
    } else {
        name
    }
}

fn custom_status(text: &str) -> Result<CustomStatus, String> {
    let text = normalized(text);
    text.parse().map_err(|_| {
        if text == "OFFLINE" {
            return "OFFLINE can't be set: it is the status of a user without sessions; `presencectl kick USER` ends them"
                .to_owned();
        }
        "expected ONLINE, IDLE or DO_NOT_DISTURB (dnd), after the user: `set-status USER STATUS`".to_owned()
    })
}

/// Parses a status of a present user: OFFLINE is rejected.
fn present_status(text: &str) -> Result<Status, String> {
    match normalized(text).parse() {
        Ok(Status::Offline) => Err("OFFLINE users are not listed; use `presencectl get` for them".to_owned()),
        Ok(status) => Ok(status),
        Err(_) => Err("expected ONLINE, IDLE or DO_NOT_DISTURB (dnd)".to_owned()),
    }
}

/// A time as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    At(Wall),
    Ago(Duration),
}

impl Moment {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(ago) = duration::parse(text) {
            return Ok(Self::Ago(ago));
        }
        let at = text.trim().parse().map(Self::At);
        at.map_err(|_| "expected a time such as 2026-11-30T06:00:00Z, or how long ago, such as 10m".to_owned())
    }

    /// The time that it was at `now`.
    pub(crate) fn at(self, now: Wall) -> Wall {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.before(ago),
        }
    }
}

/// Parses an event rate per second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text
        .parse()
        .map_err(|_| "expected a number such as 50 or 0.5".to_owned())?;
    if rate.is_finite() && (0.0..=1_000_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("expected 0 to 1000000".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_absolute_or_how_long_ago() {
        let now = Wall::from_millis(1_000_000);
        let at = |text: &str| Moment::parse(text).map(|moment| moment.at(now).as_millis());
        assert_eq!(at("10m"), Ok(400_000));
        assert_eq!(at("0s"), Ok(1_000_000));
        assert_eq!(at("1970-01-01T00:00:07.250Z"), Ok(7_250));
        assert_eq!(at(" 1970-01-01T02:00:07+02:00 "), Ok(7_000));
        for text in [
            "",
            "10",
            "-10m",
            "yesterday",
            "1970-01-01",
            "1970-01-01T00:00:07",
            "1700000000",
        ] {
            assert!(at(text).is_err_and(|why| why.contains("how long ago")), "{text}");
        }
    }

    #[test]
    fn a_status_is_parsed_in_any_case_and_spelling() {
        for text in ["dnd", "DND", "do-not-disturb", "Do_Not_Disturb", "do not disturb"] {
            assert_eq!(custom_status(text), Ok(CustomStatus::DoNotDisturb), "{text}");
        }
        assert_eq!(custom_status("idle"), Ok(CustomStatus::Idle));
        assert!(custom_status("Offline").is_err_and(|why| why.contains("`presencectl kick USER`")));
        assert!(custom_status("busy").is_err_and(|why| why.contains("expected ONLINE")));
        assert!(present_status("offline").is_err());
        assert_eq!(present_status("Online"), Ok(Status::Online));
    }
}
