//! The engine is cut along state: its parts know the users they keep notes for, and each other not; a use case is a file,
//! and names no other use case.

use crate::modules::{Named, module_of, named};
use crate::sources::{SOURCES, Source};

const USE_CASES: [&str; 11] = [
    "activity",
    "connect",
    "custom_status",
    "disconnect",
    "explain",
    "forget",
    "kick",
    "list",
    "report",
    "resume",
    "watch",
];

/// The parts that own state, each with the parts that it may name. The users hold the notes of the others.
const PARTS: [(&str, &[&str]); 10] = [
    (
        "users",
        &["deadlines", "persistence", "presence_index", "publisher", "visits"],
    ),
    ("presence_index", &["users", "visits"]),
    ("publisher", &["metrics", "throughput", "users", "visits"]),
    ("persistence", &["users"]),
    ("deadlines", &["users", "visits"]),
    ("session_counts", &["presence_index"]),
    ("throughput", &[]),
    ("stalls", &[]),
    ("metrics", &[]),
    // What tests count, of any table.
    ("visits", &[]),
];

/// Delivery reads users, the index and the publisher in turn, so it is given the engine.
const KNOWS_THE_ENGINE: &str = "presenced/src/engine/publisher/delivery.rs";

/// What a file of the engine names there outside tests: the module it belongs to, and each path after `engine`.
fn named_in_engine(source: &Source) -> Option<(String, Vec<Named>)> {
    let module = module_of(&source.name);
    let from = module.get(1).filter(|_| module[0] == "engine")?.clone();
    let mut named = named(source);
    named.retain(|named| !named.is_in_tests && named.is_in(&["engine"]) && named.path.len() > 1);
    Some((from, named))
}

fn product() -> Vec<&'static Source> {
    let of_engine = |source: &&Source| source.name.starts_with("presenced/src/engine/") && !source.is_test();
    SOURCES.iter().filter(of_engine).collect()
}

#[test]
fn use_cases_are_named_by_nothing_else_in_the_engine() {
    let sources = product();
    let found = use_cases_named(&sources);
    assert!(found.is_empty(), "{found:#?}");
    for case in USE_CASES {
        let file = format!("presenced/src/engine/{case}.rs");
        assert!(sources.iter().any(|source| source.name == file), "{file}");
    }
}

fn use_cases_named(sources: &[&Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let Some((from, named)) = named_in_engine(source) else {
            continue;
        };
        let cases = named
            .iter()
            .filter(|named| named.path[1] != from && USE_CASES.contains(&named.path[1].as_str()));
        found.extend(
            cases.map(|named| format!("{}:{}: {from} must not name {}", source.name, named.line, named.path[1])),
        );
    }
    found
}

#[test]
fn parts_of_the_engine_name_only_the_parts_they_stand_on() {
    let sources = product();
    let found = foreign_parts(&sources);
    assert!(found.is_empty(), "{found:#?}");
    for (part, _) in PARTS {
        let is_there = sources
            .iter()
            .any(|source| module_of(&source.name).get(1).is_some_and(|module| module == part));
        assert!(is_there, "there is no part {part}");
    }
}

fn foreign_parts(sources: &[&Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.name != KNOWS_THE_ENGINE) {
        let Some((from, named)) = named_in_engine(source) else {
            continue;
        };
        let Some((_, allowed)) = PARTS.iter().find(|(part, _)| *part == from) else {
            continue;
        };
        let foreign = named
            .iter()
            .filter(|named| named.path[1] != from && !allowed.contains(&named.path[1].as_str()));
        found.extend(
            foreign.map(|named| format!("{}:{}: {from} must not name {}", source.name, named.line, named.path[1])),
        );
    }
    found
}

#[test]
fn a_use_case_and_a_part_that_reach_too_far_are_found() {
    let source = |name: &str, text: &str| Source::new(&format!("presenced/src/engine/{name}"), text.to_owned());
    let here = [
        source(
            "kick.rs",
            "use super::forget::Forgotten;\nuse super::users::UserLock;\n",
        ),
        source("throughput.rs", "use super::Engine;\n"),
        source(
            "users/user_state.rs",
            "use crate::engine::publisher::Publication;\nuse super::entry::Entry;\n",
        ),
    ];
    assert_eq!(
        use_cases_named(&here.each_ref()),
        ["presenced/src/engine/kick.rs:1: kick must not name forget"]
    );
    assert_eq!(
        foreign_parts(&here.each_ref()),
        ["presenced/src/engine/throughput.rs:1: throughput must not name Engine"]
    );
}
