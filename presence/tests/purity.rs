//! Searches this crate for what must not be in it: clocks, randomness, threads, sockets, files, and order that depends on
//! hashing.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::path::{Path, PathBuf};

/// What a source may not name, and why.
const BANNED: [(&str, &str); 15] = [
    ("Instant", "time comes in"),
    ("SystemTime", "time comes in"),
    ("Timestamp::now", "time comes in"),
    ("Zoned", "time comes in"),
    ("HashMap", "its order differs from run to run"),
    ("HashSet", "its order differs from run to run"),
    ("RandomState", "it is random"),
    ("rand::", "randomness comes in"),
    ("getrandom", "randomness comes in"),
    ("tokio", "no runtime"),
    ("std::net", "no I/O"),
    ("std::fs", "no I/O"),
    ("std::io", "no I/O"),
    ("std::env", "no I/O"),
    ("std::thread", "no threads"),
];

/// The whole of `[dependencies]`: serde and little else. [`OPTIONAL`] are there with a feature alone.
const DEPENDENCIES: [&str; 5] = ["serde", "serde_json", "jiff", "thiserror", "utoipa"];
/// Schemas of the wire types, for the daemon's description of its API.
const OPTIONAL: [&str; 1] = ["utoipa"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The code of a line, without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

#[test]
fn no_source_names_clocks_randomness_threads_sockets_or_files() {
    let mut found = Vec::new();
    sources(&root().join("src"), &mut found);
    assert!(found.len() > 10, "the sources were not found");
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            for (name, why) in BANNED {
                assert!(
                    !code(line).contains(name),
                    "{}:{}: {name}: {why}",
                    path.display(),
                    number + 1
                );
            }
        }
    }
}

#[test]
fn the_manifest_has_only_the_listed_dependencies() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let sections: Vec<&str> = manifest.lines().filter(|line| line.starts_with('[')).collect();
    assert_eq!(
        sections,
        [
            "[package]",
            "[features]",
            "[dependencies]",
            "[dev-dependencies]",
            "[lints]"
        ]
    );
    let listed = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let listed = listed.take_while(|line| !line.starts_with('['));
    let names: Vec<&str> = listed
        .filter_map(|line| line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty()))
        .collect();
    assert_eq!(names, DEPENDENCIES);
    let is_optional = |name: &&str| manifest.contains(&format!("{name} = {{ workspace = true, optional = true }}"));
    let optional: Vec<&str> = names.into_iter().filter(is_optional).collect();
    assert_eq!(optional, OPTIONAL);
    let features = manifest.lines().filter(|line| line.contains(" = ["));
    assert_eq!(
        features.collect::<Vec<_>>(),
        [r#"openapi = ["dep:utoipa"]"#],
        "none by default"
    );
    let workspace = std::fs::read_to_string(root().join("../Cargo.toml")).unwrap();
    let jiff = workspace.lines().find(|line| line.starts_with("jiff")).unwrap();
    assert!(
        jiff.contains("default-features = false") && jiff.contains("features = [\"std\"]"),
        "no time zones from files: {jiff}"
    );
}

#[test]
fn a_user_in_memory_stays_small() {
    // A million users hold both halves each; a field more is a decision.
    assert!(
        size_of::<presence::Sessions>() <= 48,
        "{}",
        size_of::<presence::Sessions>()
    );
    assert!(
        size_of::<presence::Profile>() <= 96,
        "{}",
        size_of::<presence::Profile>()
    );
    assert!(size_of::<presence::connection::Connection>() <= 48);
    assert!(size_of::<presence::Contribution>() <= 24);
}
