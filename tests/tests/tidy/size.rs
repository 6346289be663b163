//! How long files and `impl` blocks may be.

use crate::sources::{SOURCES, Source};

const FILE_MAX_LINES: usize = 400;
/// A longer block is more than one thing.
const IMPL_MAX_LINES: usize = 300;

#[test]
fn no_file_is_longer_than_400_lines() {
    let found: Vec<_> = SOURCES
        .iter()
        .map(|source| (source.text.lines().count(), source.name.clone()))
        .filter(|(lines, _)| *lines > FILE_MAX_LINES)
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn no_impl_block_is_longer_than_300_lines() {
    let mut found = Vec::new();
    for source in SOURCES.iter().filter(|source| !source.is_test()) {
        let long = impl_blocks(source).into_iter();
        let long = long.filter(|(_, lines)| *lines >= IMPL_MAX_LINES);
        found.extend(long.map(|(first, lines)| format!("{}:{first}: {lines} lines", source.name)));
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Each `impl` block: its first line, and how many it has.
fn impl_blocks(source: &Source) -> Vec<(usize, usize)> {
    let mut blocks = Vec::new();
    let lines: Vec<&str> = source.code.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let start = line.trim_start();
        if !start.starts_with("impl ") && !start.starts_with("impl<") && !start.starts_with("unsafe impl") {
            continue;
        }
        let mut depth = 0_usize;
        for (length, line) in lines[index..].iter().enumerate() {
            let has_closed = line.contains('}');
            depth = (depth + line.matches('{').count()).saturating_sub(line.matches('}').count());
            if depth == 0 && has_closed {
                blocks.push((index + 1, length + 1));
                break;
            }
        }
    }
    blocks
}

#[test]
fn an_impl_block_ends_with_its_own_brace() {
    let text = "impl A {\n    fn b() {\n        \"}\";\n    }\n}\nimpl C for D {}\n";
    let source = Source::new("a.rs", text.to_owned());
    assert_eq!(impl_blocks(&source), vec![(1, 5), (6, 1)]);
}
