//! Keys that verify users' tokens, as `--jwt-key` files hold them: a public key in PEM, a JSON Web Key Set, or a secret. The key decides
//! the algorithm, never the token. `pem` and `jwk` recognize the kinds of keys; nothing here reads a file.

use jsonwebtoken::{Algorithm, DecodingKey};
use sha2::{Digest, Sha256};

use super::signature::Verifier;
use super::{jwk, pem};

/// Shortest HS256 secret, in bytes: 128 bits.
const SECRET_MIN_BYTES: usize = 16;
/// Each is tried for a token that does not say which it is for, so this bounds the work of a request that is refused.
const KEYS_MAX: usize = 16;

/// A key that verifies tokens, and its one algorithm.
pub(crate) struct JwtKey {
    /// By what tokens name it; a key in PEM or a secret has none.
    kid: Option<Box<str>>,
    verifier: Verifier,
    /// Tells whether a reload brought another key.
    identity: [u8; 32],
}

/// The keys of one file.
#[derive(Debug)]
pub(crate) struct JwtKeyFile {
    keys: Vec<JwtKey>,
    /// How many keys of a set are for something else, or of an unsupported kind.
    ignored: usize,
}

/// The keys of all files.
#[derive(Debug, Default)]
pub(crate) struct JwtKeys(Vec<JwtKey>);

/// Why a file holds no valid key. No text quotes the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidJwtKey {
    /// A private key, which signs tokens; the daemon must not have it.
    #[error("it holds a private key: use the public key of the pair")]
    Private,
    /// PEM of something else, or of several keys.
    #[error("it is PEM, but not exactly one public key (-----BEGIN PUBLIC KEY-----)")]
    NotOnePublicKey,
    /// A public key in another form. Taken as a secret it would let everyone sign tokens who can read it.
    #[error("it is a public key, but neither in PEM format (-----BEGIN PUBLIC KEY-----) nor a JSON Web Key Set")]
    NotPem,
    /// Begins like a JSON Web Key (Set), and must not be taken for a secret.
    #[error("it is not a valid JSON Web Key Set")]
    NotKeySet,
    #[error("its public key is damaged or unsupported: use RSA, P-256 or Ed25519")]
    Unsupported,
    /// A set that has no key for the signatures of tokens.
    #[error("its JSON Web Key Set has no key for RS256, ES256, EdDSA or HS256")]
    NoKeyInSet,
    #[error("its RSA key has {bits} bits: use 2048 to 8192")]
    RsaSize { bits: usize },
    #[error("it is neither PEM nor a text secret")]
    NotText,
    /// A secret that can be guessed.
    #[error("its HS256 secret has {bytes} bytes: use 16 or more")]
    ShortSecret { bytes: usize },
    /// Two different keys: a token that names them would be accepted by either.
    #[error("one of its keys has the kid of another key")]
    SameKid,
    #[error("with it there are more than {KEYS_MAX} keys")]
    TooMany,
}

impl std::fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtKey")
            .field("algorithm", &self.verifier.algorithm())
            .finish_non_exhaustive()
    }
}

impl JwtKey {
    /// With the bytes of a secret or of a public key.
    pub(super) fn new(kid: Option<Box<str>>, algorithm: Algorithm, key: &[u8]) -> Result<Self, InvalidJwtKey> {
        pem::check_size(algorithm, key)?;
        if algorithm == Algorithm::HS256 && key.len() < SECRET_MIN_BYTES {
            return Err(InvalidJwtKey::ShortSecret { bytes: key.len() });
        }
        let verifier = Verifier::new(algorithm, key).ok_or(InvalidJwtKey::Unsupported)?;
        let identity = Sha256::new()
            .chain_update(format!("{algorithm:?} {kid:?}\n"))
            .chain_update(key)
            .finalize();
        Ok(Self {
            kid,
            verifier,
            identity: identity.into(),
        })
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub(super) const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// A digest of the key, its algorithm and its name.
    pub(super) const fn identity(&self) -> [u8; 32] {
        self.identity
    }
}

impl JwtKeyFile {
    /// The keys of a `--jwt-key` file.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, InvalidJwtKey> {
        let text = std::str::from_utf8(text).map_err(|_| InvalidJwtKey::NotText)?;
        // Some editors begin a file with a byte order mark, which is no part of what was typed.
        let text = text.trim_start_matches('\u{feff}');
        if text.contains('\0') {
            // PEM in UTF-16 would pass as a secret, which would be public.
            return Err(InvalidJwtKey::NotText);
        }
        if jwk::is_key_set(text) {
            let (keys, ignored) = jwk::keys(text)?;
            return Ok(Self { keys, ignored });
        }
        let key = if pem::is_pem(text) {
            let (algorithm, key) = pem::public_key(text)?;
            JwtKey::new(None, algorithm, bytes_of(&key)?)?
        } else {
            if pem::is_bare_public_key(text) {
                return Err(InvalidJwtKey::NotPem);
            }
            JwtKey::new(None, Algorithm::HS256, text.trim().as_bytes())?
        };
        Ok(Self {
            keys: vec![key],
            ignored: 0,
        })
    }

    /// Whether whoever reads the file can sign tokens.
    pub(crate) fn holds_secret(&self) -> bool {
        self.keys.iter().any(|key| key.verifier.algorithm() == Algorithm::HS256)
    }

    pub(crate) const fn ignored(&self) -> usize {
        self.ignored
    }
}

impl JwtKeys {
    /// Adds the keys of a file. A key that is there already is the same one.
    pub(crate) fn add(&mut self, file: JwtKeyFile) -> Result<(), InvalidJwtKey> {
        for key in file.keys {
            if self.0.iter().any(|other| other.identity == key.identity) {
                continue;
            }
            if key.kid.is_some() && self.0.iter().any(|other| other.kid == key.kid) {
                return Err(InvalidJwtKey::SameKid);
            }
            if self.0.len() == KEYS_MAX {
                return Err(InvalidJwtKey::TooMany);
            }
            self.0.push(key);
        }
        Ok(())
    }
}

impl IntoIterator for JwtKeys {
    type Item = JwtKey;
    type IntoIter = std::vec::IntoIter<JwtKey>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

fn bytes_of(key: &DecodingKey) -> Result<&[u8], InvalidJwtKey> {
    key.try_get_as_bytes().map_err(|_| InvalidJwtKey::Unsupported)
}
