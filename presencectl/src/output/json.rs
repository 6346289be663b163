//! JSON output: `{"v":1,…}`, one document per line. Fields are only ever added. Hostile characters are written as
//! `\uXXXX`, which parses to the same text, so JSON is safe to view in a terminal.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use super::escape::is_hostile;

/// The version of every JSON document. It increases only if a field is removed or changed.
const VERSION: u8 = 1;

#[derive(Serialize)]
struct Versioned<'a, T> {
    v: u8,
    #[serde(flatten)]
    body: &'a T,
}

/// Writes `body`, which must serialize as a map, as one line.
pub(crate) fn write_line<T: Serialize>(out: &mut impl Write, body: &T) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(&mut *out, EscapingFormatter);
    Versioned { v: VERSION, body }
        .serialize(&mut serializer)
        .map_err(io::Error::from)?;
    out.write_all(b"\n")
}

struct EscapingFormatter;

impl Formatter for EscapingFormatter {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_hostile(*c)) {
            CompactFormatter.write_string_fragment(writer, &rest[..at])?;
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Body {
        #[serde(rename = "userId")]
        user_id: &'static str,
    }

    fn line(user_id: &'static str) -> String {
        let mut out = Vec::new();
        write_line(&mut out, &Body { user_id }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_document_is_one_line_with_its_version_first() {
        assert_eq!(line("alice"), "{\"v\":1,\"userId\":\"alice\"}\n");
    }

    #[test]
    fn hostile_text_in_json_is_escaped_and_reads_back() {
        let hostile = "a\u{202e}b\u{1b}[31m\u{9b}\u{7f}\u{e0041}\u{2028}\"\\c";
        let text = line(hostile);
        assert!(!text.trim_end().contains(is_hostile), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["userId"], hostile);
    }
}
