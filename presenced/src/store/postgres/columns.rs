//! Values as the parameters of a statement.

use std::borrow::Cow;

use presence::{NodeName, UserId, Wall};
use tokio_postgres::types::ToSql;

use super::failure::Failure;
use crate::store::metrics::FailureKind;
use crate::store::write_request::{DurableChange, PlainWrite, WriteRequest};

/// One parameter of a statement, of whatever type.
pub(super) type Parameter<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// One column of a list of rows, as an array.
pub(super) fn column<'a, R, T>(rows: &[R], value: impl Fn(&R) -> T) -> Parameter<'a>
where
    T: ToSql + Sync + Send + 'a,
{
    Box::new(rows.iter().map(value).collect::<Vec<T>>())
}

/// What PostgreSQL can't hold was refused before.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn millis(time: Option<Wall>) -> Option<i64> {
    time.map(Wall::as_millis)
}

pub(super) fn encode_nodes(nodes: &[NodeName]) -> Cow<'static, str> {
    if nodes.is_empty() {
        return Cow::Borrowed("[]");
    }
    // Names are texts, which JSON can always hold.
    serde_json::to_string(nodes).map_or(Cow::Borrowed("[]"), Cow::Owned)
}

/// Each once, ordered by id.
pub(super) fn in_order<'a>(users: impl Iterator<Item = &'a UserId>) -> Vec<&'a str> {
    let mut users: Vec<&str> = users.map(UserId::as_str).collect();
    users.sort_unstable();
    users.dedup();
    users
}

/// Whether PostgreSQL can hold the numbers of a request. Revisions and versions stay below 2^63; one beyond is a bug of the
/// caller and fails alone.
pub(super) fn check_numbers(request: &WriteRequest) -> Result<(), Failure> {
    let fits = |number: u64| number < i64::MAX.unsigned_abs();
    let is_fit = match request {
        WriteRequest::Durable(write, _) => {
            fits(write.proposed.get())
                && match &write.change {
                    DurableChange::Preference { revision, .. } | DurableChange::ForgetOlder { revision, .. } => {
                        fits(revision.get())
                    }
                    DurableChange::Report { report, .. } => report.said.is_none_or(|said| fits(said.get())),
                    DurableChange::EndReport { .. } | DurableChange::EndReports => true,
                }
        }
        WriteRequest::Prune(removed_to, _) => fits(removed_to.get()),
        WriteRequest::Revoke(..) => true,
        WriteRequest::Plain(write, _) => match write {
            PlainWrite::Statuses(rows) => rows.iter().all(|row| fits(row.revision.get())),
            // Above all that are stored is above all that there are.
            PlainWrite::Published(_) => true,
            PlainWrite::Expired(expired) => expired.iter().all(|report| fits(report.version.get())),
            PlainWrite::Forget { revision, .. } => fits(revision.get()),
            PlainWrite::Heartbeat { heartbeat, .. } => {
                fits(heartbeat.ceiling) && heartbeat.history.is_none_or(|history| fits(history.from.get()))
            }
            PlainWrite::Barrier => true,
        },
    };
    match is_fit {
        true => Ok(()),
        false => Err(Failure::new(
            FailureKind::Request,
            "a number is too large for the database",
        )),
    }
}
