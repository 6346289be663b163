//! The internal secrets, as digests: all comparisons have the same length, and no secret stays in memory.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Digests of the valid secrets.
pub(super) struct Secrets(Vec<[u8; 32]>);

impl Secrets {
    /// Drops empty secrets: an empty header must never match.
    pub(super) fn new(secrets: &[Vec<u8>]) -> Self {
        let filled = secrets.iter().filter(|secret| !secret.is_empty());
        Self(filled.map(|secret| digest(secret)).collect())
    }

    /// Compares with all of them, in constant time.
    pub(super) fn contains(&self, given: &[u8]) -> bool {
        let given = digest(given);
        let fits = self
            .0
            .iter()
            .fold(Choice::from(0), |fits, secret| fits | secret.ct_eq(&given));
        fits.into()
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
