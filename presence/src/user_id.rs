//! User ids, as the application assigns them. The text is untrusted and kept byte for byte: no normalization, case
//! folding or trimming.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest user id, in bytes of UTF-8.
pub const USER_ID_MAX_BYTES: usize = 128;

/// A valid user id: 1 to [`USER_ID_MAX_BYTES`] bytes of UTF-8 without control characters, without white space at the
/// ends, and neither `.` nor `..`. Compared and ordered byte for byte. Cloning shares the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

/// The rule that a text breaks, so that it is not a [`UserId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUserId {
    /// The text is empty.
    #[error("user id must not be empty")]
    Empty,
    /// The text is longer than [`USER_ID_MAX_BYTES`].
    #[error("user id must not be longer than 128 bytes")]
    TooLong,
    /// The text contains a control character (Unicode category Cc).
    #[error("user id must not contain control characters")]
    Control,
    /// The text begins or ends with white space (Unicode property `White_Space`).
    #[error("user id must not begin or end with white space")]
    Space,
    /// The text is `.` or `..`, which URL and path normalization removes (RFC 3986, section 5.2.4).
    #[error("user id must not be \".\" or \"..\"")]
    Dots,
}

impl UserId {
    /// Validates the text and keeps it unchanged.
    ///
    /// # Errors
    /// The first rule that the text breaks.
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

    /// The text as it was given, byte for byte.
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
        struct UserIdVisitor;

        impl de::Visitor<'_> for UserIdVisitor {
            type Value = UserId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user id")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<UserId, E> {
                UserId::new(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(UserIdVisitor)
    }
}
