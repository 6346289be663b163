//! Words that the project does not use any more, each with the one it uses instead. Names are taken apart at underscores
//! and capitals; text is looked at word by word.

use crate::items;
use crate::sources::{SOURCES, Source, documents, numbered};

/// Where a retired word is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// In code, comments, strings and documents.
    Everywhere,
    /// In code alone: as a word of English it is as good as any.
    Code,
}

use Scope::{Code, Everywhere};

/// Words, where they are refused, and what to write instead.
const RETIRED: &[(&[&str], Scope, &str)] = &[
    (&["hub"], Everywhere, "connection"),
    (&["heart"], Everywhere, "keepalive"),
    (&["verdict", "verdicts"], Everywhere, "close reason, or outcome"),
    (&["farewell", "farewells"], Everywhere, "goodbye, or close frame"),
    (&["voice", "voices"], Everywhere, "activity"),
    (&["roster", "rosters"], Everywhere, "users"),
    (&["owe", "owes", "owed", "owing"], Everywhere, "pending"),
    (&["retell", "retold"], Everywhere, "force publish"),
    (&["gate", "gates"], Everywhere, "user lock"),
    (&["door", "doors"], Everywhere, "admission, or listener"),
    (&["pen"], Everywhere, "painter"),
    (&["ledger"], Everywhere, "counters"),
    (&["news"], Everywhere, "events, or change"),
    (&["chance"], Everywhere, "randomness, rng"),
    (&["refusal", "refusals"], Everywhere, "error, or rejection"),
    (&["choice", "choices"], Everywhere, "custom status"),
    (&["choose", "chooses"], Code, "set a custom status"),
    (&["settle", "settles"], Code, "recompute"),
    (&["tap", "taps"], Code, "metered reader"),
    (&["tracker"], Code, "frame scanner, or what it tracks"),
    (&["cell", "cells"], Code, "entry"),
];

/// Types that were renamed, with what they are now.
const RETIRED_TYPES: &[(&str, &str)] = &[
    ("Broken", "CloseReason"),
    ("By", "Actor"),
    ("Ending", "CloseReason"),
    ("Late", "UnknownOutcome"),
    ("Mark", "Heartbeat"),
    ("Told", "RecordResponse"),
    ("Window", "SlidingWindow"),
];

/// Modules that were renamed, with what they are now.
const RETIRED_MODULES: &[(&str, &str)] = &[
    ("directory", "cluster"),
    ("turn_away", "reject"),
    ("slots", "connection_limit"),
];

/// Phrases that may stand: in files whose path begins with the first, for the reason that is third.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("", "door_refused", "the name of a metric"),
    ("", "choices-per-10s", "the name of a flag"),
    (
        "presenced/src/exceeded_limit.rs",
        "choices",
        "the value of a metric's label",
    ),
    ("docs/", "`choices`", "the value of a metric's label"),
    ("docs/", "`choice`", "a field of `explain`"),
    ("docs/", "\"choice\"", "a field of `explain`"),
    ("presence/", "\"choice\"", "a field of `explain`"),
    ("", "choice: ExplainPreference", "a field of `explain`"),
    ("", ".choice.", "a field of `explain`"),
    ("", ".choice;", "a field of `explain`"),
    ("", "[\"choice\"]", "a field of `explain`"),
    ("presencectl/", "\"choice\"", "a field of `explain`"),
    ("tests/", "\"choice\"", "a field of `explain`"),
    ("presenced/src/auth/", "Choice", "a type of the crate `subtle`"),
    (
        "presenced/src/store/sqlite/schema_1.sql",
        "choice",
        "a schema as it was released",
    ),
    ("", "settle_unknown_outcomes", "an unknown outcome is settled"),
    (
        "presenced/src/engine/",
        "settle_forget",
        "an unknown outcome is settled",
    ),
    ("presenced/src/store/tests/", "settle(", "an unknown outcome is settled"),
    ("", "RefCell", "a type of the standard library"),
    ("", "OnceCell", "a type of the standard library"),
    ("", "std::cell", "a module of the standard library"),
    ("tests/src/tmux.rs", "Cell", "a type of the standard library"),
    ("presencectl/", "choose", "an entry of a menu, or a subprotocol"),
    ("presencectl/", "Choose", "an entry of a menu, or a subprotocol"),
    (
        "presencectl/src/output/terminal.rs",
        "ColorChoice",
        "a type of the crate `anstream`",
    ),
    (
        "presencectl/src/output/terminal.rs",
        "AutoStream::choice",
        "a function of the crate `anstream`",
    ),
    ("presencectl/", "cell", "of a terminal or a table"),
    ("presencectl/", "Cell", "of a terminal or a table"),
    ("tests/src/bin/", "cell", "of a terminal"),
    ("tests/src/bin/", "Cell", "of a terminal"),
    ("tests/tests/terminal/", "cell", "of a terminal"),
    (
        "presencectl/src/commands/events/",
        "tracker",
        "follows the users of a stream",
    ),
    (
        "presenced/src/cluster/shared/",
        "is_connection_refusal",
        "a name of the client library",
    ),
    (
        "presencectl/src/commands/events/",
        "Tracker",
        "follows the users of a stream",
    ),
];

