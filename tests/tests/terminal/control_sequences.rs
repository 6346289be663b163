//! Checks every byte written to the terminal: only control sequences of the dashboard itself are allowed.

/// Whether a character must not be shown from untrusted text: control, bidirectional and invisible characters.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Removes the control sequences that the dashboard writes; the rest is text.
///
/// # Errors
/// The first control sequence that the dashboard does not write.
pub(crate) fn without_own_sequences(bytes: &[u8]) -> Result<String, String> {
    let text = String::from_utf8(bytes.to_vec()).map_err(|error| format!("no UTF-8: {error}"))?;
    let mut left = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find('\u{1b}') {
        left.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = own_sequence(rest).ok_or_else(|| format!("{:?}", rest.chars().take(60).collect::<String>()))?;
        rest = &rest[length..];
    }
    left.push_str(rest);
    Ok(left)
}

/// The length of the dashboard's control sequence at the start of the text.
fn own_sequence(text: &str) -> Option<usize> {
    // The keypad, and the character set of the terminal description.
    for whole in ["\u{1b}=", "\u{1b}>", "\u{1b}(B", "\u{1b}7", "\u{1b}8"] {
        if text.starts_with(whole) {
            return Some(whole.len());
        }
    }
    if let Some(copied) = text.strip_prefix("\u{1b}]52;c;") {
        let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
        let length = copied.find(|c| !is_base64(c))?;
        let end = ["\u{7}", "\u{1b}\\"]
            .into_iter()
            .find(|end| copied[length..].starts_with(end))?;
        return Some("\u{1b}]52;c;".len() + length + end.len());
    }
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !(c.is_ascii_digit() || ";:?<>=".contains(c)))?;
    let last = parameters[end..].chars().next()?;
    let is_known = match parameters.get(..1) {
        Some("?") => "hl".contains(last),
        Some("<" | ">" | "=") => last == 'u',
        _ => "mHJKABCDEFGdfrSTXnu".contains(last),
    };
    is_known.then_some("\u{1b}[".len() + end + last.len_utf8())
}

/// Fails the test if these bytes contain a foreign control sequence or an unsafe character.
pub(crate) fn assert_harmless(bytes: &[u8]) {
    let text = match without_own_sequences(bytes) {
        Ok(text) => text,
        Err(sequence) => panic!("a foreign control sequence: {sequence}"),
    };
    for line in text.split(['\n', '\r']) {
        if let Some(at) = line.find(is_unsafe) {
            let near: String = line[at..].chars().take(30).collect();
            panic!("an unsafe character: {near:?} in {line:?}");
        }
    }
}

#[test]
fn foreign_control_sequences_are_detected() {
    for own in [
        "\u{1b}[2J",
        "\u{1b}[1;31m",
        "\u{1b}[?1049h",
        "\u{1b}[10;4H",
        "\u{1b}]52;c;YWxpY2U=\u{7}",
    ] {
        assert_eq!(without_own_sequences(own.as_bytes()), Ok(String::new()), "{own:?}");
    }
    for other in [
        "\u{1b}]0;title\u{7}",
        "\u{1b}]52;c;?\u{7}",
        "\u{1b}P+q\u{1b}\\",
        "\u{1b}c",
        "\u{1b}[6c",
        "\u{1b}[3g",
        "\u{1b}]8;;http://x\u{7}",
    ] {
        assert!(without_own_sequences(other.as_bytes()).is_err(), "{other:?}");
    }
    for character in ["\u{9b}31m", "\u{202e}x", "a\u{7}", "\u{8}", "\u{200b}"] {
        assert!(character.contains(is_unsafe), "{character:?}");
    }
}
