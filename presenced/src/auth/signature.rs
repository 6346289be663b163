//! Signatures of tokens: JWS in compact serialization (RFC 7515, section 7.1), by one key and its one algorithm. The key is prepared
//! once, for `aws-lc`. Which key a token is for, and what the claims say, is decided in `jwt`.
//!
//! `jsonwebtoken::decode` would prepare the key for each token, and read header and claims twice.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use parking_lot::RwLock;

/// A key that is ready to verify signatures by its algorithm.
pub(super) struct Verifier {
    algorithm: Algorithm,
    key: Key,
    /// The encoded header of the last token that was signed with the key: those of an issuer are all alike. The same bytes
    /// need not be read again.
    valid_header: RwLock<Option<Box<[u8]>>>,
}

enum Key {
    /// With the state of both hashes, over a kilobyte.
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// A token in its parts.
pub(super) struct SignedParts<'a> {
    /// Header and claims, encoded: what is signed.
    message: &'a [u8],
    header: &'a [u8],
    claims: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> SignedParts<'a> {
    /// None if these are not three parts, or the signature is not in base64url.
    pub(super) fn of(token: &'a [u8]) -> Option<Self> {
        let (message, signature) = split_at_last_dot(token)?;
        let (header, claims) = split_at_last_dot(message)?;
        let signature = decode(signature)?;
        Some(Self {
            message,
            header,
            claims,
            signature,
        })
    }

    /// Decoded; none if they are not in base64url.
    pub(super) fn claims(&self) -> Option<Vec<u8>> {
        decode(self.claims)
    }
}

impl Verifier {
    /// With the bytes of a secret or of a public key; none for a key that is none of this algorithm.
    pub(super) fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        let key = match algorithm {
            Algorithm::HS256 => Key::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key))),
            Algorithm::RS256 => Key::Public(ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).ok()?),
            Algorithm::ES256 => Key::Public(ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).ok()?),
            Algorithm::EdDSA => Key::Public(ParsedPublicKey::new(&ED25519, key).ok()?),
            _ => return None,
        };
        Some(Self {
            algorithm,
            key,
            valid_header: RwLock::new(None),
        })
    }

    pub(super) const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether a token with the same header was signed with the key.
    pub(super) fn knows(&self, parts: &SignedParts<'_>) -> bool {
        self.valid_header.read().as_deref() == Some(parts.header)
    }

    /// The key has signed this, and its header is one that the key allows.
    pub(super) fn remember(&self, parts: &SignedParts<'_>) {
        *self.valid_header.write() = Some(parts.header.into());
    }

    pub(super) fn has_signed(&self, parts: &SignedParts<'_>) -> bool {
        self.key.has_signed(parts.message, &parts.signature)
    }
}

impl Key {
    /// Compares in constant time.
    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

fn split_at_last_dot(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = text.iter().rposition(|byte| *byte == b'.')?;
    Some((&text[..dot], &text[dot + 1..]))
}

/// Without padding, and without bits that encode nothing.
fn decode(part: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}
