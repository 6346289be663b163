//! What the dashboard's parts must not name.

use crate::modules::{module_of, named};
use crate::sources::SOURCES;

#[test]
fn the_dashboard_names_the_client_in_its_backend_alone() {
    let mut found = Vec::new();
    for source in SOURCES
        .iter()
        .filter(|source| source.name.starts_with("presencectl/src/tui/"))
    {
        let is_backend = module_of(&source.name).get(1).is_some_and(|module| module == "backend");
        let clients = named(source)
            .into_iter()
            .filter(|named| !is_backend && named.is_in(&["client"]));
        found.extend(clients.map(|named| format!("{}:{}", source.name, named.line)));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_dashboards_model_and_update_use_no_toolkit_and_no_runtime() {
    const PURE: [&str; 8] = [
        "effect", "geometry", "key", "keymap", "layout", "message", "model", "update",
    ];
    const TOOLKITS: [&str; 4] = ["ratatui", "crossterm", "tokio", "reqwest"];
    let mut found = Vec::new();
    for source in SOURCES
        .iter()
        .filter(|source| source.name.starts_with("presencectl/src/tui/"))
    {
        if !module_of(&source.name)
            .get(1)
            .is_some_and(|module| PURE.contains(&module.as_str()))
        {
            continue;
        }
        let is_named = |line: &str| {
            line.split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|name| TOOLKITS.contains(&name))
        };
        let lines = source.code_lines().filter(|(_, line)| is_named(line));
        found.extend(lines.map(|(at, line)| format!("{at}: {}", line.trim())));
    }
    assert!(found.is_empty(), "{found:#?}");
}
