//! Users' tokens (JWT): the key of a file, and what the claims mean. The key decides the algorithm, never the token; the time is an
//! argument. `pem` recognizes the kinds of keys in a file, `signature` verifies.

use jsonwebtoken::{Algorithm, DecodingKey};
use presence::{SystemWall, UserId};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::signature::{InvalidToken, Verifier};
use super::{AuthError, forbidden, pem};
use crate::revocation::Revocation;

/// Longest token, in bytes: a longer one is rejected before anything is decoded. Tokens of directory services with hundreds
/// of groups have about 8 KiB.
const TOKEN_MAX_BYTES: usize = 16 * 1024;
/// How far ahead `nbf` may lie: an issuer whose clock is a little ahead signs tokens that are not valid yet when they
/// arrive. `exp` has no such slack, because a connection ends when its token does.
const NOT_BEFORE_SLACK_MS: f64 = 5_000.0;
/// The last time that can be formatted, 9999-12-30T22:00Z. A later claim is a mistake, mostly of milliseconds for seconds, and
/// a token that is valid for 50,000 years is none that an issuer wants.
const LAST_MOMENT_MS: f64 = 253_402_207_200_000.0;
/// Shortest HS256 secret, in bytes: 128 bits.
const SECRET_MIN_BYTES: usize = 16;

/// A key that verifies tokens, and its one algorithm.
pub(crate) struct JwtKey {
    verifier: Verifier,
    /// Tells whether a reload brought another key.
    digest: [u8; 32],
}

/// Why a file holds no valid key. No text quotes the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidJwtKey {
    /// A private key, which signs tokens; the daemon must not have it.
    #[error("it holds a private key: use the public key of the pair")]
    Private,
    /// PEM of something else, or of several keys.
    #[error("it is PEM, but not exactly one public key (-----BEGIN PUBLIC KEY-----)")]
    NotOnePublicKey,
    /// A public key that is not PEM. Taken as a secret it would let everyone sign tokens who can read it.
    #[error("it is a public key, but not in PEM format (-----BEGIN PUBLIC KEY-----)")]
    NotPem,
    #[error("its public key is damaged or unsupported: use RSA, P-256 or Ed25519")]
    Unsupported,
    #[error("its RSA key has {bits} bits: use 2048 to 8192")]
    RsaSize { bits: usize },
    #[error("it is neither PEM nor a text secret")]
    NotText,
    /// A secret that can be guessed.
    #[error("its HS256 secret has {bytes} bytes: use 16 or more")]
    ShortSecret { bytes: usize },
}

impl std::fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtKey")
            .field("algorithm", &self.verifier.algorithm())
            .finish_non_exhaustive()
    }
}

impl JwtKey {
    #[cfg(test)]
    pub(super) const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The key of a `--jwt-key` file: a public key in PEM, else an HS256 secret.
    pub(crate) fn from_file_text(text: &[u8]) -> Result<Self, InvalidJwtKey> {
        let text = std::str::from_utf8(text).map_err(|_| InvalidJwtKey::NotText)?;
        // Some editors begin a file with a byte order mark, which is no part of what was typed.
        let text = text.trim_start_matches('\u{feff}');
        if text.contains('\0') {
            // PEM in UTF-16 would pass as a secret, which would be public.
            return Err(InvalidJwtKey::NotText);
        }
        let (algorithm, key) = if pem::is_pem(text) {
            pem::public_key(text)?
        } else {
            if pem::is_bare_public_key(text) {
                return Err(InvalidJwtKey::NotPem);
            }
            let secret = text.trim().as_bytes();
            if secret.len() < SECRET_MIN_BYTES {
                return Err(InvalidJwtKey::ShortSecret { bytes: secret.len() });
            }
            (Algorithm::HS256, DecodingKey::from_secret(secret))
        };
        let bytes = key.try_get_as_bytes().map_err(|_| InvalidJwtKey::Unsupported)?;
        let verifier = Verifier::new(algorithm, bytes).ok_or(InvalidJwtKey::Unsupported)?;
        let digest = Sha256::digest(bytes).into();
        Ok(Self { verifier, digest })
    }
}

pub(super) struct Tokens {
    verifier: Verifier,
    digest: [u8; 32],
    /// The mark of the key, for the connections that its tokens authenticated.
    revocation: Revocation,
    issuer: Option<String>,
    audience: Option<String>,
}

/// The claims of a valid token.
pub(super) struct Claimed {
    pub(super) user: UserId,
    pub(super) expires: SystemWall,
    pub(super) revocation: Revocation,
}

