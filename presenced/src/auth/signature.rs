//! Signatures of tokens: JWS in compact serialization (RFC 7515, section 7.1), by one key and its one algorithm. The key is prepared
//! once, for `aws-lc`; headers are read by `jsonwebtoken`. What the claims say is decided in `jwt`.
//!
//! `jsonwebtoken::decode` would prepare the key for each token, and read header and claims twice.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, decode_header};
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

/// Why a token is not signed with the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InvalidToken {
    /// It does not consist of three parts in base64url, or the header is none.
    Malformed,
    /// Its header names another algorithm than the key's.
    OtherAlgorithm,
    /// Its header has `crit`: no extension is supported.
    CriticalExtension,
    WrongSignature,
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

    /// The decoded claims of a token, if header and signature are valid. They are not looked at before that.
    pub(super) fn verify(&self, token: &[u8]) -> Result<Vec<u8>, InvalidToken> {
        let (message, signature) = split_at_last_dot(token)?;
        let (header, claims) = split_at_last_dot(message)?;
        let is_known = self.valid_header.read().as_deref() == Some(header);
        if !is_known {
            self.check_header(token)?;
        }
        if !self.key.has_signed(message, &decode(signature)?) {
            return Err(InvalidToken::WrongSignature);
        }
        if !is_known {
            *self.valid_header.write() = Some(header.into());
        }
        decode(claims)
    }

    fn check_header(&self, token: &[u8]) -> Result<(), InvalidToken> {
        let header = decode_header(token).map_err(|_| InvalidToken::Malformed)?;
        if header.alg != self.algorithm {
            return Err(InvalidToken::OtherAlgorithm);
        }
        match header.crit {
            Some(_) => Err(InvalidToken::CriticalExtension),
            None => Ok(()),
        }
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

fn split_at_last_dot(text: &[u8]) -> Result<(&[u8], &[u8]), InvalidToken> {
    let dot = text
        .iter()
        .rposition(|byte| *byte == b'.')
        .ok_or(InvalidToken::Malformed)?;
    Ok((&text[..dot], &text[dot + 1..]))
}

/// Without padding, and without bits that encode nothing.
fn decode(part: &[u8]) -> Result<Vec<u8>, InvalidToken> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| InvalidToken::Malformed)
}
