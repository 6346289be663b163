//! `doctor`: checks everything from the configuration to the daemon's disk, and suggests a fix for each problem. The
//! checks are in `files` (this machine), `daemon` (over the network), `certificate` (its TLS), and `nodes`, `postgres` and `redis` (what the daemon sees of its
//! cluster and of its database's server).

mod certificate;
mod daemon;
mod files;
mod nodes;
mod postgres;
mod redis;
mod store_fix;

use anstyle::AnsiColor;
use serde::Serialize;

use super::Session;
use crate::client::rest::Rest;
use crate::failure::{Exit, Failure};
use crate::output::escape::escape;
use crate::output::terminal::paint;
use crate::output::{Cell, Colour, Column, HumanOutput, Report, TypedRows};

const COLUMNS: [Column; 4] = [
    Column::needed("CHECK", "name"),
    Column::needed("RESULT", "result"),
    Column::needed("FOUND", "found"),
    Column::needed("FIX", "fix"),
];

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok,
    /// It works, but needs attention.
    Warn,
    Fail,
    /// Information only; nothing was checked.
    Note,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Note => "note",
        }
    }

    const fn colour(self) -> AnsiColor {
        match self {
            Self::Ok => AnsiColor::Green,
            Self::Warn => AnsiColor::Yellow,
            Self::Fail => AnsiColor::Red,
            Self::Note => AnsiColor::BrightBlack,
        }
    }
}

/// One check. Its texts may quote a server, so they are escaped when printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    /// Stable, since scripts use it.
    name: &'static str,
    result: Outcome,
    found: String,
    fix: Option<String>,
}

impl Check {
    fn new(name: &'static str, result: Outcome, found: impl Into<String>) -> Self {
        Self {
            name,
            result,
            found: found.into(),
            fix: None,
        }
    }

    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, found)
    }

    fn fail(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Outcome::Fail, found)
    }

    fn warn(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Outcome::Warn, found)
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    fn of_failure(name: &'static str, failure: &Failure) -> Self {
        let check = Self::fail(name, failure.to_string());
        match failure {
            Failure::Message { next: Some(next), .. } => check.fix(next.clone()),
            _ => check,
        }
    }
}

#[derive(Serialize)]
struct DoctorDocument<'a> {
    ok: bool,
    checks: &'a [Check],
}

/// Whether the daemon responded at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reachability {
    Yes,
    No,
}

pub(super) async fn run(session: &mut Session) -> Result<(), Failure> {
    let mut checks = files::check(&session.finder);
    let reached = match session.finder.find_without_credential() {
        Ok(target) => {
            checks.push(Check::ok(
                "server",
                format!("{}, from {}", target.server.display(), target.found),
            ));
            // An unusable secret is reported as a check; checks that need no secret still run.
            match session.target() {
                Ok(target) => daemon::check(&Rest::new(target)?, &mut checks).await,
                Err(failure) => {
                    let reached = daemon::check_alive(&Rest::new(target)?, &mut checks).await;
                    checks.push(Check::of_failure("secret", &failure));
                    reached
                }
            }
        }
        Err(failure) => {
            checks.push(Check::of_failure("server", &failure));
            if failure.exit() == Some(Exit::Unreachable) {
                Reachability::No
            } else {
                Reachability::Yes
            }
        }
    };
    let failed = checks.iter().any(|check| check.result == Outcome::Fail);
    show(session, &checks, !failed)?;
    match (reached, failed) {
        (Reachability::No, _) => Err(Failure::Reported(Exit::Unreachable)),
        (Reachability::Yes, true) => Err(Failure::Reported(Exit::Failed)),
        (Reachability::Yes, false) => Ok(()),
    }
}

fn show(session: &mut Session, checks: &[Check], ok: bool) -> Result<(), Failure> {
    let mut rows = TypedRows::new(&COLUMNS);
    for check in checks {
        rows.push(vec![
            Cell::Text(check.name.to_owned()),
            Cell::Text(check.result.name().to_owned()),
            Cell::Hostile(check.found.clone()),
            check.fix.clone().map_or(Cell::Empty, Cell::Hostile),
        ]);
    }
    let text: String = checks.iter().map(|check| lines(check, session.output.colour)).collect();
    let count = |result| checks.iter().filter(|check| check.result == result).count();
    let warnings = match count(Outcome::Warn) {
        1 => "1 warning".to_owned(),
        warnings => format!("{warnings} warnings"),
    };
    let summary = match (count(Outcome::Fail), count(Outcome::Warn)) {
        (0, 0) => "no problems found\n".to_owned(),
        (0, _) => format!("no failures, {warnings}\n"),
        (1, _) => format!("1 failure, {warnings}\n"),
        (failures, _) => format!("{failures} failures, {warnings}\n"),
    };
    let report = Report {
        document: DoctorDocument { ok, checks },
        items: checks,
        rows,
        human: HumanOutput::Text(format!("{text}\n{summary}")),
    };
    session.output.show(crate::clock::wall(), &report)
}

/// A check as text: the finding, and the fix below it.
fn lines(check: &Check, colour: Colour) -> String {
    let mark = paint(
        colour.plain_or(check.result.colour()),
        &format!("{:4}", check.result.name()),
    );
    let mut text = format!("{mark}  {:<12}  {}\n", check.name, escape(&check.found));
    if let Some(fix) = &check.fix {
        text.push_str(&format!("{:20}→ {}\n", "", escape(fix)));
    }
    text
}
