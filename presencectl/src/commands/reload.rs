//! `reload`: has the daemon read its secrets, keys and settings again, and shows what changed.

use presence::wire::rest::ReloadStats;

use super::Session;
use crate::clock;
use crate::failure::Failure;
use crate::output::escape::escape;
use crate::output::{Cell, Column, HumanOutput, Report, TypedRows};

const COLUMNS: [Column; 3] = [
    Column::needed("AT", "at"),
    Column::needed("CHANGED", "changed"),
    Column::needed("RESTART NEEDED", "restartNeeded"),
];

pub(super) async fn run(session: &mut Session) -> Result<(), Failure> {
    let reloaded = session.rest()?.reload().await?;
    let (changed, restart_needed) = (listed(&reloaded.changed), listed(&reloaded.restart_needed));
    let mut rows = TypedRows::new(&COLUMNS);
    rows.push(vec![
        Cell::Moment(Some(reloaded.at)),
        Cell::Text(changed.clone()),
        Cell::Text(restart_needed.clone()),
    ]);
    let report = Report {
        document: &reloaded,
        items: &[&reloaded],
        rows,
        human: HumanOutput::Text(text(&reloaded, &changed, &restart_needed)),
    };
    session.output.show(clock::wall(), &report)
}

fn listed(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| escape(name).to_string()).collect();
    names.join(", ")
}

fn text(reloaded: &ReloadStats, changed: &str, restart_needed: &str) -> String {
    let mut text = match reloaded.changed.is_empty() {
        true => "reloaded; nothing differs\n".to_owned(),
        false => format!("reloaded; changed: {changed}\n"),
    };
    if !reloaded.restart_needed.is_empty() {
        text.push_str(&format!("these settings differ and need a restart: {restart_needed}\n"));
    }
    text
}
