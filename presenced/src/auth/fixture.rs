//! An `Auth` for tests of all modules, and tokens for it.

use std::net::SocketAddr;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::{Auth, AuthOptions, JwtKeyFile, JwtKeys, TrustedProxies};

pub(crate) const JWT_SECRET: &str = "a secret for tests alone";

/// One internal secret, [`JWT_SECRET`], loopback trusted by default, no allowed origin, bound to `127.0.0.1:7420`.
pub(crate) fn options(secret: &str) -> AuthOptions {
    AuthOptions {
        secrets: vec![secret.into()],
        jwt: keys(JWT_SECRET.as_bytes()),
        jwt_issuer: None,
        jwt_audience: None,
        trusted_proxies: TrustedProxies::Loopback,
        allowed_origins: Vec::new(),
        listen: SocketAddr::from(([127, 0, 0, 1], 7420)),
        scheme: "http",
        demo: None,
    }
}

/// The keys of one file.
pub(crate) fn keys(text: &[u8]) -> JwtKeys {
    let mut keys = JwtKeys::default();
    keys.add(JwtKeyFile::parse(text).unwrap()).unwrap();
    keys
}

impl Auth {
    /// One internal secret, one named proxy, one allowed origin; tokens as [`token`] signs them.
    pub(crate) fn for_tests(secret: &str, proxy: &str, origin: &str) -> Self {
        Self::new(AuthOptions {
            trusted_proxies: TrustedProxies::Named(vec![proxy.parse().unwrap()]),
            allowed_origins: vec![origin.parse().unwrap()],
            ..options(secret)
        })
    }
}

/// A token that does not expire during any test.
pub(crate) fn token(user: &str) -> String {
    let key = EncodingKey::from_secret(JWT_SECRET.as_bytes());
    sign(Algorithm::HS256, &key, &json!({"sub": user, "exp": 32_503_680_000_i64}))
}

pub(crate) fn sign(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
}
