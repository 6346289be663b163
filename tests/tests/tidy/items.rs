//! The items that a file declares: types and test functions.

use crate::sources::Source;

/// A declared item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) line: usize,
}

const TYPE_WORDS: [&str; 5] = ["struct", "enum", "trait", "union", "type"];

/// The types that a file declares. A `type` within an `impl` or a trait is theirs, and no declaration.
pub(crate) fn types(source: &Source) -> Vec<Item> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    // The depths of the bodies of `impl` blocks and traits that are open.
    let mut bodies: Vec<usize> = Vec::new();
    let mut is_body_ahead = false;
    for (index, line) in source.code.lines().enumerate() {
        let item = declaration(line);
        if let Some((word, name)) = item
            && (word != "type" || bodies.is_empty())
        {
            found.push(Item {
                name: name.to_owned(),
                line: index + 1,
            });
        }
        let start = line.trim_start();
        let is_impl = start.starts_with("impl ") || start.starts_with("impl<");
        is_body_ahead |= is_impl || item.is_some_and(|(word, _)| word == "trait");
        for c in line.chars() {
            match c {
                '{' => {
                    depth += 1;
                    if std::mem::take(&mut is_body_ahead) {
                        bodies.push(depth);
                    }
                }
                '}' => {
                    bodies.retain(|body| *body != depth);
                    depth = depth.saturating_sub(1);
                }
                _ => {}
            }
        }
    }
    found
}

/// The word and the name of the type that a line declares.
fn declaration(line: &str) -> Option<(&str, &str)> {
    let mut line = line.trim_start();
    if let Some(rest) = line.strip_prefix("pub") {
        line = match rest.strip_prefix('(') {
            Some(rest) => rest.split_once(')')?.1,
            None => rest,
        }
        .trim_start();
    }
    let (word, rest) = line.split_once(' ')?;
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    let is_type = TYPE_WORDS.contains(&word) && name.starts_with(|c: char| c.is_ascii_uppercase());
    is_type.then_some((word, name))
}

/// The test functions of a file.
pub(crate) fn tests(source: &Source) -> Vec<Item> {
    let mut found = Vec::new();
    let mut is_test_ahead = false;
    for (index, line) in source.code.lines().enumerate() {
        let line = line.trim_start();
        if line.starts_with("#[") && (line.contains("test]") || line.contains("test(")) && !line.contains("cfg") {
            is_test_ahead = true;
        }
        let name = line.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next());
        if let Some(name) = name
            && is_test_ahead
        {
            is_test_ahead = false;
            found.push(Item {
                name: name.to_owned(),
                line: index + 1,
            });
        }
    }
    found
}

#[cfg(test)]
fn names(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.name.as_str()).collect()
}

#[test]
fn types_of_impls_and_traits_are_not_declared_by_a_file() {
    let text = "pub(crate) struct A;\nimpl B for A {\n    type C = D;\n}\ntrait E\nwhere\n    F: G,\n{\n    type H;\n}\n\
                type I = J;\nfn f() { \"struct K\"; }\n";
    assert_eq!(names(&types(&Source::new("a.rs", text.to_owned()))), ["A", "E", "I"]);
}

#[test]
fn test_functions_are_found_by_their_attribute() {
    let text = "#[test]\nfn a() {}\nfn b() {}\n#[tokio::test(flavor = \"multi_thread\")]\n#[cfg(unix)]\nasync fn c() {}\n\
                #[cfg(test)]\nmod tests {}\nfn d() {}\n";
    assert_eq!(names(&tests(&Source::new("a.rs", text.to_owned()))), ["a", "c"]);
}
