//! Tokens that an operator has revoked: those of a user that were issued (`iat`) before a time. What is revoked is told by the engine;
//! nothing that a reload replaces is looked at here.

use std::sync::Arc;

use presence::SystemWall;

use super::jwt::Claimed;
use super::{Auth, AuthError, CLOCK_TOLERANCE, forbidden};
use crate::revocation::{NotedRevocations, RevokedTokens};

impl Auth {
    /// Of which users tokens are revoked, for who learns of it.
    pub(crate) fn revoked_tokens(&self) -> Arc<RevokedTokens> {
        Arc::clone(&self.revoked_tokens)
    }

    /// What was revoked by now. Ask before [`Self::authenticate`] for a connection that goes on afterwards.
    pub(crate) fn noted_revocations(&self) -> NotedRevocations {
        self.revoked_tokens.noted()
    }

    /// Checks that the token is none that an operator has revoked. What does not tell when it was issued may be.
    pub(super) fn check_not_revoked(&self, claimed: &Claimed, now: SystemWall) -> Result<(), AuthError> {
        let Some(issued_before) = self.revoked_tokens.issued_before(&claimed.user) else {
            return Ok(());
        };
        match claimed.issued {
            None => Err(forbidden(
                "token has no iat (number of seconds), and tokens of its user were revoked: it needs one that was issued since",
            )),
            Some(issued) if issued > now.after(CLOCK_TOLERANCE) => Err(forbidden(
                "token iat lies in the future, and tokens of its user were revoked: it needs one that was issued since",
            )),
            Some(issued) if issued < issued_before => Err(forbidden(
                "token was revoked: its user needs one that was issued (iat) since",
            )),
            Some(_) => Ok(()),
        }
    }
}
