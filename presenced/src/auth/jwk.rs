//! JSON Web Keys and sets of them (RFC 7517, RFC 7518, RFC 8037). Keys of a set that are for something else than signatures of tokens, or of
//! a kind that is not supported, are left out, as RFC 7517, section 5, asks for; what is damaged or private is an error.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

use super::jwt_key::{InvalidJwtKey, JwtKey};

/// Members that only private keys have (RFC 7518, section 6.3.2; `d` of all kinds).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];
/// The bytes of a coordinate of P-256, and of an Ed25519 key.
const COORDINATE_BYTES: usize = 32;
/// An uncompressed point (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;
const DER_INTEGER: u8 = 0x02;
const DER_SEQUENCE: u8 = 0x30;

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<Box<str>>,
    crv: Option<String>,
    /// RSA: the modulus.
    n: Option<String>,
    /// RSA: the exponent.
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// `oct`: the secret.
    k: Option<String>,
}

/// Whether the text is a JSON Web Key or a set of them, valid or not. A secret that is a JSON object of something else is a secret.
pub(super) fn is_key_set(text: &str) -> bool {
    let dense: String = text.split_whitespace().collect();
    dense.starts_with('{') && (dense.contains("\"kty\"") || dense.contains("\"keys\""))
}

/// The keys, and how many there are besides.
pub(super) fn keys(text: &str) -> Result<(Vec<JwtKey>, usize), InvalidJwtKey> {
    let document: Value = serde_json::from_str(text).map_err(|_| InvalidJwtKey::NotKeySet)?;
    let listed = match document.get("keys") {
        Some(Value::Array(keys)) => keys.clone(),
        Some(_) => return Err(InvalidJwtKey::NotKeySet),
        None => vec![document],
    };
    let mut keys = Vec::new();
    let mut ignored = 0;
    for one in listed {
        if PRIVATE.iter().any(|member| one.get(member).is_some()) {
            return Err(InvalidJwtKey::Private);
        }
        let jwk = Jwk::deserialize(one).map_err(|_| InvalidJwtKey::NotKeySet)?;
        match jwk.algorithm() {
            None => ignored += 1,
            Some(algorithm) => {
                let bytes = jwk.bytes(algorithm).ok_or(InvalidJwtKey::Unsupported)?;
                keys.push(JwtKey::new(jwk.kid, algorithm, &bytes)?);
            }
        }
    }
    match keys.is_empty() {
        true => Err(InvalidJwtKey::NoKeyInSet),
        false => Ok((keys, ignored)),
    }
}

impl Jwk {
    /// The algorithm of the key, if it is one of ours and verifies signatures.
    fn algorithm(&self) -> Option<Algorithm> {
        let is_for_signatures = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        let operations = self.key_ops.as_ref();
        let verifies = operations.is_none_or(|list| list.iter().any(|operation| operation == "verify"));
        let (algorithm, names): (_, &[&str]) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => (Algorithm::RS256, &["RS256"]),
            ("EC", Some("P-256")) => (Algorithm::ES256, &["ES256"]),
            // RFC 9864 names the curve.
            ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, &["EdDSA", "Ed25519"]),
            ("oct", _) => (Algorithm::HS256, &["HS256"]),
            _ => return None,
        };
        let is_ours = self.alg.as_deref().is_none_or(|alg| names.contains(&alg));
        (is_for_signatures && verifies && is_ours).then_some(algorithm)
    }

    /// The key as `signature` takes it; none if a member is missing or malformed.
    fn bytes(&self, algorithm: Algorithm) -> Option<Vec<u8>> {
        match algorithm {
            Algorithm::RS256 => Some(rsa_public_key(&decode(&self.n)?, &decode(&self.e)?)),
            Algorithm::ES256 => Some([&[UNCOMPRESSED][..], &coordinate(&self.x)?, &coordinate(&self.y)?].concat()),
            Algorithm::EdDSA => coordinate(&self.x),
            _ => decode(&self.k),
        }
    }
}

fn coordinate(member: &Option<String>) -> Option<Vec<u8>> {
    decode(member).filter(|bytes| bytes.len() == COORDINATE_BYTES)
}

fn decode(member: &Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(member.as_ref()?).ok()
}

/// An `RSAPublicKey` in DER (RFC 8017, appendix A.1.1).
fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    der(DER_SEQUENCE, &[der_integer(modulus), der_integer(exponent)].concat())
}

/// A number that is not negative: its first bit is no sign.
fn der_integer(number: &[u8]) -> Vec<u8> {
    let leading = number.iter().take_while(|byte| **byte == 0).count();
    let significant = &number[leading..];
    let sign: &[u8] = match significant.first() {
        Some(top) if *top < 0x80 => &[],
        _ => &[0],
    };
    der(DER_INTEGER, &[sign, significant].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut encoded = vec![tag];
    match significant {
        [] => encoded.push(0),
        [short] if *short < 0x80 => encoded.push(*short),
        long => {
            // A length has eight bytes at most.
            encoded.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            encoded.extend_from_slice(long);
        }
    }
    encoded.extend_from_slice(content);
    encoded
}
