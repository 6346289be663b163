//! Messages from a client. Parsing is strict about types, ignores unknown fields, and keeps the `id` of an invalid
//! message, so that the client can match the error to it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::ser::Error;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::error_code::Code;
use super::strict;
use crate::cursor::Cursor;
use crate::session_name::SessionName;
use crate::status::CustomStatus;
use crate::user_id::UserId;

/// The longest message id, in bytes: of a string the text as JSON unescapes it, of a number its characters.
pub const MESSAGE_ID_MAX_BYTES: usize = 64;

/// How long ago an activity may have been: ten years. More is a mistake of the client, and would be a time that nobody can show.
pub const AGO_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

/// The id of a client's message: a string or a number, kept and sent back byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageId(Box<str>);

impl fmt::Display for MessageId {
    /// Writes the id as JSON.
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
    /// `setStatus`: set the custom status of the connection's user.
    SetStatus(CustomStatus),
    /// `activity`: the user did something.
    Activity {
        /// How long ago that was (`agoMs`); zero if absent.
        ago: Duration,
    },
    /// `activity` with `"idle":true`: the user went idle.
    Away {
        /// How long ago the user did something for the last time (`agoMs`), if the client says so.
        ago: Option<Duration>,
    },
    /// `watch`: add users to the watch list.
    Watch {
        /// The users to add.
        user_ids: Vec<UserId>,
        /// The cursor to resume from. None if absent or malformed: the answer is then `"resumed":false`.
        since: Option<Cursor>,
    },
    /// `watchAll`: subscribe to all users.
    WatchAll {
        /// The cursor to resume from. None if absent or malformed.
        since: Option<Cursor>,
    },
    /// `unwatch`: remove users from the watch list.
    Unwatch {
        /// The users to remove.
        user_ids: Vec<UserId>,
    },
    /// `resume`: this connection continues a session that its client has lost.
    Resume {
        /// The lost session. None if it is no id that a daemon gave: it continues nothing then.
        of: Option<SessionName>,
    },
    /// `ping`: answer with `pong`.
    Ping,
}

/// The error with which an invalid message is answered. It had no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageError {
    /// The stable error code.
    pub code: Code,
    /// The error text for people; not stable.
    pub message: String,
}

/// The text of one frame, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The id to return in the answer; none if absent, null or invalid.
    pub id: Option<MessageId>,
    /// The request, or the error to answer.
    pub message: Result<ClientMessage, MessageError>,
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
    #[serde(borrow)]
    session_id: Option<&'a RawValue>,
    #[serde(borrow)]
    ago_ms: Option<&'a RawValue>,
}

