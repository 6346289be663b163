//! Recognizes public keys before a library parses them. A public key that is taken for a secret lets everyone sign tokens, so
//! anything that looks like one and is not supported is rejected.

use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use jsonwebtoken::{Algorithm, DecodingKey};

use super::jwt_key::InvalidJwtKey;

const BEGIN: &str = "-----BEGIN ";

/// How a P-256 key begins in base64: 27 bytes, up to and including the tag of an uncompressed point (RFC 5480). The library
/// does not check the curve.
const P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";
/// How an Ed25519 key begins in base64: 12 bytes (RFC 8410).
const ED25519: &str = "MCowBQYDK2VwAyEA";
/// The algorithm of an RSA key in base64, after a length of two bytes (RFC 3279).
const RSA: &str = "ANBgkqhkiG9w0BAQEFAAOC";
/// How unsupported keys begin: other curves, Ed448, short RSA. They must not be taken for secrets either.
const OTHERS: [&str; 6] = [
    "MFYwEAYHKoZIzj0C",
    "MHYwEAYHKoZIzj0C",
    "MIGbMBAGByqGSM49",
    "MDkwEwYHKoZIzj0C",
    "MEMwBQYDK2Vx",
    "MIGfMA0GCSqGSIb3DQEB",
];

/// Whether the text is PEM, valid or not.
pub(super) fn is_pem(text: &str) -> bool {
    text.contains(BEGIN)
}

/// Whether the text is a public key in another form: base64 without the PEM lines, an SSH key.
pub(super) fn is_bare_public_key(text: &str) -> bool {
    let dense: String = text.split_whitespace().collect();
    let is_ssh = ["ssh-", "ecdsa-sha2-"].iter().any(|prefix| dense.starts_with(prefix));
    let is_base64 = dense.starts_with("MII") && dense.contains(RSA)
        || [P256, ED25519]
            .iter()
            .chain(&OTHERS)
            .any(|start| dense.starts_with(start));
    is_ssh || is_base64
}

/// The one public key in the text, and its algorithm.
pub(super) fn public_key(text: &str) -> Result<(Algorithm, DecodingKey), InvalidJwtKey> {
    let (_, block) = text.split_once(BEGIN).ok_or(InvalidJwtKey::NotOnePublicKey)?;
    let (label, body) = block.split_once("-----").ok_or(InvalidJwtKey::NotOnePublicKey)?;
    if text.contains("PRIVATE KEY-----") {
        return Err(InvalidJwtKey::Private);
    }
    if body.contains(BEGIN) {
        return Err(InvalidJwtKey::NotOnePublicKey);
    }
    let body: String = body.split_whitespace().collect();
    let pem = text.as_bytes();
    let read = match label {
        "PUBLIC KEY" if body.starts_with(P256) => (Algorithm::ES256, DecodingKey::from_ec_pem(pem)),
        "PUBLIC KEY" if body.starts_with(ED25519) => (Algorithm::EdDSA, DecodingKey::from_ed_pem(pem)),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => (Algorithm::RS256, DecodingKey::from_rsa_pem(pem)),
        _ => return Err(InvalidJwtKey::NotOnePublicKey),
    };
    let (algorithm, Ok(key)) = read else {
        return Err(InvalidJwtKey::Unsupported);
    };
    Ok((algorithm, key))
}

/// A key of the wrong size would be accepted at the start and then reject every token.
pub(super) fn check_size(algorithm: Algorithm, bytes: &[u8]) -> Result<(), InvalidJwtKey> {
    match algorithm {
        Algorithm::RS256 => {
            let components = DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
            let (modulus, _) = components(bytes).map_err(|_| InvalidJwtKey::Unsupported)?;
            let leading = modulus.iter().take_while(|byte| **byte == 0).count();
            let top = modulus.get(leading).map_or(0, |byte| byte.leading_zeros() as usize);
            let bits = (modulus.len() - leading) * 8 - top;
            match bits {
                2048..=8192 => Ok(()),
                _ => Err(InvalidJwtKey::RsaSize { bits }),
            }
        }
        Algorithm::ES256 if bytes.len() == 65 => Ok(()),
        Algorithm::EdDSA if bytes.len() == 32 => Ok(()),
        Algorithm::HS256 => Ok(()),
        _ => Err(InvalidJwtKey::Unsupported),
    }
}
