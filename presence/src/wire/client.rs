//! Messages from a client. Parsing is strict about shape and tolerant of unknown fields, and keeps the `id` of a message
//! that is otherwise wrong, so that even its refusal can be matched.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::ser::Error;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::code::Code;
use super::strict;
use crate::revision::Cursor;
use crate::status::CustomStatus;
use crate::user_id::UserId;

/// Longest message id, in bytes: of a string its text, of a number its digits.
pub const MESSAGE_ID_MAX_BYTES: usize = 64;

/// The id of a client's message: a string or a number, kept and sent back byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageId(Box<str>);

impl fmt::Display for MessageId {
    /// As JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// Set the custom status.
    SetStatus(CustomStatus),
    /// The user did something.
    Activity,
    /// The user went away.
    Away,
    /// Add to what is watched.
    Watch {
        /// Whom.
        user_ids: Vec<UserId>,
        /// Where to resume; a cursor nobody understands resumes as `false`.
        since: Option<Cursor>,
    },
    /// Watch everyone.
    WatchAll {
        /// Where to resume.
        since: Option<Cursor>,
    },
    /// Take from what is watched.
    Unwatch {
        /// Whom.
        user_ids: Vec<UserId>,
    },
    /// Answer me.
    Ping,
}

/// A message that was refused before anything was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The stable code.
    pub code: Code,
    /// For people.
    pub message: String,
}

/// A frame's text, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What to give back in the answer.
    pub id: Option<MessageId>,
    /// What is asked for.
    pub message: Result<ClientMessage, Refused>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    custom_status: Option<&'a RawValue>,
    #[serde(borrow)]
    idle: Option<&'a RawValue>,
    #[serde(borrow)]
    user_ids: Option<&'a RawValue>,
    #[serde(borrow)]
    since: Option<&'a RawValue>,
}

impl Envelope {
    /// Reads one text frame. At most `ids_max` user ids are looked at; more are refused as `too_many_watched`.
    #[must_use]
    pub fn parse(text: &str, ids_max: usize) -> Self {
        let fields = strict::check(text.as_bytes())
            .map_err(|error| error.to_string())
            .and_then(|()| serde_json::from_str::<Fields<'_>>(text).map_err(|error| error.to_string()));
        match fields {
            Err(message) => Self {
                id: None,
                message: Err(Refused {
                    code: Code::InvalidJson,
                    message,
                }),
            },
            Ok(fields) => match message_id(fields.id) {
                Err(refused) => Self {
                    id: None,
                    message: Err(refused),
                },
                Ok(id) => Self {
                    id,
                    message: read(&fields, ids_max),
                },
            },
        }
    }
}

fn message_id(raw: Option<&RawValue>) -> Result<Option<MessageId>, Refused> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return Ok(None);
    };
    let fits = match raw.get().as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(raw.get()).map_err(|_| invalid("id"))?;
            text.len() <= MESSAGE_ID_MAX_BYTES
        }
        Some(b'-' | b'0'..=b'9') => raw.get().len() <= MESSAGE_ID_MAX_BYTES,
        _ => false,
    };
    if fits {
        Ok(Some(MessageId(Box::from(raw.get()))))
    } else {
        Err(invalid("id"))
    }
}

fn read(fields: &Fields<'_>, ids_max: usize) -> Result<ClientMessage, Refused> {
    let kind: String = required(fields.kind, "type")?;
    match kind.as_str() {
        "setStatus" => custom_status(fields).map(ClientMessage::SetStatus),
        "activity" => match optional::<bool>(fields.idle, "idle")? {
            Some(true) => Ok(ClientMessage::Away),
            Some(false) | None => Ok(ClientMessage::Activity),
        },
        "watch" => Ok(ClientMessage::Watch {
            user_ids: user_ids(fields, ids_max)?,
            since: since(fields)?,
        }),
        "watchAll" => Ok(ClientMessage::WatchAll { since: since(fields)? }),
        "unwatch" => Ok(ClientMessage::Unwatch {
            user_ids: user_ids(fields, ids_max)?,
        }),
        "ping" => Ok(ClientMessage::Ping),
        _ => Err(Refused {
            code: Code::UnknownType,
            message: "unknown message type".into(),
        }),
    }
}

fn custom_status(fields: &Fields<'_>) -> Result<CustomStatus, Refused> {
    let refused = || Refused {
        code: Code::InvalidCustomStatus,
        message: "customStatus is ONLINE, IDLE or DO_NOT_DISTURB".into(),
    };
    let word: String = required(fields.custom_status, "customStatus").map_err(|_| refused())?;
    word.parse().map_err(|_| refused())
}

fn user_ids(fields: &Fields<'_>, ids_max: usize) -> Result<Vec<UserId>, Refused> {
    let raw = fields.user_ids.ok_or_else(|| invalid("userIds"))?;
    let mut json = serde_json::Deserializer::from_str(raw.get());
    json.deserialize_seq(UserIds { ids_max })
        .unwrap_or_else(|_| Err(invalid("userIds")))
}

/// Reads a list of user ids, and keeps nothing of it once it is known to be refused.
struct UserIds {
    ids_max: usize,
}

impl<'de> Visitor<'de> for UserIds {
    type Value = Result<Vec<UserId>, Refused>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of user ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Self::Value, A::Error> {
        let mut ids = Vec::new();
        while let Some(Text(text)) = texts.next_element()? {
            let refused = if ids.len() == self.ids_max {
                Refused {
                    code: Code::TooManyWatched,
                    message: format!("at most {} users", self.ids_max),
                }
            } else {
                match UserId::new(&text) {
                    Ok(id) => {
                        ids.push(id);
                        continue;
                    }
                    Err(why) => Refused {
                        code: Code::InvalidUserId,
                        message: why.to_string(),
                    },
                }
            };
            while texts.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Err(refused));
        }
        Ok(Ok(ids))
    }
}

/// A string that is copied only if it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn since(fields: &Fields<'_>) -> Result<Option<Cursor>, Refused> {
    let text: Option<String> = optional(fields.since, "since")?;
    // Somebody else's cursor is no error: it resumes as false, like one that is too old.
    Ok(text.and_then(|text| text.parse().ok()))
}

fn required<T: for<'de> Deserialize<'de>>(raw: Option<&RawValue>, name: &str) -> Result<T, Refused> {
    let raw = raw.ok_or_else(|| invalid(name))?;
    serde_json::from_str(raw.get()).map_err(|_| invalid(name))
}

fn optional<T: for<'de> Deserialize<'de>>(raw: Option<&RawValue>, name: &str) -> Result<Option<T>, Refused> {
    raw.map(|raw| serde_json::from_str::<Option<T>>(raw.get()).map_err(|_| invalid(name)))
        .transpose()
        .map(Option::flatten)
}

fn invalid(name: &str) -> Refused {
    Refused {
        code: Code::InvalidValue,
        message: format!("the field {name:?} is missing or has a bad value"),
    }
}
