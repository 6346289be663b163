//! WebSocket frames (RFC 6455, section 5.2) at the level of bytes, as little of it as both sides need: whole messages in one
//! frame each.

use std::ops::Range;

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// What clients mask with. It need not be random: no proxy is in between.
const MASK: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];
const IS_FINAL: u8 = 0x80;
const IS_MASKED: u8 = 0x80;

/// A frame at the beginning of a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    /// Where the payload lies in the buffer; it ends where the frame does.
    pub(crate) payload: Range<usize>,
    mask: Option<[u8; 4]>,
}

impl Frame {
    /// The frame that a buffer begins with; none while it is not whole.
    pub(crate) fn parse(buffer: &[u8]) -> Option<Self> {
        let (first, second) = (*buffer.first()?, *buffer.get(1)?);
        let (length, mut head) = match second & !IS_MASKED {
            126 => (usize::from(u16::from_be_bytes(*buffer.get(2..)?.first_chunk()?)), 4),
            127 => {
                let length = u64::from_be_bytes(*buffer.get(2..)?.first_chunk()?);
                (usize::try_from(length).ok()?, 10)
            }
            short => (usize::from(short), 2),
        };
        let mut mask = None;
        if second & IS_MASKED != 0 {
            mask = Some(*buffer.get(head..)?.first_chunk()?);
            head += MASK.len();
        }
        let payload = head..head.checked_add(length)?;
        (payload.end <= buffer.len()).then_some(Self {
            opcode: first & 0x0f,
            payload,
            mask,
        })
    }

    /// The payload, unmasked if it was masked.
    pub(crate) fn text(&self, buffer: &[u8]) -> Vec<u8> {
        let mut payload = buffer[self.payload.clone()].to_vec();
        if let Some(mask) = self.mask {
            xor(&mut payload, mask);
        }
        payload
    }
}

fn xor(bytes: &mut [u8], mask: [u8; 4]) {
    for (byte, mask) in bytes.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Appends a frame of a server.
pub(crate) fn encode(opcode: u8, payload: &[u8], into: &mut Vec<u8>) {
    head(opcode, payload.len(), 0, into);
    into.extend_from_slice(payload);
}

/// Replaces what a buffer holds by one frame of a server, whose payload is built in place. The frame, which does not begin where the
/// buffer does.
pub(crate) fn build(buffer: &mut Vec<u8>, opcode: u8, payload: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
    const LONGEST_HEAD: usize = 10;
    buffer.clear();
    buffer.resize(LONGEST_HEAD, 0);
    payload(buffer);
    let mut front = Vec::with_capacity(LONGEST_HEAD);
    head(opcode, buffer.len() - LONGEST_HEAD, 0, &mut front);
    let start = LONGEST_HEAD - front.len();
    buffer[start..LONGEST_HEAD].copy_from_slice(&front);
    &buffer[start..]
}

/// Appends a frame of a client.
pub(crate) fn encode_masked(opcode: u8, payload: &[u8], into: &mut Vec<u8>) {
    head(opcode, payload.len(), IS_MASKED, into);
    into.extend_from_slice(&MASK);
    let start = into.len();
    into.extend_from_slice(payload);
    xor(&mut into[start..], MASK);
}

fn head(opcode: u8, length: usize, masked: u8, into: &mut Vec<u8>) {
    into.push(IS_FINAL | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => into.push(masked | short),
        (_, Ok(medium)) => {
            into.push(masked | 126);
            into.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            into.push(masked | 127);
            into.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[test]
fn frames_of_every_length_are_read_back_and_a_part_is_none() {
    for length in [0, 125, 126, 65_535, 65_536] {
        let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        for encode in [encode, encode_masked] {
            let mut bytes = Vec::new();
            encode(TEXT, &payload, &mut bytes);
            assert_eq!(Frame::parse(&bytes[..bytes.len() - 1]), None);
            bytes.push(7);
            let frame = Frame::parse(&bytes).unwrap();
            assert_eq!((frame.opcode, frame.payload.end), (TEXT, bytes.len() - 1));
            assert_eq!(frame.text(&bytes), payload);
        }
        let (mut encoded, mut buffer) = (Vec::new(), b"what was there before".to_vec());
        encode(TEXT, &payload, &mut encoded);
        let built = build(&mut buffer, TEXT, |into| into.extend_from_slice(&payload));
        assert_eq!(built, encoded, "{length}");
    }
}