/// The lower-case words of a line; names are taken apart at underscores and capitals.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in line.chars() {
        if !c.is_alphabetic() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The retired words of a line that stands in code, or in a text.
fn retired_in(file: &str, line: &str, scope: Scope) -> Vec<String> {
    let mut line = line.to_owned();
    for (prefix, phrase, _) in ALLOWED {
        if file.starts_with(prefix) {
            line = line.replace(phrase, " ");
        }
    }
    let mut found = Vec::new();
    for word in words(&line) {
        let retired = RETIRED
            .iter()
            .find(|(retired, refused, _)| retired.contains(&word.as_str()) && *refused == scope);
        found.extend(retired.map(|(_, _, instead)| format!("\"{word}\": {instead}")));
    }
    found.dedup();
    found
}

fn offences(sources: &[Source], documents: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |file: &str, text: &str, scope: Scope| {
        for (at, line) in numbered(file, text) {
            let words = retired_in(file, line, scope).into_iter();
            found.extend(words.map(|word| format!("{at}: {word}: {}", line.trim())));
        }
    };
    for source in sources {
        look(&source.name, &source.text, Everywhere);
        look(&source.name, &source.code, Code);
        look(&source.name, &source.name.replace(".rs", ""), Everywhere);
    }
    for (name, text) in documents {
        look(name, text, Everywhere);
    }
    for source in sources {
        for item in items::types(source) {
            let retired = RETIRED_TYPES.iter().find(|(retired, _)| *retired == item.name);
            found.extend(retired.map(|(name, now)| format!("{}:{}: the type {name}: {now}", source.name, item.line)));
        }
        let path = source.name.trim_end_matches(".rs").split('/').collect::<Vec<_>>();
        let retired = RETIRED_MODULES.iter().find(|(retired, _)| path.contains(retired));
        found.extend(retired.map(|(_, now)| format!("{}: the module is called {now}", source.name)));
    }
    found
}

#[test]
fn retired_words_are_not_used() {
    let found = offences(&SOURCES, &documents());
    assert!(found.is_empty(), "{} places: {found:#?}", found.len());
}

#[test]
fn every_allowed_phrase_is_needed() {
    let documents = documents();
    let stands = |prefix: &str, phrase: &str| {
        let mut texts = SOURCES
            .iter()
            .map(|source| (&source.name, &source.text))
            .chain(documents.iter().map(|(name, text)| (name, text)));
        texts.any(|(name, text)| name.starts_with(prefix) && text.contains(phrase))
    };
    let unneeded: Vec<_> = ALLOWED
        .iter()
        .filter(|(prefix, phrase, _)| !stands(prefix, phrase))
        .collect();
    assert!(unneeded.is_empty(), "{unneeded:#?}");
}

#[test]
fn names_are_taken_apart_at_underscores_and_capitals() {
    let expected = ["user", "gate", "the", "gate", "keeper", "investigate", "http"];
    assert_eq!(words("user_gate: TheGateKeeper(investigate, HTTP)"), expected);
}

#[test]
fn retired_words_types_and_modules_are_found() {
    let source = |name: &str, text: &str| Source::new(name, text.to_owned());
    let sources = [
        source("presenced/src/directory/a.rs", "struct Told; // the roster\n"),
        source(
            "presenced/src/b.rs",
            "fn choose() {} // choose\nconst C: &str = \"choices-per-10s: choice\";\n",
        ),
    ];
    let documents = [("D.md".to_owned(), "owed\nheartbeat\n".to_owned())];
    let expected = [
        "presenced/src/directory/a.rs:1: \"roster\": users: struct Told; // the roster",
        "presenced/src/b.rs:2: \"choice\": custom status: const C: &str = \"choices-per-10s: choice\";",
        "presenced/src/b.rs:1: \"choose\": set a custom status: fn choose() {}",
        "D.md:1: \"owed\": pending: owed",
        "presenced/src/directory/a.rs:1: the type Told: RecordResponse",
        "presenced/src/directory/a.rs: the module is called cluster",
    ];
    assert_eq!(offences(&sources, &documents), expected);
}
