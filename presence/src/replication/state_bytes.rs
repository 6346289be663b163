//! How a [`State`] is written: compact, because Redis and every node hold one for each present user, and so that an older
//! version keeps what a newer one added.

use crate::durable_part::{Preference, Version};
use crate::replication::bytes::{
    FORMAT, InvalidBytes, Reader, put_bytes, put_field, put_number, put_time, put_time_field,
};
use crate::replication::names::Incarnation;
use crate::replication::state::{Command, CommandKind, Share, SharedPart, State};
use crate::report::Report;
use crate::revision::Revision;
use crate::session_name::SessionName;
use crate::sessions::{Activity, Contribution, SessionId};
use crate::status::{Actor, CustomStatus, Status};

const SHARE: u8 = 1;
const STATUS: u8 = 2;
const SINCE: u8 = 3;
const LAST_SEEN: u8 = 4;
const LAST_ACTIVE: u8 = 5;
const VERSION: u8 = 6;
const PREFERENCE: u8 = 7;
const REPORT: u8 = 8;
const CHOSEN_UNTIL: u8 = 9;
const COMMAND: u8 = 10;
const CHANGED: u8 = 11;
const CONTINUED: u8 = 12;

/// In a share, after what is always there.
const SESSIONS: u8 = 1;

/// Beside the status: made without the store's answer.
const DEGRADED: u8 = 1 << 4;
/// Beside the activity of open connections: a grace period follows, with its activity in the bits above.
const HAS_GRACE: u8 = 1 << 2;
const GRACE_SHIFT: u8 = 3;
/// Beside the custom status: who set it, and whether a time follows.
const BY_USER: u8 = 1 << 2;
const BY_OPERATOR: u8 = 1 << 3;
const HAS_TIME: u8 = 1 << 4;
/// Beside the status of a report: which times follow.
const HAS_ACTIVE: u8 = 1 << 2;
const HAS_END: u8 = 1 << 3;

impl State {
    /// Writes it. Equal states are equal bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // A user with one connection takes about 50 bytes.
        let mut out = Vec::with_capacity(64);
        out.push(FORMAT);
        for share in &self.contributions {
            put_field(&mut out, SHARE, &encode_share(share));
        }
        put_field(
            &mut out,
            STATUS,
            &[status_code(self.status) | flag(self.degraded, DEGRADED)],
        );
        put_time_field(&mut out, SINCE, self.since);
        put_time_field(&mut out, LAST_SEEN, self.last_seen);
        put_time_field(&mut out, LAST_ACTIVE, self.last_active);
        encode_durable(&mut out, &self.durable);
        put_time_field(&mut out, CHOSEN_UNTIL, self.chosen_until);
        if let Some(command) = self.command {
            let mut content = vec![match command.kind {
                CommandKind::Kick => 0,
                CommandKind::Forget => 1,
            }];
            put_time(&mut content, command.at);
            content.extend_from_slice(&command.by.0.to_be_bytes());
            put_field(&mut out, COMMAND, &content);
        }
        if let Some(changed) = self.changed {
            let mut content = Vec::new();
            put_number(&mut content, changed.get());
            put_field(&mut out, CHANGED, &content);
        }
        if !self.continued.is_empty() {
            put_field(&mut out, CONTINUED, &encode_names(&self.continued));
        }
        out.extend_from_slice(&self.unknown);
        out
    }

    /// Reads what [`Self::encode`] wrote, in this version or another of the same format.
    ///
    /// # Errors
    /// A newer format, or what no node wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidBytes> {
        let mut reader = Reader::after_format(bytes)?;
        let mut state = Self::default();
        let mut reports = Vec::new();
        while !reader.is_empty() {
            let (tag, content) = reader.field()?;
            let mut field = Reader::of(content);
            match tag {
                SHARE => state.contributions.push(decode_share(field)?),
                STATUS => {
                    let code = field.byte()?;
                    state.status = status_of(code & 3);
                    state.degraded = code & DEGRADED != 0;
                }
                SINCE => state.since = Some(field.time()?),
                LAST_SEEN => state.last_seen = Some(field.time()?),
                LAST_ACTIVE => state.last_active = Some(field.time()?),
                VERSION => state.durable.part.version = Version::new(field.number()?),
                PREFERENCE => state.durable.part.preference = decode_preference(field)?,
                REPORT => {
                    let (report, end) = decode_report(field)?;
                    reports.push(report);
                    state.durable.ends.push(end);
                }
                CHOSEN_UNTIL => state.chosen_until = Some(field.time()?),
                CHANGED => state.changed = Some(Revision::new(field.number()?)),
                COMMAND => state.command = Some(decode_command(field)?),
                CONTINUED => state.continued = decode_names(field)?,
                _ => put_field(&mut state.unknown, tag, content),
            }
        }
        state.durable.part.reports = reports.into_boxed_slice();
        state.contributions.sort_by_key(|share| share.incarnation);
        state.contributions.dedup_by_key(|share| share.incarnation);
        Ok(state)
    }
}

