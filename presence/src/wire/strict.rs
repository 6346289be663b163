//! JSON as strictly as the contract reads it: UTF-8, one value, no key twice anywhere, no depth that hurts.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// The bytes are not the JSON that is expected.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidJson(String);

/// Parses `bytes`, refusing a key given twice at any depth, known or not.
///
/// # Errors
/// Says what is wrong and where.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, InvalidJson> {
    check(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| InvalidJson(error.to_string()))
}

/// Checks that `bytes` are one JSON value without a key given twice.
///
/// # Errors
/// Says what is wrong and where.
pub fn check(bytes: &[u8]) -> Result<(), InvalidJson> {
    // `IgnoredAny` skips strings without looking at their bytes; a `str` does not.
    let text = std::str::from_utf8(bytes).map_err(|error| InvalidJson(error.to_string()))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let checked = NoKeyTwice.deserialize(&mut json).and_then(|()| json.end());
    checked.map_err(|error| InvalidJson(error.to_string()))
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
        let mut keys = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            entries.next_value_seed(NoKeyTwice)?;
            if let Some(twice) = keys.replace(key) {
                return Err(de::Error::custom(format_args!("the key {twice:?} is given twice")));
            }
        }
        Ok(())
    }
}
