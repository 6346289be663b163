//! Users' tokens (JWT): by which of the keys they are signed, and what the claims mean. The time is an argument. `jwt_key` reads
//! the keys, `signature` verifies.

use std::collections::BTreeSet;

use jsonwebtoken::decode_header;
use presence::{SystemWall, UserId};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::jwt_key::{JwtKey, JwtKeys};
use super::signature::SignedParts;
use super::{AuthError, CLOCK_TOLERANCE, forbidden};
use crate::revocation::Revocation;

/// Longest token, in bytes: a longer one is rejected before anything is decoded. Tokens of directory services with hundreds
/// of groups have about 8 KiB.
const TOKEN_MAX_BYTES: usize = 16 * 1024;
/// The last time that can be formatted, 9999-12-30T22:00Z. A later claim is a mistake, mostly of milliseconds for seconds, and
/// a token that is valid for 50,000 years is none that an issuer wants.
const LAST_MOMENT_MS: f64 = 253_402_207_200_000.0;
/// Why a token is signed with none of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InvalidToken {
    /// It does not consist of three parts in base64url, or the header is none.
    Malformed,
    /// Its `kid` is that of none of the keys, all of which have one.
    UnknownKey,
    /// Its header names another algorithm than that of each key that its `kid` allows.
    OtherAlgorithm,
    /// Its header has `crit`: no extension is supported.
    CriticalExtension,
    WrongSignature,
}

pub(super) struct Tokens {
    keys: Vec<TrustedKey>,
    issuer: Option<String>,
    audience: Option<String>,
}

/// A key with its mark, for the connections that its tokens authenticated.
struct TrustedKey {
    key: JwtKey,
    revocation: Revocation,
}

/// The claims of a valid token.
pub(super) struct Claimed {
    pub(super) user: UserId,
    pub(super) expires: SystemWall,
    /// By `iat`; none if it is missing, or no number.
    pub(super) issued: Option<SystemWall>,
    pub(super) revocation: Revocation,
}

/// `iss` and `aud` may have any type where they are not required, and so may `iat`.
#[derive(Deserialize)]
struct Claims<'a> {
    sub: String,
    exp: f64,
    #[serde(default, deserialize_with = "not_null")]
    nbf: Option<f64>,
    #[serde(borrow, default)]
    iat: Option<&'a RawValue>,
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
    pub(super) fn new(keys: JwtKeys, issuer: Option<String>, audience: Option<String>) -> Self {
        let trusted = |key| TrustedKey {
            key,
            revocation: Revocation::default(),
        };
        Self {
            keys: keys.into_iter().map(trusted).collect(),
            issuer,
            audience,
        }
    }

    /// Whether these are the same keys.
    pub(super) fn has_keys_of(&self, other: &Self) -> bool {
        self.identities() == other.identities()
    }

    fn identities(&self) -> BTreeSet<[u8; 32]> {
        self.keys.iter().map(|trusted| trusted.key.identity()).collect()
    }

    /// A digest of all that decides whether a token is accepted. Never told as it is: a key may be a secret.
    pub(super) fn acceptance(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for key in self.identities() {
            digest.update(key);
        }
        digest.update(format!("{:?} {:?}", self.issuer, self.audience));
        digest.finalize().into()
    }

    /// Takes the place of `before`: keys that stay keep their marks. The others are revoked, and all if another issuer or audience is
    /// required.
    pub(super) fn succeed(&mut self, before: &Self) {
        let is_same = self.issuer == before.issuer && self.audience == before.audience;
        for removed in &before.keys {
            let mut keys = self.keys.iter_mut();
            match keys.find(|kept| is_same && kept.key.identity() == removed.key.identity()) {
                Some(kept) => kept.revocation = removed.revocation.clone(),
                None => removed.revocation.revoke(),
            }
        }
    }

    /// The key that signed these, if one did.
    fn signer(&self, token: &[u8], parts: &SignedParts<'_>) -> Result<&TrustedKey, InvalidToken> {
        let knows = |trusted: &&TrustedKey| trusted.key.verifier().knows(parts);
        let has_signed = |trusted: &&TrustedKey| trusted.key.verifier().has_signed(parts);
        if let Some(signer) = self.keys.iter().filter(knows).find(has_signed) {
            return Ok(signer);
        }
        let header = decode_header(token).map_err(|_| InvalidToken::Malformed)?;
        let is_named = |trusted: &&TrustedKey| trusted.key.kid() == header.kid.as_deref();
        let is_known_name = header.kid.is_some() && self.keys.iter().any(|trusted| is_named(&trusted));
        // A name that no key has is a hint for others: keys in PEM and secrets have none.
        let may_have_signed = |trusted: &&TrustedKey| match (&header.kid, is_known_name) {
            (None, _) => true,
            (Some(_), true) => is_named(trusted),
            (Some(_), false) => trusted.key.kid().is_none(),
        };
        let named: Vec<&TrustedKey> = self.keys.iter().filter(may_have_signed).collect();
        if named.is_empty() {
            return Err(InvalidToken::UnknownKey);
        }
        let is_of_algorithm = |trusted: &&&TrustedKey| trusted.key.verifier().algorithm() == header.alg;
        if !named.iter().any(|trusted| is_of_algorithm(&trusted)) {
            return Err(InvalidToken::OtherAlgorithm);
        }
        if header.crit.is_some() {
            return Err(InvalidToken::CriticalExtension);
        }
        let mut candidates = named
            .into_iter()
            .filter(|trusted| is_of_algorithm(&trusted) && !knows(trusted));
        let signer = candidates.find(has_signed).ok_or(InvalidToken::WrongSignature)?;
        signer.key.verifier().remember(parts);
        Ok(signer)
    }

    /// The decoded claims of a token, and the key that signed it. They are not looked at before that.
    fn signed_claims(&self, token: &[u8]) -> Result<(Vec<u8>, &TrustedKey), InvalidToken> {
        let parts = SignedParts::of(token).ok_or(InvalidToken::Malformed)?;
        let signer = self.signer(token, &parts)?;
        let claims = parts.claims().ok_or(InvalidToken::Malformed)?;
        Ok((claims, signer))
    }

    /// The claims of a token, if its signature is valid and it is valid now.
    pub(super) fn verify(&self, token: &[u8], now: SystemWall) -> Result<Claimed, AuthError> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(forbidden("token too long"));
        }
        let (claims, signer) = self.signed_claims(token).map_err(|fault| forbidden(reason(fault)))?;
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
        if claims.nbf.is_some_and(|nbf| time(nbf) > now.after(CLOCK_TOLERANCE)) {
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
            issued: claims.iat.and_then(|iat| iat.get().parse().ok()).map(time),
            revocation: signer.revocation.clone(),
        })
    }
}

fn reason(fault: InvalidToken) -> &'static str {
    match fault {
        InvalidToken::Malformed => "token is not a JWT signed with HS256, RS256, ES256 or EdDSA",
        InvalidToken::UnknownKey => "token kid names none of the daemon's keys (--jwt-key)",
        InvalidToken::OtherAlgorithm => "token alg does not fit the daemon's key (--jwt-key)",
        // RFC 7515, section 4.1.11: a critical extension that is not supported makes the token invalid.
        InvalidToken::CriticalExtension => "token has an unsupported critical extension (crit)",
        InvalidToken::WrongSignature => "token signature does not match the daemon's key (--jwt-key)",
    }
}

/// The claims, if they are an object: the deserializer would take the elements of a list for them.
fn decode(claims: &[u8]) -> Option<Claims<'_>> {
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
