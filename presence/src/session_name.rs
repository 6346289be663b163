//! The public id of a session, as `welcome` gives it and `resume` takes it: the run of the daemon and the session's number in
//! it. Opaque to clients.

use std::fmt;
use std::str::FromStr;

use crate::sessions::SessionId;

/// The public id of a session. On the wire: run and number in hexadecimal, joined by a hyphen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionName {
    /// Tells runs of nodes apart; a random number.
    pub run: u32,
    /// The session in that run.
    pub session: SessionId,
}

/// The text is no id that a daemon gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session id")]
pub struct InvalidSessionName;

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.run, self.session.0)
    }
}

impl FromStr for SessionName {
    type Err = InvalidSessionName;

    fn from_str(text: &str) -> Result<Self, InvalidSessionName> {
        let (run, session) = text.split_once('-').ok_or(InvalidSessionName)?;
        let name = Self {
            run: u32::from_str_radix(run, 16).map_err(|_| InvalidSessionName)?,
            session: SessionId(u64::from_str_radix(session, 16).map_err(|_| InvalidSessionName)?),
        };
        // One text for each id: no sign, no leading zeros, no capitals.
        if name.to_string() == text {
            Ok(name)
        } else {
            Err(InvalidSessionName)
        }
    }
}
