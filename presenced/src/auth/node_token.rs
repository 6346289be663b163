//! The credential by which the nodes of a cluster ask each other: a keyed digest (HMAC, RFC 2104) of the request and of the run
//! that is asked. The secret itself is never sent: whoever can write to Redis can register an address, and would get it.

use sha2::{Digest, Sha256};

/// The block of SHA-256, in bytes.
const BLOCK_BYTES: usize = 64;
const INNER: u8 = 0x36;
const OUTER: u8 = 0x5c;

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
