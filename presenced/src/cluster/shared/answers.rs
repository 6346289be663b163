//! What Redis answers, as values of the cluster's interface. What no script or command of ours answers is an error.

use std::time::Duration;

use presence::replication::{
    Answer, Call, ConnectionNumber, Content, Entry, Epoch, Incarnation, KeptEnd, ListOutcome, ListedCustom, Outcome,
    Reply, StatePage,
};
use presence::{Revision, UserId, Wall};
use redis::Value;

/// How many digits the revision has that stands before a stored state.
const REVISION_DIGITS: usize = 16;

/// Redis answered what none of our scripts and commands does: somebody else's data, or a version that differs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an unexpected answer: {0}")]
pub(crate) struct UnexpectedAnswer(&'static str);

/// The answer of the script for `call`.
pub(super) fn answer(call: &Call, value: Value) -> Result<Answer, UnexpectedAnswer> {
    let mut parts = array(value)?.into_iter();
    let mut next = || parts.next().ok_or(UnexpectedAnswer("too short"));
    match call {
        Call::Register { .. } => Ok(Answer::Registered {
            epoch: epoch(&bytes(next()?)?)?,
            head: revision(&bytes(next()?)?)?,
            time: time(&bytes(next()?)?)?,
            is_new: matches!(next()?, Value::Int(1)),
        }),
        Call::Offer { users, .. } => {
            let time = time(&bytes(next()?)?)?;
            let outcomes: Vec<Outcome> = parts.map(|part| outcome(&bytes(part)?)).collect::<Result<_, _>>()?;
            match outcomes.len() == users.len() {
                true => Ok(Answer::Offered { time, outcomes }),
                false => Err(UnexpectedAnswer("another number of outcomes")),
            }
        }
        Call::Tick { .. } => Ok(Answer::Ticked {
            time: time(&bytes(next()?)?)?,
            revision: revision(&bytes(next()?)?)?,
            listed_present: number(&bytes(next()?)?)?,
            listed_custom: match bytes(next()?)?.as_slice() {
                b"complete" => ListedCustom::Complete,
                b"incomplete" => ListedCustom::Incomplete,
                by => ListedCustom::UnderWay(incarnation(by)?),
            },
        }),
        Call::List { .. } => {
            let time = time(&bytes(next()?)?)?;
            let (outcome, at) = (bytes(next()?)?, number(&bytes(next()?)?)?);
            let outcome = match outcome.as_slice() {
                b"done" => ListOutcome::Done,
                b"goes-on" => ListOutcome::GoesOn(at),
                b"begun" => ListOutcome::Begun(Revision::new(at)),
                b"behind" => ListOutcome::Behind,
                b"refused" => ListOutcome::Refused,
                b"full" => ListOutcome::Full,
                _ => return Err(UnexpectedAnswer("no outcome of a list")),
            };
            Ok(Answer::Listed { time, outcome })
        }
        Call::End { .. } | Call::Drop { .. } => {
            let time = time(&bytes(next()?)?)?;
            let id = bytes(next()?)?;
            let revision = if id.is_empty() { None } else { Some(revision(&id)?) };
            Ok(Answer::Noted { time, revision })
        }
    }
}

fn outcome(bytes: &[u8]) -> Result<Outcome, UnexpectedAnswer> {
    match bytes.split_first() {
        Some((b'+', digits)) => Ok(Outcome::Taken(revision(digits)?)),
        Some((b'=', [])) => Ok(Outcome::Stored(None)),
        Some((b'=', stored)) => {
            let (revision, state) = stored_state(stored)?;
            Ok(Outcome::Stored(Some((revision, state.to_vec()))))
        }
        Some((b'!', [])) => Ok(Outcome::Full),
        _ => Err(UnexpectedAnswer("no outcome")),
    }
}

/// The answer to `XREAD` of one stream. What an entry of another program says is skipped as an error.
pub(super) fn entries(value: Value) -> Result<Reply, UnexpectedAnswer> {
    if value == Value::Nil {
        return Ok(Reply::Entries(Vec::new()));
    }
    let streams = match value {
        // RESP3 answers a map, RESP2 an array of pairs.
        Value::Map(streams) => streams,
        value => array(value)?.into_iter().map(pair).collect::<Result<_, _>>()?,
    };
    let mut entries = Vec::new();
    for (_, of_stream) in streams {
        for one in array(of_stream)? {
            let (id, fields) = pair(one)?;
            entries.push(entry(&bytes(id)?, array(fields)?)?);
        }
    }
    Ok(Reply::Entries(entries))
}

/// The fields of an entry, by name; users may be several.
#[derive(Default)]
struct Fields {
    before: Option<Vec<u8>>,
    kind: Option<Vec<u8>>,
    author: Option<Vec<u8>>,
    ended: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    users: Vec<Vec<u8>>,
}

fn entry(id: &[u8], fields: Vec<Value>) -> Result<Entry, UnexpectedAnswer> {
    let mut named = Fields::default();
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let value = bytes(value)?;
        match bytes(name)?.as_slice() {
            b"p" => named.before = Some(value),
            b"k" => named.kind = Some(value),
            b"n" => named.author = Some(value),
            b"e" => named.ended = Some(value),
            b"v" => named.value = Some(value),
            b"u" => named.users.push(value),
            _ => {}
        }
    }
    let id = id.split(|byte| *byte == b'-').next().unwrap_or_default();
    Ok(Entry {
        id: revision(id)?,
        before: revision(&named.before.take().ok_or(UnexpectedAnswer("no predecessor"))?)?,
        content: content(named)?,
    })
}

