//! Finished WebSocket frames of a server (RFC 6455, section 5.2): whole and never masked, so that one frame serves
//! every connection.

/// The kind of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    /// A text message.
    Text = 0x1,
    /// A binary message; only the conformance suite's echo sends one.
    #[cfg(feature = "autobahn")]
    Binary = 0x2,
    /// The last frame of a connection.
    Close = 0x8,
    /// Is anybody there?
    Ping = 0x9,
    Pong = 0xA,
}

/// Longest payload of a control frame, in bytes.
pub(crate) const CONTROL_MAX_BYTES: usize = 125;

/// Appends one frame.
pub(crate) fn push(bytes: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    const FINAL: u8 = 0x80;
    bytes.reserve(payload.len() + 10);
    bytes.push(FINAL | opcode as u8);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if usize::from(length) <= CONTROL_MAX_BYTES => bytes.push(length),
        (_, Ok(length)) => {
            bytes.push(126);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            bytes.push(127);
            bytes.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
}

/// A final frame without a mask, which servers must not use.
pub(crate) fn encode(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    push(&mut bytes, opcode, payload);
    bytes
}

/// A close frame; the reason is cut to what fits, between characters.
pub(crate) fn close(code: Option<u16>, reason: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    if let Some(code) = code {
        payload.extend_from_slice(&code.to_be_bytes());
        let end = (0..=reason.len().min(CONTROL_MAX_BYTES - 2))
            .rev()
            .find(|end| reason.is_char_boundary(*end));
        payload.extend_from_slice(&reason.as_bytes()[..end.unwrap_or(0)]);
    }
    encode(Opcode::Close, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::Role;
    use tungstenite::{Message, WebSocket};

    fn read(bytes: Vec<u8>) -> Message {
        let stream = std::io::Cursor::new(bytes);
        WebSocket::from_raw_socket(stream, Role::Client, None)
            .read()
            .expect("a frame")
    }

    #[test]
    fn frames_of_every_length_are_decoded_by_a_client() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let text = "x".repeat(length);
            assert_eq!(
                read(encode(Opcode::Text, text.as_bytes())),
                Message::text(text),
                "{length}"
            );
        }
    }

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let frame = close(Some(4008), &"é".repeat(80));
        assert!(frame.len() <= 2 + CONTROL_MAX_BYTES);
        let Message::Close(Some(close)) = read(frame) else {
            panic!("no close frame")
        };
        assert_eq!(close.reason.as_str(), "é".repeat(61));
    }
}
