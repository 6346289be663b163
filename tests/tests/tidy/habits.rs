//! Where time is read and waited for, how lints are excepted, and what the library may use.

use std::collections::BTreeSet;

use presence_tests::binaries::repository;

use crate::sources::{SOURCES, Source};

/// The lines of code that offend, each as `file:line: text`.
fn offences(applies: impl Fn(&Source) -> bool, offends: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for source in SOURCES.iter().filter(|source| applies(source)) {
        let lines = source.code_lines().filter(|(_, line)| offends(line));
        found.extend(lines.map(|(at, line)| format!("{at}: {}", line.trim())));
    }
    found
}

/// The names of the files in which offences were found, each once.
fn files_of(offences: &[String]) -> BTreeSet<&str> {
    offences
        .iter()
        .filter_map(|offence| offence.split(':').next())
        .collect()
}

#[test]
fn tests_wait_for_conditions_in_one_place_each_and_sleep_nowhere_else() {
    let sleeps = |line: &str| line.contains("sleep(") || line.contains("::sleep");
    let is_black_box = |source: &Source| source.name.starts_with("tests/");
    let found = offences(
        |source| is_black_box(source) && source.name != "tests/src/wait.rs",
        sleeps,
    );
    assert!(found.is_empty(), "wait for a condition instead: {found:#?}");
    let found = offences(|source| !is_black_box(source) && source.name.contains("tests"), sleeps);
    let mut trees = BTreeSet::new();
    for file in files_of(&found) {
        let tree = file.split("tests").next().unwrap();
        assert!(trees.insert(tree), "a second place that waits: {found:#?}");
    }
}

#[test]
fn clocks_are_read_in_one_file_of_each_program_and_of_its_tests() {
    let found = offences(
        |_| true,
        |line| line.contains("Instant::now(") || line.contains("SystemTime::now("),
    );
    let mut parts = BTreeSet::new();
    for file in files_of(&found) {
        let part: Vec<&str> = file.splitn(3, '/').take(2).collect();
        assert!(
            parts.insert(part.join("/")),
            "a second file that reads clocks: {found:#?}"
        );
    }
}

#[test]
fn exceptions_from_lints_are_expected_and_have_a_reason() {
    let found = offences(|_| true, |line| line.contains("#[allow(") || line.contains("#![allow("));
    assert!(
        found.is_empty(),
        "`#[expect(lint, reason = \"…\")]` instead: {found:#?}"
    );
}

#[test]
fn no_other_package_depends_on_the_benchmark() {
    let manifests =
        ["", "presence/", "presenced/", "presencectl/", "tests/"].map(|package| format!("{package}Cargo.toml"));
    let named: Vec<&String> = manifests
        .iter()
        .filter(|manifest| {
            std::fs::read_to_string(repository().join(manifest))
                .unwrap()
                .contains("presence-bench")
        })
        .collect();
    assert!(named.is_empty(), "{named:?}");
    let root = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let default = root.lines().find(|line| line.starts_with("default-members")).unwrap();
    assert!(!default.contains("bench"), "a plain build leaves it out: {default}");
}

#[test]
fn the_library_uses_no_clock_no_randomness_no_io_and_no_runtime() {
    let manifest = std::fs::read_to_string(repository().join("presence/Cargo.toml")).unwrap();
    let dependencies = manifest
        .split("[dependencies]")
        .nth(1)
        .unwrap()
        .split("\n[")
        .next()
        .unwrap();
    let names: Vec<&str> = dependencies
        .lines()
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(
        names,
        ["serde", "serde_json", "jiff", "thiserror", "utoipa"],
        "serde and little else; schemas are optional"
    );
    let refused = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::thread",
        "tokio",
        "Timestamp::now",
        "rand::",
    ];
    let found = offences(
        |source| source.name.starts_with("presence/src/"),
        |line| refused.iter().any(|name| line.contains(name)),
    );
    assert!(found.is_empty(), "{found:#?}");
}
