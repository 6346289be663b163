//! Tokens for the demonstration page: for any user, by the key that the daemon made itself. Only a page of the daemon's own
//! address gets them, asked directly. Whether there is a demonstration is a setting; what tokens mean is decided in `jwt`.

use std::time::Duration;

use aws_lc_rs::hmac;
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use presence::{SystemWall, UserId};
use serde_json::json;

use super::{Auth, AuthError, forbidden, proxies};

/// A page asks for a new one at each connection, and a connection ends with its token: after this the page shows that it
/// reconnects without anybody noticing.
const TOKEN_VALID: Duration = Duration::from_secs(300);
const HEADER: &[u8] = br#"{"alg":"HS256","typ":"JWT"}"#;

/// A key that signs tokens.
pub(crate) struct DemoKey(hmac::Key);

impl DemoKey {
    /// The key in a `jwt-key` file, which the caller has found to be one that the daemon made.
    pub(crate) fn new(text: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, text.trim_ascii()))
    }

    fn token(&self, user: &UserId, now: SystemWall) -> String {
        let expires = now.after(TOKEN_VALID).as_millis() / 1000;
        // With milliseconds: a page that reconnects after a revocation gets one that was issued since.
        let issued = now.as_millis() as f64 / 1000.0;
        let claims = json!({ "sub": user.as_str(), "iat": issued, "exp": expires }).to_string();
        let message = format!("{}.{}", encode(HEADER), encode(claims.as_bytes()));
        let signature = hmac::sign(&self.0, message.as_bytes());
        format!("{message}.{}", encode(signature.as_ref()))
    }
}

fn encode(part: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

impl Auth {
    /// Whether there is a demonstration. A reload does not change it.
    pub(crate) fn has_demo(&self) -> bool {
        self.checks().demo.is_some()
    }

    /// Checks that the demonstration page asks: of this server's own address, and without a proxy in between.
    pub(crate) fn check_demo_page(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        if proxies::passed_a_proxy(headers) {
            return Err(forbidden("the demonstration can't be used through a proxy"));
        }
        self.checks().pages.check_own_page(headers)
    }

    /// A token of this user, for the demonstration page; none if there is no demonstration.
    pub(crate) fn demo_token(&self, user: &UserId, now: SystemWall) -> Option<String> {
        let checks = self.checks();
        checks.demo.as_ref().map(|key| key.token(user, now))
    }
}
