//! Finds where frames and messages begin and end in a client's bytes, without storing them, so that limits apply below the
//! codec, which reports a message only when it is complete. The codec, not the scanner, validates the protocol.

/// Longest header of a client's frame: two bytes, eight of length, four of mask (RFC 6455, section 5.2).
const HEADER_MAX_BYTES: usize = 14;

/// The scanner's position in the frames of one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FrameScanner {
    header: [u8; HEADER_MAX_BYTES],
    header_bytes: u8,
    payload_left: u64,
    /// A data message has begun and its last fragment has not ended.
    is_fragmented: bool,
    /// The frame whose payload is being read is a data message's last.
    is_last: bool,
}

/// What was found in some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Scanned {
    /// Messages and control frames that began.
    pub(super) begun: u64,
    /// A frame or message is unfinished after these bytes.
    pub(super) is_open: bool,
    /// Before, between or after these bytes no frame or message was unfinished.
    pub(super) was_closed: bool,
}

impl FrameScanner {
    /// Scans the next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Scanned {
        let mut scanned = Scanned {
            was_closed: !self.is_open(),
            ..Scanned::default()
        };
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let take = usize::try_from(self.payload_left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                self.payload_left -= take as u64;
                bytes = bytes.get(take..).unwrap_or_default();
                if self.payload_left == 0 {
                    self.end_frame();
                }
            } else if let Some((byte, rest)) = bytes.split_first() {
                bytes = rest;
                scanned.begun += u64::from(self.push_header(*byte));
            }
            scanned.was_closed |= !self.is_open();
        }
        scanned.is_open = self.is_open();
        scanned
    }

    const fn is_open(&self) -> bool {
        self.is_fragmented || self.header_bytes > 0 || self.payload_left > 0
    }

    /// Whether a message or a control frame began with this header.
    fn push_header(&mut self, byte: u8) -> bool {
        if let Some(slot) = self.header.get_mut(usize::from(self.header_bytes)) {
            *slot = byte;
        }
        self.header_bytes += 1;
        let [first, second, ..] = self.header;
        let length_bytes = match second & 0x7f {
            127 => 8,
            126 => 2,
            _ => 0,
        };
        let mask_bytes = if second & 0x80 != 0 { 4 } else { 0 };
        if self.header_bytes < 2 || usize::from(self.header_bytes) < 2 + length_bytes + mask_bytes {
            return false;
        }
        self.payload_left = match length_bytes {
            0 => u64::from(second & 0x7f),
            _ => self
                .header
                .iter()
                .skip(2)
                .take(length_bytes)
                .fold(0, |length, byte| (length << 8) | u64::from(*byte)),
        };
        self.header_bytes = 0;
        self.begin_frame(first & 0x0f, first & 0x80 != 0)
    }

    fn begin_frame(&mut self, opcode: u8, is_final: bool) -> bool {
        const CONTINUATION: u8 = 0;
        const CONTROL: u8 = 8;
        let begins = opcode != CONTINUATION;
        if opcode < CONTROL {
            self.is_fragmented = true;
            self.is_last = is_final;
        } else {
            self.is_last = false;
        }
        if self.payload_left == 0 {
            self.end_frame();
        }
        begins
    }

    const fn end_frame(&mut self) {
        if self.is_last {
            self.is_fragmented = false;
            self.is_last = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tungstenite::protocol::frame::Frame;
    use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

    use super::*;

    fn bytes_of(payload: &[u8], opcode: OpCode, is_final: bool) -> Vec<u8> {
        let mut frame = Frame::message(payload.to_vec(), OpCode::Data(Data::Text), is_final);
        frame.header_mut().opcode = opcode;
        frame.header_mut().mask = Some([1, 2, 3, 4]);
        let mut bytes = Vec::new();
        frame.format(&mut bytes).expect("a frame");
        bytes
    }

    #[test]
    fn a_message_is_open_from_its_first_byte_to_its_last() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let bytes = bytes_of(&vec![7; length], OpCode::Data(Data::Text), true);
            let mut scanner = FrameScanner::default();
            let (last, head) = bytes.split_last().expect("bytes");
            let scanned = scanner.feed(head);
            assert!(scanned.is_open && scanned.was_closed, "{length}");
            let scanned = scanner.feed(&[*last]);
            assert!(!scanned.is_open && scanned.was_closed, "{length}");
            assert_eq!(
                scanner,
                FrameScanner {
                    header: scanner.header,
                    ..FrameScanner::default()
                }
            );
        }
    }

    #[test]
    fn a_ping_between_fragments_does_not_finish_the_message() {
        let mut scanner = FrameScanner::default();
        assert!(scanner.feed(&bytes_of(b"a", OpCode::Data(Data::Text), false)).is_open);
        for _ in 0..3 {
            let scanned = scanner.feed(&bytes_of(b"", OpCode::Control(Control::Ping), true));
            assert_eq!(
                scanned,
                Scanned {
                    begun: 1,
                    is_open: true,
                    was_closed: false
                }
            );
            let scanned = scanner.feed(&bytes_of(b"", OpCode::Data(Data::Continue), false));
            assert_eq!(
                scanned,
                Scanned {
                    begun: 0,
                    is_open: true,
                    was_closed: false
                }
            );
        }
        let scanned = scanner.feed(&bytes_of(b"z", OpCode::Data(Data::Continue), true));
        assert_eq!(
            scanned,
            Scanned {
                begun: 0,
                is_open: false,
                was_closed: true
            }
        );
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_split_does_not_change_the_result(
            frames in proptest::collection::vec((0_usize..300, 0_u8..4, any::<bool>()), 1..20),
            cuts in proptest::collection::vec(1_usize..40, 1..60),
        ) {
            let mut bytes = Vec::new();
            let mut begun = 0;
            for (length, kind, is_final) in frames {
                let opcode = match kind {
                    0 => OpCode::Data(Data::Text),
                    1 => OpCode::Data(Data::Binary),
                    2 => OpCode::Data(Data::Continue),
                    _ => OpCode::Control(Control::Ping),
                };
                let length = if kind == 3 { length % 126 } else { length };
                begun += u64::from(kind != 2);
                bytes.extend(bytes_of(&vec![0x81; length], opcode, is_final || kind == 3));
            }
            let whole = FrameScanner::default().feed(&bytes);
            prop_assert_eq!(whole.begun, begun);
            let mut scanner = FrameScanner::default();
            let mut counted = 0;
            let mut rest = bytes.as_slice();
            let mut is_open = false;
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                let scanned = scanner.feed(now);
                counted += scanned.begun;
                is_open = scanned.is_open;
                rest = later;
            }
            prop_assert_eq!((counted, is_open), (begun, whole.is_open));
        }
    }
}