fn content(fields: Fields) -> Result<Content, UnexpectedAnswer> {
    let missing = UnexpectedAnswer("an entry lacks a field");
    let by = |author: Option<Vec<u8>>| incarnation(&author.ok_or(UnexpectedAnswer("no author"))?);
    let value = fields.value.ok_or(missing.clone());
    let users = || fields.users.iter().map(|user| user_id(user));
    match fields.kind.as_deref() {
        None => Ok(Content::State {
            user: users().next().ok_or(missing)??,
            state: value?,
            by: by(fields.author)?,
        }),
        Some(b"tick") => Ok(Content::Tick {
            by: by(fields.author)?,
            content: value?,
        }),
        Some(b"registered") => Ok(Content::Registered {
            incarnation: by(fields.author)?,
            node: value?,
        }),
        Some(b"ended") => Ok(Content::Ended {
            incarnation: incarnation(&fields.ended.ok_or(missing)?)?,
            grace: Duration::from_millis(number(&value?)?),
            by: by(fields.author)?,
        }),
        Some(b"dropped") => Ok(Content::Dropped {
            users: users().collect::<Result<_, _>>()?,
            by: by(fields.author)?,
        }),
        Some(b"epoch") => Ok(Content::Epoch(epoch(&value?)?)),
        Some(_) => Err(UnexpectedAnswer("an entry of an unknown kind")),
    }
}

/// The answer to `HMGET state head epoch`.
pub(super) fn head(value: Value) -> Result<Reply, UnexpectedAnswer> {
    let mut parts = array(value)?.into_iter();
    let mut next = || match parts.next() {
        None | Some(Value::Nil) => Ok(None),
        Some(value) => bytes(value).map(Some),
    };
    Ok(Reply::Head {
        head: next()?.map_or(Ok(Revision::NEVER), |head| revision(&head))?,
        epoch: next()?.map(|text| epoch(&text)).transpose()?,
    })
}

/// The answer to `HSCAN`. Fields that no node wrote are skipped.
pub(super) fn page(value: Value) -> Result<StatePage, UnexpectedAnswer> {
    let (next, fields) = pair(value)?;
    let next = number(&bytes(next)?)?;
    let mut page = StatePage {
        next: (next != 0).then_some(next),
        ..StatePage::default()
    };
    let mut fields = array(fields)?.into_iter();
    while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
        let (field, value) = (bytes(field)?, bytes(value)?);
        match field.as_slice() {
            [1, b'n', name @ ..] => page.registrations.extend(registration(name, &value)),
            [1, b'g'] => page.ends = kept_ends(&value),
            [1, ..] => {}
            user => {
                if let (Ok(user), Ok((revision, state))) = (user_id(user), stored_state(&value)) {
                    page.users.push((user, revision, state.to_vec()));
                }
            }
        }
    }
    Ok(page)
}

