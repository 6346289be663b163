//! The ids of simulated users, and the token or header that authenticates them.

use std::time::Duration;

use presence::UserId;

use crate::client::discover::{Credential, Finder, Target};
use crate::client::websocket::{ConnectError, Identity, WebSocket};
use crate::clock;
use crate::commands::token::Signer;
use crate::failure::Failure;

/// The prefix of simulated ids, which no real user should have.
const PREFIX: &str = "sim-";
/// Tokens stay valid for this long after the run.
const TOKEN_SPARE: Duration = Duration::from_secs(3600);

/// Users are numbered from 0, ids from 1.
pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{:05}", number + 1)
}

/// The inverse of [`name`].
pub(super) fn number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse::<u64>().ok()?.checked_sub(1)
}

/// The connection of the first user, established as a test before the run.
pub(super) struct FirstConnection {
    pub(super) stream: WebSocket,
    pub(super) session: String,
    pub(super) took: Duration,
}

/// How simulated users authenticate.
pub(super) enum Identities {
    /// With tokens, as real clients do.
    Signed {
        /// The key of the local daemon.
        signer: Signer,
        ttl: Duration,
    },
    /// With the secret and a header, as a gateway does.
    Secret,
}

impl Identities {
    /// Uses tokens if the daemon's key is on this machine and accepted, else the secret. One connection tests it, so
    /// that an unreachable daemon or a rejected credential is reported once and not a thousand times. The first user
    /// keeps that connection: closing it would show the user come, go and come again.
    pub(super) async fn choose(
        finder: &Finder,
        target: &Target,
        duration: Duration,
        has_others: bool,
    ) -> Result<(Self, FirstConnection), Failure> {
        // Other nodes may have another key.
        let key = (target.data_dir.is_some() && !has_others)
            .then(|| finder.key_directory().ok())
            .flatten()
            .map(|directory| directory.join("jwt-key"));
        let signer = key
            .filter(|path| path.exists())
            .and_then(|path| Signer::load(&path).ok());
        if let Some(signer) = signer {
            let ttl = duration + TOKEN_SPARE;
            let signed = Self::Signed { signer, ttl };
            match signed.try_one(target).await? {
                Ok(connection) => return Ok((signed, connection)),
                Err(ConnectError::Rejected { status: 401 | 403, .. }) => {}
                Err(error) => return Err(error.failure(target)),
            }
        }
        if !matches!(target.credential, Credential::Secret { .. }) {
            return Err(
                Failure::usage("simulated users need the daemon's jwt-key or its secret")
                    .next("add --secret-file FILE"),
            );
        }
        match Self::Secret.try_one(target).await? {
            Ok(connection) => Ok((Self::Secret, connection)),
            Err(error) => Err(error.failure(target)),
        }
    }

    async fn try_one(&self, target: &Target) -> Result<Result<FirstConnection, ConnectError>, Failure> {
        let identity = self.of(0)?;
        let begun = clock::instant();
        let connected = WebSocket::connect(target, &identity).await;
        Ok(connected.map(|(stream, welcome)| FirstConnection {
            stream,
            session: welcome.session,
            took: begun.elapsed(),
        }))
    }

    /// The identity with which a user connects.
    pub(super) fn of(&self, number: u64) -> Result<Identity, Failure> {
        let name = name(number);
        match self {
            Self::Secret => Ok(Identity::Named(name)),
            Self::Signed { signer, ttl } => {
                let user = UserId::new(&name).map_err(Failure::usage)?;
                signer.sign(&user, clock::wall(), *ttl).map(Identity::Bearer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_maps_back_to_its_number() {
        for user in [0, 1, 99_998, 99_999, 123_456] {
            assert_eq!(number(&name(user)), Some(user));
        }
        assert_eq!(name(0), "sim-00001");
        for other in ["alice", "sim-", "sim-x", "sim-00000"] {
            assert_eq!(number(other), None);
        }
    }
}
