//! Value parsers of the command line: user ids, statuses, rates.

use presence::{CustomStatus, Source, Status, UserId};

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

pub(crate) fn custom_status(text: &str) -> Result<CustomStatus, String> {
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
pub(crate) fn present_status(text: &str) -> Result<Status, String> {
    match normalized(text).parse() {
        Ok(Status::Offline) => Err("OFFLINE users are not listed; use `presencectl get` for them".to_owned()),
        Ok(status) => Ok(status),
        Err(_) => Err("expected ONLINE, IDLE or DO_NOT_DISTURB (dnd)".to_owned()),
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
