//! CSV as in RFC 4180, with `\n` as line ending. Hostile characters are escaped as in tables. A field with text from a
//! user that a spreadsheet would take for a formula is prefixed with `'`, and so is one that starts with `'`: removing
//! one leading `'` restores the text.

use std::borrow::Cow;

use super::escape::escape;

/// Characters that start a formula in spreadsheets, in any width, and the escaping prefix itself.
const FORMULA_STARTS: [char; 9] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\''];

/// A field with text from a user.
pub(crate) fn hostile_field(text: &str) -> String {
    let shown = escape(text);
    if shown.starts_with(FORMULA_STARTS) {
        field(&format!("'{shown}")).into_owned()
    } else {
        field(&shown).into_owned()
    }
}

/// A field without text from users; quoted if necessary.
pub(crate) fn field(text: &str) -> Cow<'_, str> {
    if text.contains(['"', ',', '\n', '\r', ';']) || text.starts_with(' ') || text.ends_with(' ') {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_only_if_necessary() {
        assert_eq!(hostile_field("alice"), "alice");
        assert_eq!(hostile_field("a,b"), "\"a,b\"");
        assert_eq!(hostile_field("say \"hi\""), "\"say \"\"hi\"\"\"");
        assert_eq!(hostile_field("a;b"), "\"a;b\"");
    }

    #[test]
    fn formulas_in_user_text_are_defused() {
        for (text, shown) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1", "'＝1"),
            ("'=1", "''=1"),
            ("=HYPERLINK(\"http://x\",1)", "\"'=HYPERLINK(\"\"http://x\"\",1)\""),
        ] {
            assert_eq!(hostile_field(text), shown);
        }
    }

    #[test]
    fn control_characters_and_line_breaks_are_escaped() {
        assert_eq!(hostile_field("a\nb\u{1b}\u{202e}"), "a\\u{a}b\\u{1b}\\u{202e}");
    }
}
