//! What must hold of the sources themselves, beyond what the compiler and clippy see.
#![expect(clippy::unwrap_used, reason = "in a test program a failure is a failed test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use presence_tests::binaries::repository;

const LINES_MAX: usize = 400;

/// Every Rust file of the workspace, with its text, named from the root of the repository.
fn sources() -> Vec<(String, String)> {
    let root = repository();
    let mut files = Vec::new();
    for package in ["presence", "presenced", "presencectl", "tests"] {
        collect(&root.join(package), &mut files);
    }
    assert!(files.len() > 50, "the walk found the sources");
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    files
        .iter()
        .map(|path| (name(path), std::fs::read_to_string(path).unwrap()))
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The files that offend, by name, with the lines that do.
fn offences(applies: impl Fn(&str) -> bool, offends: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources()
        .iter()
        .filter(|(name, _)| applies(name) && name != "tests/tests/tidy.rs")
    {
        for (index, line) in text.lines().enumerate().filter(|(_, line)| offends(line)) {
            found.push(format!("{name}:{}: {}", index + 1, line.trim()));
        }
    }
    found
}

#[test]
fn every_file_says_what_lives_there() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(name, _)| name)
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top: {silent:#?}");
}

#[test]
fn no_file_is_longer_than_400_lines() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > LINES_MAX)
        .map(|(name, _)| name)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
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
    let found = offences(|name| name.starts_with("tests/") && name != "tests/src/wait.rs", sleeps);
    assert!(found.is_empty(), "wait for a condition instead: {found:#?}");
    let found = offences(|name| !name.starts_with("tests/") && name.contains("tests"), sleeps);
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
fn the_library_knows_no_clock_no_chance_no_world_and_no_runtime() {
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
        ["serde", "serde_json", "jiff", "thiserror"],
        "serde and little else"
    );
    let words = [
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
        |name| name.starts_with("presence/src/"),
        |line| !line.trim_start().starts_with("//") && words.iter().any(|word| line.contains(word)),
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn layers_that_must_not_see_each_other_do_not() {
    let walls = [
        ("api", "gateway"),
        ("gateway", "api"),
        ("store", "directory"),
        ("directory", "store"),
    ];
    for (from, to) in walls {
        let inside = format!("presenced/src/{from}/");
        let path = format!("crate::{to}::");
        let found = offences(|name| name.starts_with(&inside), |line| line.contains(&path));
        assert!(found.is_empty(), "{found:#?}");
    }
}
