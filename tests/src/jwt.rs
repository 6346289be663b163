//! Users' tokens (JWT), valid and invalid ones.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::clock::wall_now;

/// Claims of a token of `user` that expires in so many seconds; negative: it has expired.
pub fn claims(user: &str, seconds: i64) -> Value {
    json!({"sub": user, "exp": wall_now().as_millis() / 1000 + seconds})
}

/// The same of a token that was issued so many seconds ago; negative: in the future.
pub fn issued(user: &str, seconds_ago: i64) -> Value {
    let mut claims = claims(user, 3_600);
    claims["iat"] = json!(wall_now().as_millis() / 1000 - seconds_ago);
    claims
}

/// Signs with HS256.
pub fn hs256(secret: &str, claims: &Value) -> String {
    signed(
        &Header::new(Algorithm::HS256),
        claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
}

/// Signs with the algorithm of the header.
pub fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    // Somebody else in this process may have been first; either is the same provider.
    jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default().ok();
    encode(header, claims, key).unwrap()
}

/// A token with `"alg":"none"`.
pub fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| base64_url(value.to_string().as_bytes());
    format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(claims))
}

/// Base64url without padding (RFC 4648, section 5).
pub fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * index)) as usize & 63]));
        }
    }
    text
}
