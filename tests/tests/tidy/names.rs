//! Names and comments: a type name stands for one thing, a test's name is a sentence, a comment says something.

use std::collections::BTreeMap;

use crate::items;
use crate::sources::{SOURCES, Source};

/// The aim is 60.
const TEST_NAME_MAX_LENGTH: usize = 70;
/// A test's name has a subject that can be named.
const NO_SUBJECT: [&str; 5] = ["who_", "whoever_", "whatever_", "nobody_", "what_"];

/// The crate that a file belongs to, by the path of its root.
fn crate_of(name: &str) -> String {
    let parts: Vec<&str> = name.split('/').collect();
    let length = match parts.as_slice() {
        [_, "src", "bin", ..] => 4,
        // Each file and each folder of tests is a program of its own.
        [_, "tests", ..] => 3,
        _ => 2,
    };
    parts[..length.min(parts.len())].join("/")
}

#[test]
fn a_type_name_is_declared_once_in_a_crate() {
    let found = declared_twice(&SOURCES);
    assert!(found.is_empty(), "{found:#?}");
}

fn declared_twice(sources: &[Source]) -> Vec<String> {
    let mut places: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for source in sources {
        for item in items::types(source) {
            let place = format!("{}:{}", source.name, item.line);
            places
                .entry((crate_of(&source.name), item.name))
                .or_default()
                .push(place);
        }
    }
    let twice = places.into_iter().filter(|(_, places)| places.len() > 1);
    twice
        .map(|((_, name), places)| format!("{name}: {}", places.join(", ")))
        .collect()
}

#[test]
fn test_names_are_sentences_with_a_subject_and_of_bounded_length() {
    let mut found = Vec::new();
    for source in SOURCES.iter() {
        for test in items::tests(source) {
            let at = format!("{}:{}: {}", source.name, test.line, test.name);
            if test.name.len() > TEST_NAME_MAX_LENGTH {
                found.push(format!("{at}: longer than {TEST_NAME_MAX_LENGTH}"));
            }
            if NO_SUBJECT.iter().any(|start| test.name.starts_with(start)) {
                found.push(format!("{at}: name the subject"));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_file_begins_with_what_it_is() {
    let found: Vec<_> = SOURCES
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| &source.name)
        .collect();
    assert!(found.is_empty(), "no `//!` at the top: {found:#?}");
}

#[test]
fn doc_comments_say_more_than_two_words() {
    let mut found = Vec::new();
    for source in SOURCES.iter() {
        let lines: Vec<(String, &str)> = source.text_lines().collect();
        for (index, (at, line)) in lines.iter().enumerate() {
            let is_doc = |index: Option<usize>| {
                index
                    .and_then(|index| lines.get(index))
                    .is_some_and(|(_, line)| line.trim_start().starts_with("///"))
            };
            let is_alone = !is_doc(index.checked_sub(1)) && !is_doc(Some(index + 1));
            // What stands in backticks is looked up, not read.
            let words = line.trim_start().strip_prefix("///");
            let words = words.filter(|words| is_alone && !words.contains('`'));
            if words.is_some_and(|words| words.ends_with('.') && words.split_whitespace().count() <= 2) {
                found.push(format!("{at}: {}", line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "delete it, or say something: {found:#?}");
}

#[test]
fn programs_and_folders_of_tests_are_crates_of_their_own() {
    assert_eq!(crate_of("presenced/src/engine/mod.rs"), "presenced/src");
    assert_eq!(crate_of("tests/src/bin/measure/main.rs"), "tests/src/bin/measure");
    assert_eq!(crate_of("presence/tests/rules/table.rs"), "presence/tests/rules");
}

#[test]
fn a_name_that_two_files_of_a_crate_declare_is_found() {
    let source = |name: &str| Source::new(name, "struct Same;\n".to_owned());
    let here = [source("a/src/b.rs"), source("a/src/c.rs"), source("d/src/e.rs")];
    assert_eq!(declared_twice(&here), ["Same: a/src/b.rs:1, a/src/c.rs:1"]);
}
