//! Which modules a file names, by `crate::`, `self::` and `super::`, in paths and in `use` trees.

use crate::sources::Source;

/// A path that a file names, from the root of its crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
    /// Whether it stands in an inline module of tests.
    pub(crate) is_in_tests: bool,
}

impl Named {
    /// Whether the path leads into a module.
    pub(crate) fn is_in(&self, module: &[&str]) -> bool {
        self.path.len() >= module.len() && self.path.iter().zip(module).all(|(one, other)| one == other)
    }
}

/// The path of the module that a file is.
pub(crate) fn module_of(name: &str) -> Vec<String> {
    let inner = name.split_once("/src/").map_or(name, |(_, inner)| inner);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let mut path: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if path
        .last()
        .is_some_and(|last| ["mod", "main", "lib"].contains(&last.as_str()))
    {
        path.pop();
    }
    path
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    PathSeparator,
    Other(char),
}

/// Every path that a file names from the root of its crate.
pub(crate) fn named(source: &Source) -> Vec<Named> {
    let tokens = tokens(&source.code);
    let mut scanner = Scanner {
        tokens: &tokens,
        module: module_of(&source.name),
        inline: Vec::new(),
        depth: 0,
        found: Vec::new(),
    };
    scanner.scan();
    scanner.found
}

fn tokens(code: &str) -> Vec<(Token, usize)> {
    let mut tokens = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let (token, length) = match word {
                0 if rest.starts_with("::") => (Token::PathSeparator, 2),
                0 => (Token::Other(first), first.len_utf8()),
                length => (Token::Word(rest[..length].to_owned()), length),
            };
            tokens.push((token, index + 1));
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

struct Scanner<'a> {
    tokens: &'a [(Token, usize)],
    /// The module of the file.
    module: Vec<String>,
    /// The inline modules that are open, each with the depth of its body.
    inline: Vec<(String, usize)>,
    depth: usize,
    found: Vec<Named>,
}

impl Scanner<'_> {
    fn scan(&mut self) {
        let mut at = 0;
        while at < self.tokens.len() {
            at = self.step(at);
        }
    }

    fn step(&mut self, at: usize) -> usize {
        match &self.tokens[at].0 {
            Token::Other('{') => self.depth += 1,
            Token::Other('}') => {
                self.inline.retain(|(_, depth)| *depth != self.depth);
                self.depth = self.depth.saturating_sub(1);
            }
            Token::Word(word) if word == "mod" => {
                if let (Some(Token::Word(name)), Some(Token::Other('{'))) = (self.token(at + 1), self.token(at + 2)) {
                    self.inline.push((name.clone(), self.depth + 1));
                }
            }
            Token::Word(word) if self.token(at + 1) == Some(&Token::PathSeparator) && !self.is_continued(at) => {
                if let Some(start) = self.start_of(word) {
                    return self.path(at + 2, start);
                }
            }
            _ => {}
        }
        at + 1
    }

    fn token(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at).map(|(token, _)| token)
    }

    /// Whether the word goes on a path that began before it.
    fn is_continued(&self, at: usize) -> bool {
        at > 0 && self.token(at - 1) == Some(&Token::PathSeparator)
    }

    fn start_of(&self, word: &str) -> Option<Vec<String>> {
        let here = || {
            let inline = self.inline.iter().map(|(name, _)| name.clone());
            self.module.iter().cloned().chain(inline).collect::<Vec<_>>()
        };
        match word {
            "crate" => Some(Vec::new()),
            "self" => Some(here()),
            "super" => {
                let mut path = here();
                path.pop();
                Some(path)
            }
            _ => None,
        }
    }

    /// Follows a path, or a tree of them, after a separator. Where it ends.
    fn path(&mut self, at: usize, mut path: Vec<String>) -> usize {
        let line = self.tokens[at.min(self.tokens.len() - 1)].1;
        match self.token(at).cloned() {
            Some(Token::Word(word)) => {
                match word.as_str() {
                    "super" => drop(path.pop()),
                    "self" => {}
                    _ => path.push(word),
                }
                if self.token(at + 1) == Some(&Token::PathSeparator) {
                    return self.path(at + 2, path);
                }
                self.note(path, line);
                at + 1
            }
            Some(Token::Other('{')) => {
                let mut at = at + 1;
                while self.token(at).is_some_and(|token| *token != Token::Other('}')) {
                    at = match self.token(at) {
                        Some(Token::Word(word)) if word != "as" => self.path(at, path.clone()),
                        Some(Token::Word(_)) => at + 2,
                        _ => at + 1,
                    };
                }
                at + 1
            }
            _ => {
                self.note(path, line);
                at + 1
            }
        }
    }

    fn note(&mut self, path: Vec<String>, line: usize) {
        let is_in_tests = self.inline.iter().any(|(name, _)| name.contains("test"));
        self.found.push(Named {
            path,
            line,
            is_in_tests,
        });
    }
}

#[test]
fn paths_and_trees_are_resolved_from_the_root() {
    let text = "use crate::{a::{B, c::D as E}, f};\nuse super::g::*;\nfn h() { self::i::j(); other::crate_k::l() }\n\
                mod tests {\n    use super::M;\n    use super::super::n;\n}\nuse super::o::P;\n";
    let named = named(&Source::new("x/src/y/z.rs", text.to_owned()));
    let paths: Vec<(String, usize, bool)> = named
        .iter()
        .map(|named| (named.path.join("::"), named.line, named.is_in_tests))
        .collect();
    let expected = [
        ("a::B", 1, false),
        ("a::c::D", 1, false),
        ("f", 1, false),
        ("y::g", 2, false),
        ("y::z::i::j", 3, false),
        ("y::z::M", 5, true),
        ("y::n", 6, true),
        ("y::o::P", 8, false),
    ];
    let expected = expected.map(|(path, line, is_in_tests)| (path.to_owned(), line, is_in_tests));
    assert_eq!(paths, expected);
}

#[test]
fn the_file_of_a_module_has_its_path() {
    assert_eq!(module_of("presenced/src/engine/users/mod.rs"), ["engine", "users"]);
    assert_eq!(module_of("presenced/src/app.rs"), ["app"]);
    assert!(module_of("presenced/src/main.rs").is_empty());
}
