//! WebSocket frames (RFC 6455, section 5.2) encoded by hand, so that a test can send invalid ones.

/// Frame opcodes (RFC 6455, section 11.8).
pub mod opcode {
    /// A further fragment of a message.
    pub const CONTINUATION: u8 = 0;
    /// A text message, or its first fragment.
    pub const TEXT: u8 = 1;
    /// A binary message, or its first fragment.
    pub const BINARY: u8 = 2;
    pub const CLOSE: u8 = 8;
    pub const PING: u8 = 9;
    pub const PONG: u8 = 10;
}

/// A frame to send, valid or not.
#[derive(Debug, Clone)]
pub struct Frame {
    /// FIN and the reserved bits; 0x80 is an unfragmented message.
    pub bits: u8,
    pub opcode: u8,
    /// Whether the payload is masked, as frames of a client must be.
    pub masked: bool,
    pub payload: Vec<u8>,
    /// The length to declare instead of the payload's.
    pub claimed: Option<u64>,
}

impl Frame {
    /// Makes an unfragmented, masked frame.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            bits: 0x80,
            opcode,
            masked: true,
            payload: payload.into(),
            claimed: None,
        }
    }

    /// Makes an unfragmented text message.
    pub fn text(payload: impl Into<Vec<u8>>) -> Self {
        Self::new(opcode::TEXT, payload)
    }

    /// Makes a fragment that is not the last.
    pub fn fragment(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            bits: 0,
            ..Self::new(opcode, payload)
        }
    }

    pub fn unmasked(self) -> Self {
        Self { masked: false, ..self }
    }

    /// Sets FIN and the reserved bits.
    pub fn with_bits(self, bits: u8) -> Self {
        Self { bits, ..self }
    }

    /// Declares another length than the payload's.
    pub fn claiming(self, claimed: u64) -> Self {
        Self {
            claimed: Some(claimed),
            ..self
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mask_bit = if self.masked { 0x80 } else { 0 };
        let mut bytes = vec![self.bits | self.opcode];
        match self.claimed.unwrap_or(self.payload.len() as u64) {
            short @ 0..126 => bytes.push(mask_bit | short as u8),
            middle @ 126..=0xffff => {
                bytes.push(mask_bit | 126);
                bytes.extend((middle as u16).to_be_bytes());
            }
            long => {
                bytes.push(mask_bit | 127);
                bytes.extend(long.to_be_bytes());
            }
        }
        let mask = if self.masked { [0x37, 0xfa, 0x21, 0x3d] } else { [0; 4] };
        if self.masked {
            bytes.extend(mask);
        }
        bytes.extend(
            self.payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        bytes
    }
}

/// A frame received from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub bits: u8,
    pub opcode: u8,
    pub payload: Vec<u8>,
}

impl Received {
    /// Removes the first frame from `buffer`, if it is complete.
    pub fn take(buffer: &mut Vec<u8>) -> Option<Self> {
        let (first, second) = (*buffer.first()?, *buffer.get(1)?);
        assert_eq!(second & 0x80, 0, "a server masks nothing");
        let (length, head) = match second {
            126 => (
                usize::from(u16::from_be_bytes(buffer.get(2..4)?.try_into().unwrap())),
                4,
            ),
            127 => (u64::from_be_bytes(buffer.get(2..10)?.try_into().unwrap()) as usize, 10),
            short => (usize::from(short), 2),
        };
        let payload = buffer.get(head..head + length)?.to_vec();
        buffer.drain(..head + length);
        Some(Self {
            bits: first & 0xf0,
            opcode: first & 0x0f,
            payload,
        })
    }

    /// The code of a close frame; none without a code or for another frame.
    pub fn close_code(&self) -> Option<u16> {
        let code = self.payload.get(..2).filter(|_| self.opcode == opcode::CLOSE)?;
        Some(u16::from_be_bytes(code.try_into().unwrap()))
    }
}
