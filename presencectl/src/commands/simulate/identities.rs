//! Who the simulated people are to the daemon: their ids, and the token or header that proves them.

use std::time::Duration;

use presence::UserId;

use crate::client::discover::{Credential, Finder, Target};
use crate::client::websocket::{ConnectError, Identity, WebSocket};
use crate::clock;
use crate::commands::token::Signer;
use crate::failure::Failure;

/// What the ids of simulated people begin with: nobody else's should.
const PREFIX: &str = "sim-";
/// Tokens outlive the run by this much.
const TOKEN_SPARE: Duration = Duration::from_secs(3600);

/// The id of a person; people are counted from 0, ids from 1.
pub(super) fn name(number: u64) -> String {
    format!("{PREFIX}{:05}", number + 1)
}

/// The person of an id.
pub(super) fn number(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse::<u64>().ok()?.checked_sub(1)
}

/// The connection of the first person, made to see whether people can come at all.
pub(super) struct FirstConnection {
    /// The connection.
    pub(super) stream: WebSocket,
    /// How long connecting took.
    pub(super) took: Duration,
}

/// How people prove who they are.
pub(super) enum Identities {
    /// By tokens, as real clients do.
    Signed {
        /// With the key of the local daemon.
        signer: Signer,
        /// Valid for so long.
        ttl: Duration,
    },
    /// By the secret and a header, as a gateway does.
    Secret,
}

impl Identities {
    /// Tokens if the daemon's key is here and it takes them, else the secret. FirstConnection with one connection, so that a
    /// daemon that is not there or does not want us is told before a thousand people find out.
    /// That connection is then the first person's: ended, it would show somebody coming, going and coming again.
    pub(super) async fn choose(
        finder: &Finder,
        target: &Target,
        duration: Duration,
    ) -> Result<(Self, FirstConnection), Failure> {
        let key = target
            .data_dir
            .is_some()
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
                Failure::usage("simulated people need the daemon's jwt-key or its secret")
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
        Ok(connected.map(|(stream, _)| FirstConnection {
            stream,
            took: begun.elapsed(),
        }))
    }

    /// What a person connects with.
    ///
    /// # Errors
    /// When the token can't be signed.
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
    fn a_name_leads_back_to_its_person() {
        for person in [0, 1, 99_998, 99_999, 123_456] {
            assert_eq!(number(&name(person)), Some(person));
        }
        assert_eq!(name(0), "sim-00001");
        for other in ["alice", "sim-", "sim-x", "sim-00000"] {
            assert_eq!(number(other), None);
        }
    }
}
