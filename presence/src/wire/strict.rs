//! Strict JSON parsing: UTF-8, one object, no duplicate keys at any depth, bounded nesting (128, by `serde_json`).
//! Invalid input must cost less than valid input, so the check stores only the keys of the objects that are open, and
//! error texts are short.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// The input is not valid JSON of the expected shape. The text names the error and its position.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidJson(String);

/// The longest error text, in bytes: enough for the error and its position, too short to return the input in it.
const ERROR_MAX_BYTES: usize = 200;
/// The number of characters of a key that an error text shows.
const KEY_SHOWN_CHARS: usize = 32;
/// The number of keys of one object that are compared linearly; from there on a `BTreeSet` keeps the check from being
/// quadratic.
const LINEAR_KEYS_MAX: usize = 8;

impl InvalidJson {
    fn new(error: impl fmt::Display) -> Self {
        let mut text = error.to_string();
        if text.len() > ERROR_MAX_BYTES {
            text.truncate(text.floor_char_boundary(ERROR_MAX_BYTES));
            text.push('…');
        }
        Self(text)
    }
}

/// Parses the JSON object in `bytes`. Duplicate keys are rejected at any depth, in unknown fields too.
///
/// # Errors
/// Names the error and its position.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, InvalidJson> {
    check(bytes)?;
    serde_json::from_slice(bytes).map_err(InvalidJson::new)
}

/// Checks that `bytes` are one JSON object without duplicate keys.
///
/// # Errors
/// Names the error and its position.
pub fn check(bytes: &[u8]) -> Result<(), InvalidJson> {
    // `IgnoredAny` skips strings without validating UTF-8, so it is validated first.
    let text = std::str::from_utf8(bytes).map_err(InvalidJson::new)?;
    // A derived struct would accept an array as its fields in order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(InvalidJson::new("not a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let checked = DuplicateKeyCheck.deserialize(&mut json).and_then(|()| json.end());
    checked.map_err(InvalidJson::new)
}

/// A key with its escapes decoded; copied only if it contains any.
struct Key<'de>(Cow<'de, str>);

impl<'de> de::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The keys of one object that were parsed so far.
#[derive(Default)]
struct Keys<'de> {
    linear: Vec<Cow<'de, str>>,
    ordered: BTreeSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    /// Adds a key; returns it as the error if it is a duplicate.
    fn insert(&mut self, key: Cow<'de, str>) -> Result<(), Cow<'de, str>> {
        if self.ordered.is_empty() {
            if self.linear.contains(&key) {
                return Err(key);
            }
            if self.linear.len() < LINEAR_KEYS_MAX {
                self.linear.push(key);
                return Ok(());
            }
            self.ordered.extend(self.linear.drain(..));
        }
        self.ordered.replace(key).map_or(Ok(()), Err)
    }
}

struct DuplicateKeyCheck;

impl<'de> DeserializeSeed<'de> for DuplicateKeyCheck {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DuplicateKeyCheck {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(DuplicateKeyCheck)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut keys = Keys::default();
        while let Some(Key(key)) = entries.next_key()? {
            keys.insert(key).map_err(|key| {
                let shown: String = key.chars().take(KEY_SHOWN_CHARS).collect();
                de::Error::custom(format_args!("duplicate key {shown:?}"))
            })?;
            entries.next_value_seed(DuplicateKeyCheck)?;
        }
        Ok(())
    }
}
