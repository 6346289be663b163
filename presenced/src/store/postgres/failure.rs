//! What an error of PostgreSQL means: by its SQLSTATE, or by the way the connection failed.
//!
//! No text here names a value: the details of some errors of the server are user ids.

use std::error::Error as _;
use std::sync::Arc;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::store::metrics::FailureKind;

/// An error, as far as the store has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    /// What happened, in one line.
    pub(super) text: Arc<str>,
    /// What the operator can do about it.
    pub(super) advice: &'static str,
    /// Whether the server is there and refuses for good: waiting does not help.
    pub(super) is_final: bool,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, text: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            text: text.into(),
            advice: advice(kind),
            is_final: false,
        }
    }

    /// The same, where only a change by the operator helps.
    pub(super) fn with_advice(self, advice: &'static str) -> Self {
        Self {
            advice,
            is_final: true,
            ..self
        }
    }

    /// The server did not answer in time.
    pub(super) fn late() -> Self {
        Self::new(FailureKind::Late, "the server does not answer")
    }

    /// Whether the connection can't be used any more.
    pub(super) fn ends_session(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Unreachable | FailureKind::Late | FailureKind::Moved
        )
    }

    /// A row has a value that can't be understood.
    pub(super) fn of_row(error: impl std::fmt::Display) -> Self {
        Self::new(FailureKind::Request, error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let Some(answer) = error.as_db_error() else {
            if error.is_closed() {
                return Self::new(FailureKind::Unreachable, "the connection was closed");
            }
            let failure = Self::new(kind_without_answer(&error), with_causes(&error));
            return match failure.text.contains("password missing") {
                true => {
                    failure.with_advice("the server asks for a password: name its file with --database-password-file")
                }
                false => failure,
            };
        };
        let code = answer.code();
        let failure = Self::new(kind_of(code), format!("{} ({})", answer.message(), code.code()));
        match advice_of(code) {
            Some(advice) => failure.with_advice(advice),
            None => failure,
        }
    }
}

fn kind_without_answer(error: &Error) -> FailureKind {
    // What was to be sent, or what came, has a type that does not fit.
    let text = error.to_string();
    let is_of_values = text.contains("serializing parameter") || text.contains("deserializing column");
    match is_of_values {
        true => FailureKind::Request,
        false => FailureKind::Unreachable,
    }
}

fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

fn kind_of(code: &SqlState) -> FailureKind {
    match *code {
        SqlState::READ_ONLY_SQL_TRANSACTION | SqlState::INSUFFICIENT_PRIVILEGE => FailureKind::ReadOnly,
        SqlState::DISK_FULL => FailureKind::Full,
        SqlState::LOCK_NOT_AVAILABLE => FailureKind::Locked,
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => FailureKind::Conflict,
        SqlState::QUERY_CANCELED => FailureKind::Late,
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN | SqlState::INVALID_SCHEMA_NAME => FailureKind::Moved,
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => FailureKind::Damaged,
        SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
        | SqlState::INVALID_CATALOG_NAME
        | SqlState::TOO_MANY_CONNECTIONS
        | SqlState::CONFIGURATION_LIMIT_EXCEEDED => FailureKind::Unreachable,
        _ => match code.code().get(..2) {
            Some("22" | "23") => FailureKind::Request,
            Some("08" | "28" | "57") => FailureKind::Unreachable,
            _ => FailureKind::Io,
        },
    }
}

/// What helps, where the kind alone does not say it and waiting is of no use.
fn advice_of(code: &SqlState) -> Option<&'static str> {
    match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => Some(
            "correct the user of --database, the password in --database-password-file, or the server's pg_hba.conf",
        ),
        SqlState::INVALID_CATALOG_NAME => Some("create it, or correct the name in --database"),
        SqlState::INSUFFICIENT_PRIVILEGE => Some(
            "grant the role CREATE on the schema and all rights on the tables of presenced, or make it their owner",
        ),
        SqlState::UNDEFINED_FUNCTION => Some("presenced needs PostgreSQL 12 or newer"),
        _ => None,
    }
}

const fn advice(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Locked => {
            "another session holds a lock on the rows or tables (pg_stat_activity and pg_locks name it)"
        }
        FailureKind::Full => "free some space on the server; service resumes by itself",
        FailureKind::ReadOnly => {
            "the server takes no writes, as a standby does; service resumes by itself when it does"
        }
        FailureKind::Moved => "restart needed, with the database in its place: what is written now would be lost",
        FailureKind::Damaged => "the server finds its own files damaged: see its log; service resumes by itself",
        FailureKind::Unreachable => "service resumes by itself when it can be reached",
        _ => "service resumes by itself when the server works",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_errors_has_its_kind() {
        for (code, kind) in [
            ("25006", FailureKind::ReadOnly),
            ("42501", FailureKind::ReadOnly),
            ("53100", FailureKind::Full),
            ("53200", FailureKind::Io),
            ("53300", FailureKind::Unreachable),
            ("55P03", FailureKind::Locked),
            ("40001", FailureKind::Conflict),
            ("40P01", FailureKind::Conflict),
            ("57014", FailureKind::Late),
            ("57P01", FailureKind::Unreachable),
            ("57P03", FailureKind::Unreachable),
            ("28P01", FailureKind::Unreachable),
            ("3D000", FailureKind::Unreachable),
            ("08006", FailureKind::Unreachable),
            ("22003", FailureKind::Request),
            ("23514", FailureKind::Request),
            ("42P01", FailureKind::Moved),
            ("XX001", FailureKind::Damaged),
            ("XX000", FailureKind::Io),
        ] {
            assert_eq!(kind_of(&SqlState::from_code(code)), kind, "{code}");
        }
    }
}
