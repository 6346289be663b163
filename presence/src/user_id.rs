//! The identity of a user as the application names it. Hostile text everywhere: never renamed, folded or trimmed.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest user id, in bytes of UTF-8.
pub const USER_ID_MAX_BYTES: usize = 128;

/// 1 to 128 bytes of UTF-8 without control characters, without white space at the ends, and neither `.` nor `..`;
/// compared byte for byte. Cloning shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

/// Why a text is no user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUserId {
    /// Nothing there.
    #[error("a user id is empty")]
    Empty,
    /// Over [`USER_ID_MAX_BYTES`].
    #[error("a user id is longer than 128 bytes")]
    TooLong,
    /// A control character (Unicode category Cc) somewhere.
    #[error("a user id has a control character")]
    Control,
    /// White space first or last.
    #[error("a user id begins or ends with white space")]
    Space,
    /// `.` or `..`, which URLs and file systems resolve away.
    #[error("a user id is \".\" or \"..\"")]
    Dots,
}

impl UserId {
    /// Checks the text and takes it over unchanged.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn new(text: &str) -> Result<Self, InvalidUserId> {
        if text.is_empty() {
            return Err(InvalidUserId::Empty);
        }
        if text.len() > USER_ID_MAX_BYTES {
            return Err(InvalidUserId::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidUserId::Control);
        }
        if text.trim() != text {
            return Err(InvalidUserId::Space);
        }
        if text == "." || text == ".." {
            return Err(InvalidUserId::Dots);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The text, byte for byte as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserId {
    type Err = InvalidUserId;

    fn from_str(text: &str) -> Result<Self, InvalidUserId> {
        Self::new(text)
    }
}

impl Borrow<str> for UserId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl de::Visitor<'_> for Text {
            type Value = UserId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user id")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<UserId, E> {
                UserId::new(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}
