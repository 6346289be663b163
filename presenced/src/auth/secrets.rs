//! The internal secrets, as digests: what is compared has one length whatever was sent, and no secret stays in memory.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The secrets that are valid.
pub(super) struct Secrets(Vec<[u8; 32]>);

impl Secrets {
    /// An empty secret is dropped: an empty header must never match.
    pub(super) fn new(secrets: &[Vec<u8>]) -> Self {
        let filled = secrets.iter().filter(|secret| !secret.is_empty());
        Self(filled.map(|secret| digest(secret)).collect())
    }

    /// In constant time: all of them are compared, whichever fits.
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
