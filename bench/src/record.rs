//! Presence records and the messages around them as text: what the generator looks for in them, and what the floor sends.
//! A frame is searched for its fields, not parsed: the generator has to stay cheap beside the servers it measures.

use std::io::Write as _;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::user::{self, User};

/// The status of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Status {
    #[default]
    Offline,
    Online,
    Idle,
    DoNotDisturb,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Offline => "OFFLINE",
            Self::Online => "ONLINE",
            Self::Idle => "IDLE",
            Self::DoNotDisturb => "DO_NOT_DISTURB",
        }
    }

    fn begins(text: &[u8]) -> Option<Self> {
        match text.first_chunk()? {
            b"OF" => Some(Self::Offline),
            b"ON" => Some(Self::Online),
            b"ID" => Some(Self::Idle),
            b"DO" => Some(Self::DoNotDisturb),
            _ => None,
        }
    }
}

/// What a record says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) user: User,
    pub(crate) status: Status,
    rest: &'a [u8],
}

impl Seen<'_> {
    /// The revision, which is searched for when it is asked for; 0 if there is none.
    pub(crate) fn revision(&self) -> u64 {
        let at = REVISION.find(self.rest).map(|at| at + REVISION.needle().len());
        let digits = self.rest[at.unwrap_or(self.rest.len())..].iter();
        let digits = digits.take_while(|digit| digit.is_ascii_digit());
        digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
    }
}

static USER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"userId\":\""));
static REVISION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"revision\":"));
const STATUS: &[u8] = b"\",\"status\":\"";

/// The records in a text, one after the other. Those of other users than the benchmark's are passed over.
pub(crate) fn records(mut text: &[u8]) -> impl Iterator<Item = Seen<'_>> {
    std::iter::from_fn(move || {
        loop {
            let start = USER.find(text)? + USER.needle().len();
            text = &text[start..];
            if let Some(seen) = record(text) {
                return Some(seen);
            }
        }
    })
}

/// The record whose text begins with the user's id.
fn record(text: &[u8]) -> Option<Seen<'_>> {
    let user = user::parse(text)?;
    let rest = text[user::ID_LENGTH..].strip_prefix(STATUS)?;
    Some(Seen {
        user,
        status: Status::begins(rest)?,
        rest,
    })
}

/// A message from the server, by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Welcome,
    /// A frame of a snapshot, and whether it is the last.
    Snapshot {
        is_done: bool,
    },
    Presence,
    Ok,
    /// Anything else, which no workload expects.
    Other,
}

impl Kind {
    pub(crate) fn of(text: &[u8]) -> Self {
        const DONE: &[u8] = b"\"done\":true";
        /// `done` stands behind the head of the message, before or after its records.
        const MARGIN: usize = 200;
        let Some(rest) = text.strip_prefix(b"{\"type\":\"") else {
            return Self::Other;
        };
        match rest.first_chunk() {
            Some(b"welc") => Self::Welcome,
            Some(b"pres") => Self::Presence,
            Some(b"ok\",") => Self::Ok,
            Some(b"snap") => {
                let head = &text[..text.len().min(MARGIN)];
                let end = &text[text.len().saturating_sub(MARGIN)..];
                let is_done = [head, end]
                    .iter()
                    .any(|part| memchr::memmem::find(part, DONE).is_some());
                Self::Snapshot { is_done }
            }
            _ => Self::Other,
        }
    }
}

/// About what revisions of the daemon are, so that they have as many digits.
pub(crate) const FIRST_REVISION: u64 = 1_795_415_782_715_000;
/// Any time; only its length matters.
const TIME: &str = "2026-11-23T06:36:22.715Z";
const CURSOR: &str = "9c0d7d42a1f3b855.660ebd0631780";

/// The record of a user who is present, as internal callers and observers see it.
pub(crate) fn encode_internal(user: User, status: Status) -> Vec<u8> {
    let mut text = encode(user, status, FIRST_REVISION);
    text.pop();
    text.extend_from_slice(b",\"customStatus\":\"ONLINE\",\"sessions\":1,\"reason\":\"active\",\"nodes\":[]}");
    text
}

/// The record of a user as others see it.
pub(crate) fn encode(user: User, status: Status, revision: u64) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    encode_into(&mut text, user, status, revision);
    text
}

/// Appends the record of a user as others see it.
pub(crate) fn encode_into(text: &mut Vec<u8>, user: User, status: Status, revision: u64) {
    const TIMES: &str = ",\"since\":\"2026-11-23T06:36:22.715Z\",\"lastSeen\":\"2026-11-23T06:36:22.715Z\",\
        \"lastActive\":\"2026-11-23T06:36:22.715Z\",\"revision\":";
    const NEVER: &str = ",\"since\":null,\"lastSeen\":null,\"lastActive\":null,\"revision\":";
    text.extend_from_slice(b"{\"userId\":\"");
    user::write_id(text, user);
    text.extend_from_slice(STATUS);
    text.extend_from_slice(status.name().as_bytes());
    text.push(b'"');
    text.extend_from_slice(if revision == 0 { NEVER } else { TIMES }.as_bytes());
    // Writing into memory does not fail.
    let _ = write!(text, "{revision}}}");
}

