//! What is read of a certificate (RFC 5280) besides what rustls reads: when it is valid. Everything before that is skipped.

use presence::SystemWall;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StringDeserializer};

const SEQUENCE: u8 = 0x30;
/// `[0]`, explicit: the version, which one of the first version of X.509 does not have.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Stands for no end: 9999-12-30T00:00:00Z, about the latest time that records can have.
const NEVER_MILLIS: i64 = 253_402_128_000_000;

/// From when until when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: SystemWall,
    pub(super) not_after: SystemWall,
}

impl Validity {
    /// That of a certificate in DER; none if it is not as RFC 5280 wants it.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let mut certificate = Values(Values(certificate).next(SEQUENCE)?);
        let mut signed = Values(certificate.next(SEQUENCE)?);
        if signed.tag() == Some(VERSION) {
            signed.next(VERSION)?;
        }
        // Serial number, algorithm of the signature, issuer.
        for _ in 0..3 {
            signed.next(signed.tag()?)?;
        }
        let mut validity = Values(signed.next(SEQUENCE)?);
        Some(Self {
            not_before: validity.next_time()?,
            not_after: validity.next_time()?,
        })
    }
}

/// Values in DER, one after the other.
struct Values<'a>(&'a [u8]);

impl<'a> Values<'a> {
    fn tag(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next value, which has this tag.
    fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (&[found, length], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match length {
            0..=0x7f => (usize::from(length), rest),
            // The number of bytes that the length has.
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
                let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (found == tag).then_some(content)
    }

    fn next_time(&mut self) -> Option<SystemWall> {
        let tag = self.tag()?;
        let text = std::str::from_utf8(self.next(tag)?).ok()?;
        let text = match tag {
            // Two digits of the year: from 1950 to 2049.
            UTC_TIME => match text.get(..2)? >= "50" {
                true => format!("19{text}"),
                false => format!("20{text}"),
            },
            GENERALIZED_TIME => text.to_owned(),
            _ => return None,
        };
        let digits = text.strip_suffix('Z')?;
        if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let part = |from: usize| digits.get(from..from + 2);
        let (date, time) = (
            format!("{}-{}-{}", digits.get(..4)?, part(4)?, part(6)?),
            format!("{}:{}:{}", part(8)?, part(10)?, part(12)?),
        );
        let moment = format!("{date}T{time}Z");
        let deserializer: StringDeserializer<ValueError> = moment.into_deserializer();
        let millis = presence::Wall::deserialize(deserializer).map(presence::Wall::as_millis);
        // The end of that year stands for "never", and is beyond what our times reach.
        let never = || text.starts_with("9999").then_some(NEVER_MILLIS);
        Some(SystemWall::from_millis(millis.ok().or_else(never)?))
    }
}
