//! `health`: whether the daemon is alive, or ready, as an exit code. For health checks where there is no shell and no other client.

use presence::wire::rest::Health;

use super::Session;
use crate::cli::Health as Arguments;
use crate::client::rest::Rest;
use crate::clock;
use crate::failure::{Exit, Failure};
use crate::output::escape::escape;
use crate::output::{Cell, Column, HumanOutput, Report, TypedRows};

const COLUMNS: [Column; 3] = [
    Column::needed("OK", "ok"),
    Column::needed("PROBLEMS", "problems"),
    Column::needed("WARNINGS", "warnings"),
];

pub(super) async fn run(session: &mut Session, args: &Arguments) -> Result<(), Failure> {
    // Without the credential: a health check must not fail while a secret is replaced.
    let rest = Rest::new(session.finder.find_without_credential()?)?;
    let path = if args.ready { "readyz" } else { "healthz" };
    let health = rest.health(path).await?;
    let mut rows = TypedRows::new(&COLUMNS);
    rows.push(vec![
        Cell::Text(health.ok.to_string()),
        Cell::Text(joined(&health.problems)),
        Cell::Text(joined(&health.warnings)),
    ]);
    let report = Report {
        document: &health,
        items: &[&health],
        rows,
        human: HumanOutput::Text(text(&health, args.ready)),
    };
    session.output.show(clock::wall(), &report)?;
    match health.ok {
        true => Ok(()),
        false => Err(Failure::Reported(Exit::Failed)),
    }
}

fn joined(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| escape(text).to_string()).collect();
    texts.join("; ")
}

fn text(health: &Health, is_about_readiness: bool) -> String {
    let state = match (is_about_readiness, health.ok) {
        (false, true) => "alive",
        (false, false) => "not alive",
        (true, true) => "ready",
        (true, false) => "not ready",
    };
    let why: Vec<String> = [&health.problems, &health.warnings]
        .into_iter()
        .filter(|texts| !texts.is_empty())
        .map(|texts| joined(texts))
        .collect();
    match why.is_empty() {
        true => format!("{state}\n"),
        false => format!("{state}: {}\n", why.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_is_wrong_and_escapes_it() {
        let health = |ok, problems: &[&str], warnings: &[&str]| Health {
            ok,
            problems: problems.iter().map(|text| (*text).to_owned()).collect(),
            warnings: warnings.iter().map(|text| (*text).to_owned()).collect(),
        };
        assert_eq!(text(&health(true, &[], &[]), false), "alive\n");
        assert_eq!(text(&health(true, &[], &["a clock"]), true), "ready: a clock\n");
        let shown = text(&health(false, &["disk\u{1b}[2J", "drained"], &[]), true);
        assert!(
            shown.starts_with("not ready: disk") && shown.ends_with("; drained\n"),
            "{shown}"
        );
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}
