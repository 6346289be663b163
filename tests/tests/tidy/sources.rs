//! The text of the repository, and what of a Rust file is code: comments and strings are blanked there.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use presence_tests::binaries::repository;

/// A file of Rust.
pub(crate) struct Source {
    /// Its path from the root of the repository.
    pub(crate) name: String,
    pub(crate) text: String,
    /// The same lines, with spaces in place of comments and of what stands in strings.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(name: &str, text: String) -> Self {
        Self {
            name: name.to_owned(),
            code: blank(&text),
            text,
        }
    }

    /// Whether the file holds tests, or what only tests use.
    pub(crate) fn is_test(&self) -> bool {
        let mut parts = self.name.split('/');
        parts.any(|part| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs") || part == "fixture.rs")
    }

    /// The lines of the code, each as `file:line`, with the text of the line.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (String, &str)> {
        numbered(&self.name, &self.code)
    }

    /// The lines of the text, each as `file:line`, with the text of the line.
    pub(crate) fn text_lines(&self) -> impl Iterator<Item = (String, &str)> {
        numbered(&self.name, &self.text)
    }
}

/// The lines of a text, each with `file:line`.
pub(crate) fn numbered<'a>(name: &'a str, text: &'a str) -> impl Iterator<Item = (String, &'a str)> {
    let lines = text.lines().enumerate();
    lines.map(move |(index, line)| (format!("{name}:{}", index + 1), line))
}

/// Every Rust file of the workspace but those of this test, which quote what they refuse.
pub(crate) static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let files = ["presence", "presenced", "presencectl", "tests", "bench"]
        .iter()
        .flat_map(|package| files(&repository().join(package), "rs"));
    let sources: Vec<Source> = files
        .filter(|(name, _)| !name.starts_with("tests/tests/tidy/"))
        .map(|(name, text)| Source::new(&name, text))
        .collect();
    assert!(sources.len() > 50, "the walk found the sources");
    sources
});

/// Every Markdown and SQL file of the repository: name and text.
pub(crate) fn documents() -> Vec<(String, String)> {
    let root = repository();
    let found = [files(&root, "md"), files(&root, "sql")].concat();
    assert!(found.len() > 5, "the walk found the documents");
    found
}

fn files(dir: &Path, extension: &str) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    collect(dir, extension, &mut paths);
    paths.sort();
    let root = repository();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(&path).unwrap())
    };
    paths.into_iter().map(read).collect()
}

fn collect(dir: &Path, wanted: &str, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
        // What was built or installed.
        let is_made = path.ends_with("target") || path.ends_with("node_modules");
        if path.is_dir() && !is_made && !is_hidden {
            collect(&path, wanted, files);
        } else if path.extension().is_some_and(|extension| extension == wanted) {
            files.push(path);
        }
    }
}

/// Puts spaces in place of comments and of what stands in strings and characters. Lines stay lines.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped_from(&chars, at).unwrap_or(at);
        for c in &chars[at..end] {
            code.push(if *c == '\n' { '\n' } else { ' ' });
        }
        if end == at {
            code.push(chars[at]);
        }
        at = end.max(at + 1);
    }
    code
}

/// Where the comment, string or character ends that begins here, if one does.
fn skipped_from(chars: &[char], at: usize) -> Option<usize> {
    let rest = &chars[at..];
    let is_in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => Some(at + position(rest, &['\n']).unwrap_or(rest.len())),
        ['/', '*', ..] => Some(at + position(rest, &['*', '/']).map_or(rest.len(), |end| end + 2)),
        ['"', ..] => Some(at + string_length(rest)),
        ['r', '"' | '#', ..] if !is_in_word => raw_string_length(&rest[1..]).map(|length| at + 1 + length),
        ['\'', '\\', _, ..] => Some(at + 3 + position(&rest[3..], &['\'']).map_or(0, |end| end + 1)),
        ['\'', _, '\'', ..] => Some(at + 3),
        _ => None,
    }
}

fn string_length(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of a raw string from its first `#` or quote on; none for a raw identifier.
fn raw_string_length(rest: &[char]) -> Option<usize> {
    let hashes = rest.iter().take_while(|c| **c == '#').count();
    if rest.get(hashes) != Some(&'"') {
        return None;
    }
    let mut end = vec!['"'];
    end.extend(std::iter::repeat_n('#', hashes));
    let body = hashes + 1;
    Some(position(&rest[body..], &end).map_or(rest.len(), |at| body + at + end.len()))
}

fn position(rest: &[char], wanted: &[char]) -> Option<usize> {
    rest.windows(wanted.len()).position(|window| window == wanted)
}

#[test]
fn comments_and_strings_are_blanked_and_code_is_kept() {
    let text = "let a = \"x // \\\" y\"; // b\nfn c<'a>() { '\\''; 'd'; r#\"e \" f\"#; } /* g\nh */ r#type";
    let code = "let a =            ;     \nfn c<'a>() {     ;    ;           ; }     \n     r#type";
    assert_eq!(blank(text), code);
}
