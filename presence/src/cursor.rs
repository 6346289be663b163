//! Cursors: positions in the order of changes from which a subscription resumes, and which of them do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::revision::Revision;

/// A position in one node's order of changes, from which a subscription resumes: every change up to it that concerned
/// the connection was sent. On the wire: incarnation and watermark in hexadecimal, joined by a dot; opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The random number of one run of one node: the history that the watermark belongs to.
    pub incarnation: u64,
    /// The revision up to which every change was sent. [`Revision::NEVER`] never resumes.
    pub watermark: Revision,
}

/// The changes of one run that are known, all of them: whoever has its cursor is told exactly what came after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// The number of the run.
    pub incarnation: u64,
    /// What changed up to here is known no more.
    pub from: Revision,
    /// No change of the run has a higher revision.
    pub to: Revision,
}

impl History {
    /// Whether a subscription resumes from the cursor.
    #[must_use]
    pub fn resumes(&self, cursor: Cursor) -> bool {
        cursor.incarnation == self.incarnation
            && cursor.watermark != Revision::NEVER
            && (self.from..=self.to).contains(&cursor.watermark)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{:x}", self.incarnation, self.watermark.get())
    }
}

/// The text is not a cursor of the form that [`Cursor`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid cursor")]
pub struct InvalidCursor;

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (incarnation, watermark) = text.split_once('.').ok_or(InvalidCursor)?;
        // `from_str_radix` alone would take a sign, and any number of leading zeros.
        let parse = |part: &str| {
            let fits = part.len() <= 16 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            u64::from_str_radix(if fits { part } else { "" }, 16).map_err(|_| InvalidCursor)
        };
        Ok(Self {
            incarnation: parse(incarnation)?,
            watermark: Revision::new(parse(watermark)?),
        })
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