const fn flag(is_set: bool, flag: u8) -> u8 {
    if is_set { flag } else { 0 }
}

const fn status_code(status: Status) -> u8 {
    match status {
        Status::Online => 0,
        Status::Idle => 1,
        Status::DoNotDisturb => 2,
        Status::Offline => 3,
    }
}

const fn status_of(code: u8) -> Status {
    match code {
        0 => Status::Online,
        1 => Status::Idle,
        2 => Status::DoNotDisturb,
        _ => Status::Offline,
    }
}

const fn activity_code(activity: Activity) -> u8 {
    match activity {
        Activity::Unknown => 0,
        Activity::Idle => 1,
        Activity::Active => 2,
    }
}

const fn activity_of(code: u8) -> Activity {
    match code & 3 {
        1 => Activity::Idle,
        2 => Activity::Active,
        _ => Activity::Unknown,
    }
}

const fn custom_code(custom: CustomStatus) -> u8 {
    match custom {
        CustomStatus::Online => 0,
        CustomStatus::Idle => 1,
        CustomStatus::DoNotDisturb => 2,
    }
}

const fn custom_of(code: u8) -> CustomStatus {
    match code & 3 {
        1 => CustomStatus::Idle,
        2 => CustomStatus::DoNotDisturb,
        _ => CustomStatus::Online,
    }
}

fn encode_share(share: &Share) -> Vec<u8> {
    let Contribution {
        connections,
        open_activity,
        grace,
        ..
    } = share.contribution;
    let mut out = share.incarnation.0.to_be_bytes().to_vec();
    let grace_code = grace.map_or(0, |activity| HAS_GRACE | activity_code(activity) << GRACE_SHIFT);
    out.push(activity_code(open_activity) | grace_code | flag(share.grace_until.is_some(), 1 << 5));
    put_number(&mut out, u64::from(connections));
    if grace.is_some() {
        put_number(&mut out, u64::from(share.places));
    }
    if let Some(until) = share.grace_until {
        put_time(&mut out, until);
    }
    if !share.sessions.is_empty() {
        let mut content = Vec::new();
        for session in &share.sessions {
            put_number(&mut content, session.0);
        }
        put_field(&mut out, SESSIONS, &content);
    }
    out.extend_from_slice(&share.unknown);
    out
}

fn encode_names(names: &[SessionName]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names {
        put_number(&mut out, name.run.into());
        put_number(&mut out, name.session.0);
    }
    out
}

fn decode_names(mut field: Reader<'_>) -> Result<Vec<SessionName>, InvalidBytes> {
    let mut names = Vec::new();
    while !field.is_empty() {
        names.push(SessionName {
            run: field.small()?,
            session: SessionId(field.number()?),
        });
    }
    Ok(names)
}