fn registration(name: &[u8], value: &[u8]) -> Result<(Incarnation, ConnectionNumber, Vec<u8>), UnexpectedAnswer> {
    let space = value.iter().position(|byte| *byte == b' ');
    let (connection, node) = value.split_at(space.ok_or(UnexpectedAnswer("no registration"))?);
    let node = node.get(1..).unwrap_or_default().to_vec();
    Ok((incarnation(name)?, ConnectionNumber(number(connection)?), node))
}

/// The ends that the state keeps; what no node wrote is skipped.
fn kept_ends(value: &[u8]) -> Vec<KeptEnd> {
    let ends = value.split(|byte| *byte == b',');
    ends.filter_map(kept_end).collect()
}

fn kept_end(text: &[u8]) -> Option<KeptEnd> {
    let mut words = text.split(|byte| *byte == b' ');
    let [name, id, grace] = [words.next()?, words.next()?, words.next()?];
    Some(KeptEnd {
        incarnation: incarnation(name).ok()?,
        id: revision(id).ok()?,
        grace: Duration::from_millis(number(grace).ok()?),
    })
}

/// The revision and the state of a user's field.
fn stored_state(bytes: &[u8]) -> Result<(Revision, &[u8]), UnexpectedAnswer> {
    let (digits, state) = bytes
        .split_at_checked(REVISION_DIGITS)
        .ok_or(UnexpectedAnswer("a state without a revision"))?;
    Ok((revision(digits)?, state))
}

fn array(value: Value) -> Result<Vec<Value>, UnexpectedAnswer> {
    match value {
        Value::Array(parts) => Ok(parts),
        _ => Err(UnexpectedAnswer("no array")),
    }
}

fn pair(value: Value) -> Result<(Value, Value), UnexpectedAnswer> {
    let [first, second] = <[Value; 2]>::try_from(array(value)?).map_err(|_| UnexpectedAnswer("no pair"))?;
    Ok((first, second))
}

fn bytes(value: Value) -> Result<Vec<u8>, UnexpectedAnswer> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        _ => Err(UnexpectedAnswer("no string")),
    }
}

fn number(bytes: &[u8]) -> Result<u64, UnexpectedAnswer> {
    let text = text(bytes)?;
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().map_err(|_| UnexpectedAnswer("no number")),
        false => Err(UnexpectedAnswer("no number")),
    }
}

fn text(bytes: &[u8]) -> Result<&str, UnexpectedAnswer> {
    str::from_utf8(bytes).map_err(|_| UnexpectedAnswer("no text"))
}

fn revision(bytes: &[u8]) -> Result<Revision, UnexpectedAnswer> {
    number(bytes).map(Revision::new)
}

/// Microseconds as a time of the records.
fn time(micros: &[u8]) -> Result<Wall, UnexpectedAnswer> {
    let millis = i64::try_from(number(micros)? / 1_000).map_err(|_| UnexpectedAnswer("no time"))?;
    Ok(Wall::from_millis(millis))
}

fn incarnation(bytes: &[u8]) -> Result<Incarnation, UnexpectedAnswer> {
    text(bytes)?.parse().map_err(|_| UnexpectedAnswer("no incarnation"))
}

fn epoch(bytes: &[u8]) -> Result<Epoch, UnexpectedAnswer> {
    text(bytes)?.parse().map_err(|_| UnexpectedAnswer("no epoch"))
}

fn user_id(bytes: &[u8]) -> Result<UserId, UnexpectedAnswer> {
    UserId::new(text(bytes)?).map_err(|_| UnexpectedAnswer("no user id"))
}
