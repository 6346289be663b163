//! The internal secrets, as digests: all comparisons have the same length, and no secret stays in memory.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::node_token::{NodeRequest, acceptance_digest};
use crate::revocation::Revocation;

/// As many secrets as a node has during a rotation.
const TOKENS_MAX: usize = 2;

/// Digests of the valid secrets, each with its mark.
pub(super) struct Secrets(Vec<([u8; 32], Revocation)>);

impl Secrets {
    /// Drops empty secrets: an empty header must never match. One that is there twice has one mark.
    pub(super) fn new(secrets: &[Vec<u8>]) -> Self {
        let filled = secrets.iter().filter(|secret| !secret.is_empty());
        let digests: BTreeSet<[u8; 32]> = filled.map(|secret| digest(secret)).collect();
        Self(
            digests
                .into_iter()
                .map(|secret| (secret, Revocation::default()))
                .collect(),
        )
    }

    /// Compares with all of them, in constant time. The mark of the one that is given.
    pub(super) fn find(&self, given: &[u8]) -> Option<&Revocation> {
        let given = digest(given);
        let mut found = None;
        for (secret, revocation) in &self.0 {
            let is_given: Choice = secret.ct_eq(&given);
            if is_given.into() {
                found = Some(revocation);
            }
        }
        found
    }

    /// The tokens for a request to another node, one by each secret, for [`Self::allow`] of that.
    pub(super) fn tokens(&self, request: NodeRequest<'_>) -> String {
        self.by_each(|secret| request.token(secret))
    }

    /// Whether one of these tokens is by one of the secrets. Compares in constant time.
    pub(super) fn allow(&self, request: NodeRequest<'_>, tokens: &str) -> bool {
        has_common(&self.tokens(request), tokens)
    }

    /// The digests of what the node of this run accepts of users, one by each secret.
    pub(super) fn acceptance(&self, run: &str, accepted: &[u8; 32]) -> String {
        self.by_each(|secret| acceptance_digest(secret, run, accepted))
    }

    /// Whether these are digests that a node of this run has which accepts the same.
    pub(super) fn is_acceptance(&self, run: &str, accepted: &[u8; 32], digests: &str) -> bool {
        has_common(&self.acceptance(run, accepted), digests)
    }

    fn by_each(&self, digest: impl Fn(&[u8; 32]) -> [u8; 32]) -> String {
        let hex = |(secret, _): &([u8; 32], Revocation)| {
            let bytes = digest(secret);
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        self.0.iter().map(hex).collect::<Vec<_>>().join(",")
    }

    /// Whether these are the same secrets.
    pub(super) fn equals(&self, other: &Self) -> bool {
        let digests = |secrets: &Self| secrets.0.iter().map(|(digest, _)| *digest).collect::<Vec<_>>();
        digests(self) == digests(other)
    }

    /// Takes the place of `before`: secrets that stay keep their marks, the others are revoked.
    pub(super) fn succeed(&mut self, before: &Self) {
        for (secret, revocation) in &before.0 {
            match self.0.iter_mut().find(|(other, _)| other == secret) {
                Some((_, kept)) => *kept = revocation.clone(),
                None => revocation.revoke(),
            }
        }
    }
}

/// Whether one of the given digests is one of the own. Compares in constant time.
fn has_common(own: &str, given: &str) -> bool {
    let mut is_known = Choice::from(0);
    for given in given.split(',').take(TOKENS_MAX) {
        for own in own.split(',').filter(|own| !own.is_empty()) {
            is_known |= own.as_bytes().ct_eq(given.as_bytes());
        }
    }
    is_known.into()
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
