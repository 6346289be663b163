//! Users' tokens. The key decides the algorithm, never the token; the time comes in as an argument. What a key file holds
//! is told apart in `pem`.

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use presence::{UserId, Wall};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{AuthError, forbidden, pem};

/// Most bytes of a token: a longer one is refused before anything is decoded. Those of directories with hundreds of groups
/// have about 8 KiB.
const TOKEN_MAX_BYTES: usize = 16 * 1024;
/// How far ahead `nbf` may lie: an issuer whose clock is a little ahead signs tokens that are not valid yet when they
/// arrive. `exp` has no such slack, because a connection ends when its token does.
const NOT_BEFORE_SLACK_MS: f64 = 5_000.0;
/// The last moment that can be written, 9999-12-30T22:00Z: a later `exp` is taken as this.
const LAST_MOMENT_MS: f64 = 253_402_207_200_000.0;
/// Fewest bytes of an HS256 secret: 128 bits.
const SECRET_MIN_BYTES: usize = 16;

/// What verifies tokens, and the one algorithm it does that with.
pub(crate) struct JwtKey {
    algorithm: Algorithm,
    key: DecodingKey,
}

/// Why a file is no key for tokens. Texts quote nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidJwtKey {
    /// A private key, which signs: whoever verifies must not have it.
    #[error("it holds a private key; the daemon verifies tokens with the public one")]
    Private,
    /// PEM, but of something else.
    #[error("it is PEM, but not one public key (-----BEGIN PUBLIC KEY-----)")]
    NotOnePublicKey,
    /// A public key without its PEM lines. As a secret it would let everybody sign who can read it.
    #[error("it is a public key, but not as PEM (-----BEGIN PUBLIC KEY-----)")]
    NotPem,
    /// A public key of a kind or on a curve that is not understood, or a damaged one.
    #[error("its public key is none of RSA, P-256 and Ed25519, or it is damaged")]
    Unsupported,
    /// An RSA key that no library verifies with.
    #[error("its RSA key has {bits} bits; wanted are 2048 to 8192")]
    RsaSize {
        /// How many it has.
        bits: usize,
    },
    /// Neither PEM nor text.
    #[error("it is neither PEM nor a secret in text")]
    NotText,
    /// A secret that can be guessed.
    #[error("its HS256 secret has {bytes} bytes; wanted are 16 or more")]
    ShortSecret {
        /// How many it has.
        bytes: usize,
    },
}

impl std::fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl JwtKey {
    /// The key of a `--jwt-key` file: a public key in PEM, else an HS256 secret.
    pub(crate) fn from_file_text(text: &[u8]) -> Result<Self, InvalidJwtKey> {
        let text = std::str::from_utf8(text).map_err(|_| InvalidJwtKey::NotText)?;
        if text.contains('\0') {
            // PEM in UTF-16 would pass as a secret, one that everybody knows.
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
        Ok(Self { algorithm, key })
    }
}

/// Verifies tokens.
pub(super) struct Tokens {
    key: DecodingKey,
    validation: Validation,
    issuer: Option<String>,
    audience: Option<String>,
}

/// What a good token says.
pub(super) struct Claimed {
    pub(super) user: UserId,
    pub(super) expires: Wall,
}

/// `iss` and `aud` may be anything where nobody asks for them.
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    #[serde(default, deserialize_with = "given")]
    nbf: Option<f64>,
    #[serde(default)]
    iss: Value,
    #[serde(default)]
    aud: Value,
}

/// A claim that may be missing, but not `null`.
fn given<'de, D: Deserializer<'de>>(claim: D) -> Result<Option<f64>, D::Error> {
    f64::deserialize(claim).map(Some)
}

impl Tokens {
    pub(super) fn new(key: JwtKey, issuer: Option<String>, audience: Option<String>) -> Self {
        // Fails if it is installed already, by another instance.
        let _ = DEFAULT_PROVIDER.install_default();
        let mut validation = Validation::new(key.algorithm);
        // All of this is checked below: the library reads the clock by itself, and skips what a token leaves out.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            key: key.key,
            validation,
            issuer,
            audience,
        }
    }

    /// What a token says, if its signature is good and it is valid now.
    pub(super) fn verify(&self, token: &[u8], now: Wall) -> Result<Claimed, AuthError> {
        if token.len() > TOKEN_MAX_BYTES {
            return Err(forbidden("the token is too long"));
        }
        let verified = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation);
        let verified = verified.map_err(|_| forbidden("the token is not valid"))?;
        if verified.header.crit.is_some() {
            // RFC 7515, section 4.1.11: whoever does not understand an extension that is critical must refuse.
            return Err(forbidden("the token has a critical extension"));
        }
        let claims = verified.claims;
        let user = UserId::new(&claims.sub).map_err(|_| forbidden("the token's sub is no user id"))?;
        let expires = moment(claims.exp);
        if now >= expires {
            return Err(forbidden("the token has expired"));
        }
        if claims
            .nbf
            .is_some_and(|nbf| moment(nbf - NOT_BEFORE_SLACK_MS / 1000.0) > now)
        {
            return Err(forbidden("the token is not valid yet"));
        }
        if self.issuer.as_ref().is_some_and(|issuer| claims.iss != **issuer) {
            return Err(forbidden("the token is of another issuer"));
        }
        if self
            .audience
            .as_ref()
            .is_some_and(|audience| !names(&claims.aud, audience))
        {
            return Err(forbidden("the token is for another audience"));
        }
        Ok(Claimed { user, expires })
    }
}

/// Whether an `aud`, one text or a list, names the audience.
fn names(aud: &Value, audience: &str) -> bool {
    match aud {
        Value::Array(several) => several.iter().any(|one| one == audience),
        one => one == audience,
    }
}

/// A `NumericDate`: seconds since the epoch, with or without a fraction.
#[expect(clippy::cast_possible_truncation, reason = "bounded")]
fn moment(seconds: f64) -> Wall {
    Wall::from_millis((seconds * 1000.0).floor().clamp(-LAST_MOMENT_MS, LAST_MOMENT_MS) as i64)
}
