//! The encoding that states, ticks and what is told of a node have in common: a format number, then fields of a tag, a
//! length and a content. Numbers are LEB128. What is read may come from anybody: nothing here panics, and nothing is
//! allocated that is not there.

use crate::time::Wall;

/// The newest format that this version reads and writes.
pub const FORMAT: u8 = 1;

/// The bytes are not what a node writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBytes {
    /// A newer version wrote them. They must be left alone.
    #[error("written in format {0}, which this version can't read")]
    Format(u8),
    /// No version wrote them.
    #[error("malformed")]
    Malformed,
}

/// Appends a number.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Appends a time. Those near the epoch are short, before it or after.
pub(super) fn put_time(out: &mut Vec<u8>, time: Wall) {
    let millis = time.as_millis();
    put_number(out, (millis << 1 ^ millis >> 63).cast_unsigned());
}

/// Appends bytes with their length before them.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field.
pub(super) fn put_field(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    put_bytes(out, content);
}

/// Appends a field that is a time, unless there is none.
pub(super) fn put_time_field(out: &mut Vec<u8>, tag: u8, time: Option<Wall>) {
    if let Some(time) = time {
        let mut content = Vec::new();
        put_time(&mut content, time);
        put_field(out, tag, &content);
    }
}

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins after the format number.
    pub(super) fn after_format(bytes: &'a [u8]) -> Result<Self, InvalidBytes> {
        match bytes.split_first() {
            Some((&FORMAT, left)) => Ok(Self { left }),
            Some((&format, _)) if format > FORMAT => Err(InvalidBytes::Format(format)),
            _ => Err(InvalidBytes::Malformed),
        }
    }

    /// Begins with the content of a field.
    pub(super) const fn of(content: &'a [u8]) -> Self {
        Self { left: content }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, InvalidBytes> {
        let (&first, left) = self.left.split_first().ok_or(InvalidBytes::Malformed)?;
        self.left = left;
        Ok(first)
    }

    pub(super) fn number(&mut self) -> Result<u64, InvalidBytes> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let low = u64::from(byte & 0x7f);
            // The tenth byte holds one bit.
            if shift == 63 && low > 1 {
                return Err(InvalidBytes::Malformed);
            }
            number |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(InvalidBytes::Malformed)
    }

    pub(super) fn small(&mut self) -> Result<u32, InvalidBytes> {
        u32::try_from(self.number()?).map_err(|_| InvalidBytes::Malformed)
    }

    pub(super) fn time(&mut self) -> Result<Wall, InvalidBytes> {
        let number = self.number()?;
        Ok(Wall::from_millis(
            (number >> 1).cast_signed() ^ -((number & 1).cast_signed()),
        ))
    }

    pub(super) fn fixed(&mut self) -> Result<u64, InvalidBytes> {
        let (bytes, left) = self.left.split_first_chunk::<8>().ok_or(InvalidBytes::Malformed)?;
        self.left = left;
        Ok(u64::from_be_bytes(*bytes))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], InvalidBytes> {
        let length = usize::try_from(self.number()?).map_err(|_| InvalidBytes::Malformed)?;
        let (bytes, left) = self.left.split_at_checked(length).ok_or(InvalidBytes::Malformed)?;
        self.left = left;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, InvalidBytes> {
        str::from_utf8(self.bytes()?).map_err(|_| InvalidBytes::Malformed)
    }

    /// The next field: its tag and content.
    pub(super) fn field(&mut self) -> Result<(u8, &'a [u8]), InvalidBytes> {
        Ok((self.byte()?, self.bytes()?))
    }
}