/// `iss` and `aud` may have any type where they are not required.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    #[serde(default, deserialize_with = "not_null")]
    nbf: Option<f64>,
    #[serde(default)]
    iss: Value,
    #[serde(default)]
    aud: Value,
}

/// A claim that may be missing, but not `null`.
fn not_null<'de, D: Deserializer<'de>>(claim: D) -> Result<Option<f64>, D::Error> {
    f64::deserialize(claim).map(Some)
}

impl Tokens {
    pub(super) fn new(key: JwtKey, issuer: Option<String>, audience: Option<String>) -> Self {
        Self {
            verifier: key.verifier,
            digest: key.digest,
            revocation: Revocation::default(),
            issuer,
            audience,
        }
    }

    /// A digest of all that decides whether a token is accepted. Never told as it is: the key may be a secret.
    pub(super) fn acceptance(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.digest);
        digest.update(format!(
            "{:?} {:?} {:?}",
            [self.verifier.algorithm()],
            self.issuer,
            self.audience
        ));
        digest.finalize().into()
    }

    /// Takes the place of `before`: if tokens that were accepted are not any more, their key is revoked.
    pub(super) fn succeed(&mut self, before: &Self) {
        let is_same = self.digest == before.digest
            && self.verifier.algorithm() == before.verifier.algorithm()
            && self.issuer == before.issuer
            && self.audience == before.audience;
        if is_same {
            self.revocation = before.revocation.clone();
        } else {
            before.revocation.revoke();
        }
    }

    /// The claims of a token, if its signature is valid and it is valid now.
    pub(super) fn verify(&self, token: &[u8], now: SystemWall) -> Result<Claimed, AuthError> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(forbidden("token too long"));
        }
        let claims = self.verifier.verify(token).map_err(|fault| forbidden(reason(fault)))?;
        let claims = decode(&claims).ok_or(forbidden("token needs a sub (text) and an exp (number of seconds)"))?;
        let user = UserId::new(&claims.sub).map_err(|_| forbidden("token sub is not a valid user id"))?;
        if is_after_last_moment(claims.exp) {
            return Err(forbidden("token exp is not in seconds, or lies after the year 9999"));
        }
        if claims.nbf.is_some_and(is_after_last_moment) {
            return Err(forbidden("token nbf is not in seconds, or lies after the year 9999"));
        }
        let expires = time(claims.exp);
        if now >= expires {
            return Err(forbidden("token expired"));
        }
        if claims
            .nbf
            .is_some_and(|nbf| time(nbf - NOT_BEFORE_SLACK_MS / 1000.0) > now)
        {
            return Err(forbidden("token not valid yet (nbf)"));
        }
        if self.issuer.as_ref().is_some_and(|issuer| claims.iss != **issuer) {
            return Err(forbidden("token has the wrong issuer (iss)"));
        }
        if self
            .audience
            .as_ref()
            .is_some_and(|audience| !names(&claims.aud, audience))
        {
            return Err(forbidden("token has the wrong audience (aud)"));
        }
        Ok(Claimed {
            user,
            expires,
            revocation: self.revocation.clone(),
        })
    }
}

fn reason(fault: InvalidToken) -> &'static str {
    match fault {
        InvalidToken::Malformed => "token is not a JWT signed with HS256, RS256, ES256 or EdDSA",
        InvalidToken::OtherAlgorithm => "token alg does not fit the daemon's key (--jwt-key)",
        // RFC 7515, section 4.1.11: a critical extension that is not supported makes the token invalid.
        InvalidToken::CriticalExtension => "token has an unsupported critical extension (crit)",
        InvalidToken::WrongSignature => "token signature does not match the daemon's key (--jwt-key)",
    }
}

/// The claims, if they are an object: the deserializer would take the elements of a list for them.
fn decode(claims: &[u8]) -> Option<Claims> {
    let is_object = claims.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(claims).ok()).flatten()
}

/// Whether an `aud`, a string or a list, names the audience.
fn names(aud: &Value, audience: &str) -> bool {
    match aud {
        Value::Array(several) => several.iter().any(|one| one == audience),
        one => one == audience,
    }
}

fn is_after_last_moment(seconds: f64) -> bool {
    seconds * 1000.0 > LAST_MOMENT_MS
}

/// A `NumericDate`: seconds since the epoch, with or without a fraction.
#[expect(clippy::cast_possible_truncation, reason = "bounded")]
fn time(seconds: f64) -> SystemWall {
    SystemWall::from_millis((seconds * 1000.0).floor().clamp(-LAST_MOMENT_MS, LAST_MOMENT_MS) as i64)
}
