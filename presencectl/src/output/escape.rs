//! Escaping of untrusted text: nothing in it can move the cursor, change colours, reverse the reading direction or be
//! invisible. Every output format uses this.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character must not reach a terminal or a file: control characters (C0, DEL, C1), bidirectional formatting,
/// invisible characters, by which ids could look alike, and noncharacters, which terminals skip without clearing the
/// cell.
pub(crate) fn is_hostile(c: char) -> bool {
    c.is_control()
        || u32::from(c) & 0xfffe == 0xfffe
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fdd0}'..='\u{fdef}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Escapes text for one line: hostile characters become `\u{…}`. Backslashes are doubled only where the result would be
/// ambiguous, so different texts never look alike, and `DOMAIN\alice` stays as it is.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) && !text.contains("\\u{") {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\\' => shown.push_str("\\\\"),
            c if is_hostile(c) => push_escaped(&mut shown, c),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// As [`escape`], one piece for each character, so that characters can be styled separately.
pub(crate) fn escape_each(text: &str) -> Vec<String> {
    let is_plain = matches!(escape(text), Cow::Borrowed(_));
    let piece = |c: char| match c {
        '\\' if !is_plain => "\\\\".to_owned(),
        c if is_hostile(c) => {
            let mut piece = String::new();
            push_escaped(&mut piece, c);
            piece
        }
        c => c.to_string(),
    };
    text.chars().map(piece).collect()
}

/// Escaped text in quotation marks, for messages.
pub(crate) fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text))
}

/// A last safeguard for whole messages: escapes hostile characters except line feeds.
pub(crate) fn scrub(text: &str) -> Cow<'_, str> {
    let bad = |c: char| c != '\n' && is_hostile(c);
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if bad(c) {
            push_escaped(&mut shown, c);
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

fn push_escaped(shown: &mut String, c: char) {
    let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ordinary_text_in_any_script_is_unchanged() {
        for text in [
            "alice",
            "DOMAIN\\alice",
            "Żółć",
            "利用者",
            "مستخدم",
            "a b/c%2f",
            "__proto__",
            "👩",
            "=",
        ] {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn hostile_characters_never_get_through() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| is_hostile(*c)) {
            let shown = escape(&format!("a{c}b")).into_owned();
            assert!(!shown.contains(is_hostile), "{shown}");
            assert!(shown.starts_with("a\\u{"), "{shown}");
        }
        for c in [
            '\u{1b}', '\u{7f}', '\u{9b}', '\n', '\r', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}',
        ] {
            assert!(is_hostile(c));
        }
    }

    #[test]
    fn different_texts_never_look_alike() {
        let pieces = [
            "",
            "\\",
            "\\\\",
            "u",
            "{",
            "u{202e}",
            "\\u{202e}",
            "\\\\u{202e}",
            "\u{202e}",
            "}",
        ];
        let mut texts = HashSet::new();
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    texts.insert(format!("{a}{b}{c}"));
                }
            }
        }
        let shown: HashSet<_> = texts.iter().map(|text| escape(text).into_owned()).collect();
        assert_eq!(shown.len(), texts.len());
    }

    #[test]
    fn the_escaped_pieces_add_up_to_the_escaped_text() {
        for text in ["alice", "DOMAIN\\alice", "a\\u{41}", "\u{202e}a\\b\u{1b}", "漢é👩"] {
            assert_eq!(escape_each(text).concat(), escape(text));
            assert_eq!(escape_each(text).len(), text.chars().count());
        }
    }

    #[test]
    fn a_scrubbed_message_keeps_only_its_line_feeds() {
        assert_eq!(scrub("one\ntwo\u{1b}[2J\\u{41}"), "one\ntwo\\u{1b}[2J\\u{41}");
    }
}
