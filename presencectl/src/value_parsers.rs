//! Arguments as people type them, turned into what they mean. No command and no help text here.

use presence::{CustomStatus, Status, UserId};

/// A user id.
///
/// # Errors
/// Says which rule it breaks.
pub(crate) fn user_id(text: &str) -> Result<UserId, String> {
    UserId::new(text).map_err(|why| why.to_string())
}

/// A status in any case, with `-` or `_`, and `dnd`.
fn normalized(text: &str) -> String {
    let word = text.trim().to_ascii_uppercase().replace(['-', ' '], "_");
    if word == "DND" {
        "DO_NOT_DISTURB".to_owned()
    } else {
        word
    }
}

/// What a user may choose.
///
/// # Errors
/// Says what there is.
pub(crate) fn custom_status(text: &str) -> Result<CustomStatus, String> {
    normalized(text)
        .parse()
        .map_err(|_| "choose ONLINE, IDLE or DO_NOT_DISTURB (dnd)".to_owned())
}

/// What the present may be shown as.
///
/// # Errors
/// Says what there is.
pub(crate) fn present_status(text: &str) -> Result<Status, String> {
    match normalized(text).parse() {
        Ok(Status::Offline) => Err("OFFLINE users aren't present; ask for them with `presencectl get`".to_owned()),
        Ok(status) => Ok(status),
        Err(_) => Err("choose ONLINE, IDLE or DO_NOT_DISTURB (dnd)".to_owned()),
    }
}

/// Things a second.
///
/// # Errors
/// Says what is wanted.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text
        .parse()
        .map_err(|_| "wanted a number, such as 50 or 0.5".to_owned())?;
    if rate.is_finite() && (0.0..=1_000_000.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("wanted 0 to 1000000".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_understood_as_people_write_it() {
        for text in ["dnd", "DND", "do-not-disturb", "Do_Not_Disturb", "do not disturb"] {
            assert_eq!(custom_status(text), Ok(CustomStatus::DoNotDisturb), "{text}");
        }
        assert_eq!(custom_status("idle"), Ok(CustomStatus::Idle));
        assert!(custom_status("offline").is_err());
        assert!(present_status("offline").is_err());
        assert_eq!(present_status("Online"), Ok(Status::Online));
    }
}
