//! What tells nodes, connections and histories of a partition apart, and which partition a user belongs to.

use std::fmt;
use std::str::FromStr;

use crate::revision::Revision;
use crate::user_id::UserId;

/// The text is not the form that its type writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not in the form that a node writes")]
pub struct InvalidName;

/// One run of one node: a random number. As text: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// The run as the ids of its sessions tell it.
    #[must_use]
    pub const fn run(self) -> u32 {
        let [.., a, b, c, d] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Incarnation {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        parse_hex(text).map(Self)
    }
}

/// The number of a publisher's connection to one partition; each is above those of the incarnation's earlier ones. Calls
/// under another number than the registered one change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConnectionNumber(pub u64);

impl ConnectionNumber {
    /// The number of the connection that is opened next.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// One unbroken history of a partition. As text: the revision in decimal, a hyphen, 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// The id of the entry that began it.
    pub start: Revision,
    /// The number that the node proposed whose registration began it.
    pub random: u64,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.start.get(), self.random)
    }
}

impl FromStr for Epoch {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (start, random) = text.split_once('-').ok_or(InvalidName)?;
        if start.is_empty() || !start.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidName);
        }
        Ok(Self {
            start: Revision::new(start.parse().map_err(|_| InvalidName)?),
            random: parse_hex(random)?,
        })
    }
}

fn parse_hex(text: &str) -> Result<u64, InvalidName> {
    if text.len() != 16 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(InvalidName);
    }
    u64::from_str_radix(text, 16).map_err(|_| InvalidName)
}

/// The 64-bit FNV-1a hash: small, and the same on every node and in every version. (Fowler, Noll, Vo: "The FNV
/// Non-Cryptographic Hash Algorithm".) Users who are hostile could fill one partition; that slows only what shares it.
#[must_use]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes
        .iter()
        .fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

/// The partition of `user` among `partitions`, from 0.
#[must_use]
pub fn partition_of(user: &UserId, partitions: u16) -> u16 {
    let hash = stable_hash(user.as_str().as_bytes());
    // The low bits of FNV-1a alone follow the last bytes of short ids closely.
    let mixed = hash ^ (hash >> 32);
    u16::try_from(mixed % u64::from(partitions.max(1))).unwrap_or(0)
}
