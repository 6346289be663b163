//! Percent-encoding, and decoding, once and strictly: a malformed escape or invalid UTF-8 is an error, never guessed at.

use std::fmt::Write as _;

/// How a `+` is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plus {
    /// As a plus sign: in paths.
    Literal,
    /// As a space: in query strings, as forms encode it.
    Space,
}

/// The decoded text; none if an escape is malformed or the bytes are not UTF-8.
pub(crate) fn decode(encoded: &str, plus: Plus) -> Option<String> {
    String::from_utf8(decode_bytes(encoded, plus)?).ok()
}

/// The decoded bytes; none if an escape is malformed.
pub(crate) fn decode_bytes(encoded: &str, plus: Plus) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' if plus == Plus::Space => b' ',
            byte => byte,
        });
    }
    Some(decoded)
}

/// The text as one segment of a path: all but the unreserved characters (RFC 3986, section 2.3) are escaped.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            byte => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// The value of one hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once() {
        for (encoded, decoded) in [
            ("anna", "anna"),
            ("a%2Fb", "a/b"),
            ("a%2fb", "a/b"),
            ("%2541", "%41"),
            ("100%25", "100%"),
            ("a+b", "a+b"),
            ("%C3%A9", "é"),
            ("%00", "\0"),
        ] {
            assert_eq!(decode(encoded, Plus::Literal).as_deref(), Some(decoded));
        }
        assert_eq!(decode("a+b%2B", Plus::Space).as_deref(), Some("a b+"));
    }

    #[test]
    fn an_encoded_text_is_one_segment_and_decodes_to_itself() {
        for text in ["anna", "a/b", "a?b#c", "100%", "a+b c", "é\u{1f600}", "-._~"] {
            let encoded = encode(text);
            assert!(
                !encoded.contains(['/', '?', '#', ' ', '+']) && encoded.is_ascii(),
                "{encoded}"
            );
            assert_eq!(decode(&encoded, Plus::Literal).as_deref(), Some(text));
        }
    }

    #[test]
    fn malformed_escapes_are_rejected() {
        for encoded in ["%", "%2", "%zz", "%+1", "%%41", "%C3", "%FF", "%ED%A0%80"] {
            assert_eq!(decode(encoded, Plus::Literal), None, "{encoded}");
        }
    }
}
