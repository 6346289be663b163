//! Who is calling. First version; see the branch of the full one.
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use presence::wire::code::Code;
use presence::{UserId, Wall};
use subtle::ConstantTimeEq;

#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) internal: bool,
    pub(crate) user: Option<UserId>,
    pub(crate) expires: Option<Wall>,
}
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("no credential")]
    Unauthenticated,
    #[error("{detail}")]
    Forbidden { detail: String },
    #[error("{detail}")]
    InvalidHeader { detail: String },
    #[error("x-user-id is no user id")]
    InvalidUserId,
    #[error("not a host of this daemon")]
    Misdirected,
}
impl AuthError {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden { .. } => Code::Forbidden,
            Self::InvalidHeader { .. } => Code::InvalidHeader,
            Self::InvalidUserId => Code::InvalidUserId,
            Self::Misdirected => Code::MisdirectedRequest,
        }
    }
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin(String);
impl FromStr for Origin {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        if s.contains("://") {
            Ok(Self(s.to_ascii_lowercase()))
        } else {
            Err(())
        }
    }
}
pub(crate) struct JwtKey(Vec<u8>);
impl JwtKey {
    pub(crate) fn from_file_text(b: &[u8]) -> Result<Self, AuthError> {
        Ok(Self(b.trim_ascii().to_vec()))
    }
}
pub(crate) struct AuthOptions {
    pub(crate) secrets: Vec<Vec<u8>>,
    pub(crate) jwt: JwtKey,
    pub(crate) jwt_issuer: Option<String>,
    pub(crate) jwt_audience: Option<String>,
    pub(crate) trusted_proxies: Vec<ipnet::IpNet>,
    pub(crate) trusted_by_default: bool,
    pub(crate) allowed_origins: Vec<Origin>,
    pub(crate) listen: SocketAddr,
}
pub(crate) struct Auth(AuthOptions);
#[derive(serde::Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
}
impl Auth {
    pub(crate) fn new(o: AuthOptions) -> Self {
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        Self(o)
    }
    pub(crate) fn authenticate(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        bearer: Option<&str>,
        now: Wall,
    ) -> Result<Identity, AuthError> {
        let no = |detail: &str| AuthError::Forbidden { detail: detail.into() };
        let mut internal = false;
        if let Some(s) = headers.get("x-secret-token") {
            if !self.0.secrets.iter().any(|one| one.ct_eq(s.as_bytes()).into()) {
                return Err(no("wrong secret"));
            }
            internal = true;
        }
        let mut id = Identity {
            internal,
            user: None,
            expires: None,
        };
        let auth = headers
            .get("authorization")
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.strip_prefix("Bearer "));
        if let Some(token) = auth.or(bearer) {
            let mut v = Validation::new(Algorithm::HS256);
            v.validate_exp = false;
            v.required_spec_claims.clear();
            let c = jsonwebtoken::decode::<Claims>(token, &DecodingKey::from_secret(&self.0.jwt.0), &v)
                .map_err(|_| no("bad token"))?;
            let exp = Wall::from_millis((c.claims.exp * 1000.0) as i64);
            if exp <= now {
                return Err(no("expired"));
            }
            id.user = Some(UserId::new(&c.claims.sub).map_err(|_| no("bad sub"))?);
            id.expires = Some(exp);
        }
        if let Some(u) = headers.get("x-user-id") {
            let text = std::str::from_utf8(u.as_bytes()).map_err(|_| AuthError::InvalidUserId)?;
            let user = UserId::new(text).map_err(|_| AuthError::InvalidUserId)?;
            if !internal && !self.is_trusted_proxy(peer) {
                return Err(no("not trusted"));
            }
            if id.user.as_ref().is_some_and(|t| *t != user) {
                return Err(no("differ"));
            }
            id.user = Some(user);
        }
        if !internal && id.user.is_none() {
            return Err(AuthError::Unauthenticated);
        }
        Ok(id)
    }
    pub(crate) fn client_address(&self, peer: IpAddr, _h: &HeaderMap) -> IpAddr {
        peer
    }
    pub(crate) fn is_trusted_proxy(&self, a: IpAddr) -> bool {
        self.0.trusted_proxies.iter().any(|n| n.contains(&a.to_canonical()))
    }
    pub(crate) fn check_host(&self, _h: &HeaderMap) -> Result<(), AuthError> {
        Ok(())
    }
    pub(crate) fn check_origin(&self, _h: &HeaderMap) -> Result<Option<Origin>, AuthError> {
        Ok(None)
    }
}
