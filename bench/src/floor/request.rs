//! The messages that the floor understands, as the generator writes them.

use anyhow::{Result, bail};
use memchr::memmem;

use crate::user::{self, User};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Watch(Vec<User>),
    WatchAll,
    /// The `id` is answered as it is written.
    Activity {
        id: String,
        is_idle: bool,
    },
}

impl Request {
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        if text.starts_with(b"{\"type\":\"watchAll\"") {
            return Ok(Self::WatchAll);
        }
        if text.starts_with(b"{\"type\":\"watch\"") {
            let ids = memmem::find(text, b"[\"").map_or(text.len(), |at| at + 2);
            // An id, and `","` between two.
            let users = text[ids..].chunks(user::ID_LENGTH + 3).filter_map(user::parse);
            return Ok(Self::Watch(users.collect()));
        }
        if text.starts_with(b"{\"type\":\"activity\"") {
            let id = memmem::find(text, b"\"id\":").map_or(text.len(), |at| at + 5);
            let digits = text[id..].iter().take_while(|digit| digit.is_ascii_digit());
            return Ok(Self::Activity {
                id: digits.map(|digit| char::from(*digit)).collect(),
                is_idle: memmem::find(text, b"\"idle\":true").is_some(),
            });
        }
        bail!("the floor does not know {}", String::from_utf8_lossy(text))
    }
}

#[cfg(test)]
mod tests {
    use super::Request;
    use crate::generator::request::watch;

    #[test]
    fn messages_of_the_generator_are_understood() {
        let watched = Request::parse(watch([3, 999_999].into_iter()).as_bytes()).unwrap();
        assert_eq!(watched, Request::Watch(vec![3, 999_999]));
        let activity = Request::parse(br#"{"type":"activity","id":12,"idle":true}"#).unwrap();
        let expected = Request::Activity {
            id: "12".to_owned(),
            is_idle: true,
        };
        assert_eq!(activity, expected);
        assert!(Request::parse(b"{}").is_err());
    }
}
