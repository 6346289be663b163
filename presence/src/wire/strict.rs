//! JSON as strictly as the contract reads it: UTF-8, one object, no key twice anywhere, no depth that hurts. Bad input must
//! cost less than good: nothing is kept of it but the keys of the objects that are open, and of an error a line.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// The bytes are not the JSON that is expected.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidJson(String);

/// Longest error text, in bytes: enough for what is wrong and where, not enough to send a body back in it.
const ERROR_MAX_BYTES: usize = 200;
/// How many characters of a key an error shows.
const KEY_SHOWN_CHARS: usize = 32;
/// Up to how many keys of one object are compared one by one before an ordered set is worth its memory.
const KEYS_IN_LINE: usize = 8;

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

/// Parses the object in `bytes`, refusing a key given twice at any depth, known or not.
///
/// # Errors
/// Says what is wrong and where.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, InvalidJson> {
    check(bytes)?;
    serde_json::from_slice(bytes).map_err(InvalidJson::new)
}

/// Checks that `bytes` are one JSON object without a key given twice.
///
/// # Errors
/// Says what is wrong and where.
pub fn check(bytes: &[u8]) -> Result<(), InvalidJson> {
    // `IgnoredAny` skips strings without looking at their bytes; a `str` does not.
    let text = std::str::from_utf8(bytes).map_err(InvalidJson::new)?;
    // A derived struct would read a list as its fields in order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(InvalidJson::new("not a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let checked = NoKeyTwice.deserialize(&mut json).and_then(|()| json.end());
    checked.map_err(InvalidJson::new)
}

/// A key as it reads, escapes undone: copied only if it has any.
struct Key<'de>(Cow<'de, str>);

impl<'de> de::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
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

        deserializer.deserialize_str(Text)
    }
}

/// The keys of one object so far.
#[derive(Default)]
struct Keys<'de> {
    in_line: Vec<Cow<'de, str>>,
    ordered: BTreeSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    /// Adds a key, or gives it back if it is there already.
    fn insert(&mut self, key: Cow<'de, str>) -> Result<(), Cow<'de, str>> {
        if self.ordered.is_empty() {
            if self.in_line.contains(&key) {
                return Err(key);
            }
            if self.in_line.len() < KEYS_IN_LINE {
                self.in_line.push(key);
                return Ok(());
            }
            self.ordered.extend(self.in_line.drain(..));
        }
        self.ordered.replace(key).map_or(Ok(()), Err)
    }
}

struct NoKeyTwice;

impl<'de> DeserializeSeed<'de> for NoKeyTwice {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NoKeyTwice {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
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
        while items.next_element_seed(NoKeyTwice)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut keys = Keys::default();
        while let Some(Key(key)) = entries.next_key()? {
            keys.insert(key).map_err(|key| {
                let shown: String = key.chars().take(KEY_SHOWN_CHARS).collect();
                de::Error::custom(format_args!("the key {shown:?} is given twice"))
            })?;
            entries.next_value_seed(NoKeyTwice)?;
        }
        Ok(())
    }
}