impl Envelope {
    /// Parses one text frame. More than `ids_max` user ids are rejected as `too_many_watched`, without parsing the
    /// rest.
    #[must_use]
    pub fn parse(text: &str, ids_max: usize) -> Self {
        let fields = strict::check(text.as_bytes())
            .map_err(|error| error.to_string())
            .and_then(|()| serde_json::from_str::<Fields<'_>>(text).map_err(|error| error.to_string()));
        match fields {
            Err(message) => Self {
                id: None,
                message: Err(MessageError {
                    code: Code::InvalidJson,
                    message,
                }),
            },
            Ok(fields) => match message_id(fields.id) {
                Err(error) => Self {
                    id: None,
                    message: Err(error),
                },
                Ok(id) => Self {
                    id,
                    message: parse_message(&fields, ids_max),
                },
            },
        }
    }
}

fn message_id(raw: Option<&RawValue>) -> Result<Option<MessageId>, MessageError> {
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

fn parse_message(fields: &Fields<'_>, ids_max: usize) -> Result<ClientMessage, MessageError> {
    let kind: String = required(fields.kind, "type")?;
    match kind.as_str() {
        "setStatus" => custom_status(fields).map(ClientMessage::SetStatus),
        "activity" => match optional::<bool>(fields.idle, "idle")? {
            Some(true) => Ok(ClientMessage::Away { ago: ago(fields)? }),
            Some(false) | None => Ok(ClientMessage::Activity {
                ago: ago(fields)?.unwrap_or_default(),
            }),
        },
        "watch" => Ok(ClientMessage::Watch {
            user_ids: user_ids(fields, ids_max)?,
            since: since(fields)?,
        }),
        "watchAll" => Ok(ClientMessage::WatchAll { since: since(fields)? }),
        "unwatch" => Ok(ClientMessage::Unwatch {
            user_ids: user_ids(fields, ids_max)?,
        }),
        "resume" => Ok(ClientMessage::Resume {
            of: required::<String>(fields.session_id, "sessionId")?.parse().ok(),
        }),
        "ping" => Ok(ClientMessage::Ping),
        _ => Err(MessageError {
            code: Code::UnknownType,
            message: "unknown message type".into(),
        }),
    }
}

fn custom_status(fields: &Fields<'_>) -> Result<CustomStatus, MessageError> {
    let invalid = || MessageError {
        code: Code::InvalidCustomStatus,
        message: "customStatus must be ONLINE, IDLE or DO_NOT_DISTURB".into(),
    };
    let value: String = required(fields.custom_status, "customStatus").map_err(|_| invalid())?;
    value.parse().map_err(|_| invalid())
}

fn user_ids(fields: &Fields<'_>, ids_max: usize) -> Result<Vec<UserId>, MessageError> {
    let raw = fields.user_ids.ok_or_else(|| invalid("userIds"))?;
    let mut json = serde_json::Deserializer::from_str(raw.get());
    json.deserialize_seq(UserIdsVisitor { ids_max })
        .unwrap_or_else(|_| Err(invalid("userIds")))
}

/// Parses a list of user ids. After the first error the rest of the list is skipped without being stored.
struct UserIdsVisitor {
    ids_max: usize,
}

impl<'de> Visitor<'de> for UserIdsVisitor {
    type Value = Result<Vec<UserId>, MessageError>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of user ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Self::Value, A::Error> {
        let mut ids = Vec::new();
        while let Some(BorrowedText(text)) = texts.next_element()? {
            let error = if ids.len() == self.ids_max {
                MessageError {
                    code: Code::TooManyWatched,
                    message: format!("too many user ids: at most {} can be watched", self.ids_max),
                }
            } else {
                match UserId::new(&text) {
                    Ok(id) => {
                        ids.push(id);
                        continue;
                    }
                    Err(error) => MessageError {
                        code: Code::InvalidUserId,
                        message: error.to_string(),
                    },
                }
            };
            while texts.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Err(error));
        }
        Ok(Ok(ids))
    }
}

/// A string that is copied only if it contains escapes.
#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

fn ago(fields: &Fields<'_>) -> Result<Option<Duration>, MessageError> {
    let millis: Option<u64> = optional(fields.ago_ms, "agoMs")?;
    let ago = millis.map(Duration::from_millis);
    match ago {
        Some(ago) if ago > AGO_MAX => Err(invalid("agoMs")),
        ago => Ok(ago),
    }
}

fn since(fields: &Fields<'_>) -> Result<Option<Cursor>, MessageError> {
    let text: Option<String> = optional(fields.since, "since")?;
    // A malformed cursor is no error: like one that is too old, it is answered with `"resumed":false`.
    Ok(text.and_then(|text| text.parse().ok()))
}

fn required<T: for<'de> Deserialize<'de>>(raw: Option<&RawValue>, name: &str) -> Result<T, MessageError> {
    let raw = raw.ok_or_else(|| invalid(name))?;
    serde_json::from_str(raw.get()).map_err(|_| invalid(name))
}

fn optional<T: for<'de> Deserialize<'de>>(raw: Option<&RawValue>, name: &str) -> Result<Option<T>, MessageError> {
    raw.map(|raw| serde_json::from_str::<Option<T>>(raw.get()).map_err(|_| invalid(name)))
        .transpose()
        .map(Option::flatten)
}

fn invalid(name: &str) -> MessageError {
    MessageError {
        code: Code::InvalidValue,
        message: format!("field {name:?} is missing or invalid"),
    }
}