/// Appends the greeting of a user with this record, or of an observer.
pub(crate) fn encode_welcome(text: &mut Vec<u8>, record: Option<&[u8]>) {
    text.extend_from_slice(b"{\"type\":\"welcome\",\"sessionId\":\"6b91c820-2\"");
    if let Some(record) = record {
        text.extend_from_slice(b",\"user\":");
        text.extend_from_slice(&record[..record.len() - 1]);
        text.extend_from_slice(b",\"customStatus\":\"ONLINE\",\"sessions\":1}");
    }
    text.extend_from_slice(b",\"now\":\"");
    text.extend_from_slice(TIME.as_bytes());
    text.extend_from_slice(b"\",\"pingSeconds\":25.0,\"node\":\"vm\",\"version\":\"0.1.0\"}");
}

pub(crate) fn encode_presence(record: &[u8]) -> Vec<u8> {
    let mut text =
        format!("{{\"type\":\"presence\",\"cursor\":\"{CURSOR}\",\"now\":\"{TIME}\",\"users\":[").into_bytes();
    text.extend_from_slice(record);
    text.extend_from_slice(b"]}");
    text
}

pub(crate) fn encode_ok(id: &str, record: &[u8]) -> Vec<u8> {
    let mut text = format!("{{\"type\":\"ok\",\"id\":{id},\"user\":").into_bytes();
    text.extend_from_slice(record);
    text.extend_from_slice(format!(",\"now\":\"{TIME}\"}}").as_bytes());
    text
}

/// Appends a frame of a snapshot, and whether it is the last.
pub(crate) fn encode_snapshot<'a>(text: &mut Vec<u8>, records: impl Iterator<Item = &'a [u8]>, is_done: bool) {
    let head = "{\"type\":\"snapshot\",\"id\":1,\"cursor\":";
    // Writing into memory does not fail.
    let _ = write!(text, "{head}\"{CURSOR}\",\"now\":\"{TIME}\",\"users\":[");
    join(records, text);
    let _ = write!(text, "],\"resumed\":false,\"done\":{is_done}}}");
}

/// A page of the list of present users.
pub(crate) fn encode_page<'a>(records: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut text = format!("{{\"now\":\"{TIME}\",\"users\":[").into_bytes();
    join(records, &mut text);
    let end = "],\"next\":\"752d303030393939\",\"counts\":{\"ONLINE\":100000,\"IDLE\":0,\"DO_NOT_DISTURB\":0}}";
    text.extend_from_slice(end.as_bytes());
    text
}

fn join<'a>(records: impl Iterator<Item = &'a [u8]>, text: &mut Vec<u8>) {
    for record in records {
        text.extend_from_slice(record);
        text.push(b',');
    }
    text.pop_if(|last| *last == b',');
}

#[cfg(test)]
mod tests {
    use presence::wire::server_message::ServerMessage;

    use super::*;

    const REVISION: u64 = FIRST_REVISION;

    fn seen(text: &[u8]) -> Vec<(User, Status, u64)> {
        records(text)
            .map(|seen| (seen.user, seen.status, seen.revision()))
            .collect()
    }

    fn built(build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut text = Vec::new();
        build(&mut text);
        text
    }

    #[test]
    fn messages_of_the_floor_are_messages_of_the_protocol() {
        let record = encode(7, Status::Idle, REVISION);
        let absent = encode(7, Status::Offline, 0);
        let both = [record.as_slice(), absent.as_slice()];
        let snapshot = built(|text| encode_snapshot(text, both.into_iter(), true));
        let messages = [
            (built(|text| encode_welcome(text, Some(&record))), Kind::Welcome),
            (encode_presence(&record), Kind::Presence),
            (encode_ok("3", &record), Kind::Ok),
            (snapshot.clone(), Kind::Snapshot { is_done: true }),
        ];
        for (text, kind) in messages {
            let message: ServerMessage = serde_json::from_slice(&text).unwrap();
            assert_eq!(message.encode().unwrap().len(), text.len(), "{message:?}");
            assert_eq!(Kind::of(&text), kind);
            assert_eq!(seen(&text)[0], (7, Status::Idle, REVISION));
        }
        let expected = [(7, Status::Idle, REVISION), (7, Status::Offline, 0)];
        assert_eq!(seen(&snapshot), expected);
    }

    #[test]
    fn an_unfinished_snapshot_is_not_done() {
        let text = br#"{"type":"snapshot","id":1,"done":false,"users":[]}"#;
        assert_eq!(Kind::of(text), Kind::Snapshot { is_done: false });
        assert_eq!(Kind::of(br#"{"type":"goodbye"}"#), Kind::Other);
    }
}
