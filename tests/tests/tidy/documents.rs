//! `ARCHITECTURE.md` and the sources agree: the tests and files that it names exist.

use std::collections::BTreeSet;
use std::path::Path;

use presence_tests::binaries::repository;

use crate::sources::{SOURCES, documents, numbered};

const DOCUMENT: &str = "ARCHITECTURE.md";
/// The sources leave this test out.
const TIDY: &str = concat!(
    include_str!("engine.rs"),
    include_str!("names.rs"),
    include_str!("vocabulary.rs"),
    include_str!("walls.rs"),
);
/// A name in backticks with so many underscores is a test's.
const TEST_NAME_UNDERSCORES: usize = 4;

fn architecture() -> String {
    let found = documents().into_iter().find(|(name, _)| name == DOCUMENT);
    found.map(|(_, text)| text).unwrap()
}

/// What stands in backticks, each with `file:line`.
fn quoted(text: &str) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    for (at, line) in numbered(DOCUMENT, text) {
        found.extend(line.split('`').skip(1).step_by(2).map(|quoted| (at.clone(), quoted)));
    }
    found
}

#[test]
fn every_test_that_the_architecture_names_exists() {
    // All functions: those of a contract suite have no attribute, a macro makes tests of them.
    let functions: BTreeSet<&str> = SOURCES
        .iter()
        .flat_map(|source| source.code.split("fn ").skip(1))
        .filter_map(|rest| rest.split(['(', '<']).next())
        .collect();
    let text = architecture();
    let is_name = |name: &str| {
        name.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let named: Vec<_> = quoted(&text)
        .into_iter()
        .filter(|(_, name)| is_name(name) && name.matches('_').count() >= TEST_NAME_UNDERSCORES)
        .collect();
    assert!(named.len() > 5, "the document names tests: {named:?}");
    let found: Vec<_> = named
        .iter()
        .filter(|(_, name)| !functions.contains(name) && !TIDY.contains(name))
        .collect();
    assert!(found.is_empty(), "no such test: {found:#?}");
}

#[test]
fn every_file_that_the_architecture_names_exists() {
    let text = architecture();
    let is_path = |name: &str| name.contains('/') && !name.contains([' ', '*', '<']) && !name.starts_with('/');
    let named: Vec<_> = quoted(&text).into_iter().filter(|(_, name)| is_path(name)).collect();
    assert!(named.len() > 5, "the document names files: {named:?}");
    let found: Vec<_> = named
        .iter()
        .filter(|(_, name)| !repository().join(name).exists())
        .collect();
    assert!(
        found.is_empty(),
        "no such file, from the root of the repository: {found:#?}"
    );
}

#[test]
fn links_between_documents_lead_to_files() {
    let mut found = Vec::new();
    for (name, text) in documents() {
        let dir = repository().join(Path::new(&name).parent().unwrap());
        let mut is_code = false;
        for (at, line) in numbered(&name, &text) {
            is_code ^= line.starts_with("```");
            if is_code {
                continue;
            }
            let targets = line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split([')', '#']).next());
            let missing = targets.filter(|target| !target.contains("://") && !dir.join(target).exists());
            found.extend(missing.map(|target| format!("{at}: {target}")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
