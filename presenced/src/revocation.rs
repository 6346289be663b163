//! Whether a credential is still valid, as a mark that the credential shares with every connection that it authenticated.
//! `auth` sets the mark when a reload removes the credential; a connection looks at it at its deadlines. Which tokens of single users
//! operators have revoked is in [`revoked_tokens`].

mod revoked_tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use self::revoked_tokens::{NotedRevocations, RevokedTokens, UserHash, UserRevocation, user_hash};

/// The mark of one credential: clones share it. It is never taken back.
#[derive(Debug, Clone, Default)]
pub(crate) struct Revocation(Arc<AtomicBool>);

/// Marks are equal if they say the same.
impl PartialEq for Revocation {
    fn eq(&self, other: &Self) -> bool {
        self.is_revoked() == other.is_revoked()
    }
}

impl Eq for Revocation {}

impl Revocation {
    pub(crate) fn revoke(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
