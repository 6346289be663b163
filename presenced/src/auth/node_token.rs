//! What nodes of a cluster prove to each other by their internal secret. Who asks sends a keyed digest (HMAC, RFC 2104) of the
//! request and of the run that is asked. The secret itself is never sent: whoever can write to Redis can register an address, and would get it.

use axum::http::HeaderMap;
use sha2::{Digest, Sha256};

use super::{Auth, AuthError, Given, NODE_HEADER, forbidden, invalid_header};

/// The block of SHA-256, in bytes.
const BLOCK_BYTES: usize = 64;
const INNER: u8 = 0x36;
const OUTER: u8 = 0x5c;

impl Auth {
    /// The value of [`NODE_HEADER`] for a request to another node.
    pub(crate) fn node_tokens(&self, request: NodeRequest<'_>) -> String {
        self.checks().secrets.tokens(request)
    }

    /// Authenticates another node by [`NODE_HEADER`].
    pub(crate) fn authenticate_node(&self, headers: &HeaderMap, request: NodeRequest<'_>) -> Result<(), AuthError> {
        let tokens = match Given::of(headers, &NODE_HEADER) {
            Given::Absent => return Err(AuthError::Unauthenticated),
            Given::Repeated => return Err(invalid_header("duplicate header: x-node-token")),
            Given::Once(tokens) => tokens.to_str().unwrap_or_default(),
        };
        match self.checks().secrets.allow(request, tokens) {
            true => Ok(()),
            false => Err(forbidden(
                "invalid x-node-token: the nodes of a cluster need the same secret, and one asks another at its own address",
            )),
        }
    }

    /// What the run of this node accepts of users, for [`Self::accepts_as`] on another node.
    pub(crate) fn acceptance(&self, run: &str) -> String {
        let checks = self.checks();
        checks.secrets.acceptance(run, &checks.tokens.acceptance())
    }

    /// Whether this node accepts the same tokens of users as the run that told this.
    pub(crate) fn accepts_as(&self, run: &str, told: &str) -> bool {
        let checks = self.checks();
        checks.secrets.is_acceptance(run, &checks.tokens.acceptance(), told)
    }
}

/// What a node accepts of users, as a digest of its own: a key may be a secret that is short enough to be guessed, and whoever reads
/// this must not find out without the internal secret whether a guess is right.
pub(super) fn acceptance_digest(secret: &[u8; 32], run: &str, acceptance: &[u8; 32]) -> [u8; 32] {
    let mut message = format!("presenced tokens of users\n{run}\n").into_bytes();
    message.extend_from_slice(acceptance);
    hmac(secret, &message)
}

/// What the token is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeRequest<'a> {
    /// The run that is asked: 16 hexadecimal digits.
    pub(crate) run: &'a str,
    /// The path and query of the request, as sent.
    pub(crate) path: &'a str,
}

impl NodeRequest<'_> {
    /// The token by this key, the digest of an internal secret.
    pub(super) fn token(&self, key: &[u8; 32]) -> [u8; 32] {
        hmac(
            key,
            &format!("presenced node\n{}\n{}", self.run, self.path).into_bytes(),
        )
    }
}

fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let padded = |pad: u8| {
        let mut block = [pad; BLOCK_BYTES];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new()
        .chain_update(padded(INNER))
        .chain_update(message)
        .finalize();
    let outer = Sha256::new().chain_update(padded(OUTER)).chain_update(inner);
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() {
        // RFC 4231, test case 1: the key is filled with zeros up to the block, as HMAC does.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        let digest: String = hmac(&key, b"Hi There")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(digest, expected);
    }

    #[test]
    fn a_digest_of_what_is_accepted_is_for_one_run_and_one_secret() {
        let (secret, accepted) = ([7; 32], [1; 32]);
        let digest = acceptance_digest(&secret, "00000000000000a7", &accepted);
        assert_eq!(digest, acceptance_digest(&secret, "00000000000000a7", &accepted));
        assert_ne!(digest, acceptance_digest(&secret, "00000000000000a8", &accepted));
        assert_ne!(digest, acceptance_digest(&secret, "00000000000000a7", &[2; 32]));
        assert_ne!(digest, acceptance_digest(&[8; 32], "00000000000000a7", &accepted));
    }

    #[test]
    fn a_token_is_for_one_run_and_one_request() {
        let key = [7; 32];
        let request = NodeRequest {
            run: "00000000000000a7",
            path: "/api/presence/ann/explain",
        };
        let token = request.token(&key);
        assert_eq!(token, request.token(&key));
        for other in [
            NodeRequest {
                run: "00000000000000a8",
                ..request
            },
            NodeRequest {
                path: "/api/presence/anna/explain",
                ..request
            },
        ] {
            assert_ne!(token, other.token(&key), "{other:?}");
        }
        assert_ne!(token, request.token(&[8; 32]));
    }
}