fn decode_share(mut field: Reader<'_>) -> Result<Share, InvalidBytes> {
    let incarnation = Incarnation(field.fixed()?);
    let code = field.byte()?;
    let connections = field.small()?;
    let grace = (code & HAS_GRACE != 0).then(|| activity_of(code >> GRACE_SHIFT));
    let places = if grace.is_some() { field.small()? } else { 0 };
    let grace_until = if code & 1 << 5 != 0 { Some(field.time()?) } else { None };
    let (mut sessions, mut unknown) = (Vec::new(), Vec::new());
    while !field.is_empty() {
        let (tag, content) = field.field()?;
        let mut numbers = Reader::of(content);
        if tag != SESSIONS {
            put_field(&mut unknown, tag, content);
            continue;
        }
        while !numbers.is_empty() {
            sessions.push(SessionId(numbers.number()?));
        }
    }
    Ok(Share {
        incarnation,
        contribution: Contribution {
            connections,
            open_activity: activity_of(code),
            grace,
            last_seen: None,
            last_active: None,
        },
        grace_until,
        places,
        sessions,
        unknown,
    })
}

fn encode_durable(out: &mut Vec<u8>, durable: &SharedPart) {
    let part = &durable.part;
    if part.version != Version::NONE {
        let mut content = Vec::new();
        put_number(&mut content, part.version.get());
        put_field(out, VERSION, &content);
    }
    let Preference {
        custom,
        set_at,
        set_by,
        version,
    } = part.preference;
    if part.preference != Preference::default() {
        let by = match set_by {
            None => 0,
            Some(Actor::User) => BY_USER,
            Some(Actor::Operator) => BY_OPERATOR,
        };
        let mut content = vec![custom_code(custom) | by | flag(set_at.is_some(), HAS_TIME)];
        put_number(&mut content, version.get());
        if let Some(set_at) = set_at {
            put_time(&mut content, set_at);
        }
        put_field(out, PREFERENCE, &content);
    }
    for (index, report) in part.reports.iter().enumerate() {
        let end = durable.ends.get(index).copied().flatten();
        let active = report.last_active;
        let mut content =
            vec![custom_code(report.status) | flag(active.is_some(), HAS_ACTIVE) | flag(end.is_some(), HAS_END)];
        put_bytes(&mut content, report.source.as_str().as_bytes());
        put_number(&mut content, report.version.get());
        put_number(&mut content, report.said.get());
        put_time(&mut content, report.since);
        put_time(&mut content, report.heard);
        for time in [active, end].into_iter().flatten() {
            put_time(&mut content, time);
        }
        put_field(out, REPORT, &content);
    }
}

fn decode_preference(mut field: Reader<'_>) -> Result<Preference, InvalidBytes> {
    let code = field.byte()?;
    Ok(Preference {
        custom: custom_of(code),
        version: Version::new(field.number()?),
        set_at: if code & HAS_TIME != 0 {
            Some(field.time()?)
        } else {
            None
        },
        set_by: match (code & BY_USER != 0, code & BY_OPERATOR != 0) {
            (true, _) => Some(Actor::User),
            (false, true) => Some(Actor::Operator),
            (false, false) => None,
        },
    })
}

fn decode_report(mut field: Reader<'_>) -> Result<(Report, Option<crate::time::Wall>), InvalidBytes> {
    let code = field.byte()?;
    let mut report = Report {
        source: field.text()?.parse().map_err(|_| InvalidBytes::Malformed)?,
        status: custom_of(code),
        version: Version::new(field.number()?),
        said: Version::new(field.number()?),
        since: field.time()?,
        heard: field.time()?,
        last_active: None,
        expires: None,
    };
    if code & HAS_ACTIVE != 0 {
        report.last_active = Some(field.time()?);
    }
    let end = if code & HAS_END != 0 { Some(field.time()?) } else { None };
    Ok((report, end))
}

fn decode_command(mut field: Reader<'_>) -> Result<Command, InvalidBytes> {
    let kind = match field.byte()? {
        0 => CommandKind::Kick,
        _ => CommandKind::Forget,
    };
    Ok(Command {
        kind,
        at: field.time()?,
        by: Incarnation(field.fixed()?),
    })
}
