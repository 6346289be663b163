//! Authentication: internal secrets, users' tokens, bare user ids from trusted proxies, allowed origins and host names.
//! Everything is decided from the peer's address, the headers and a time that is an argument. Nothing here reads a file,
//! counts failures (`server::admission` does) or authorizes calls (`api::caller` does).

mod allowed_origins;
#[cfg(test)]
pub(crate) mod fixture;
mod jwt;
mod origin;
mod pem;
mod proxies;
mod secrets;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use ipnet::IpNet;
use parking_lot::RwLock;
use presence::wire::error_code::Code;
use presence::{InvalidUserId, UserId, Wall};

use self::allowed_origins::Pages;
use self::jwt::{Claimed, Tokens};
use self::proxies::Proxies;
use self::secrets::Secrets;
use crate::revocation::Revocation;

pub(crate) use self::jwt::JwtKey;
pub(crate) use self::origin::Origin;

/// The header of the internal secret.
const SECRET_HEADER: &str = "x-secret-token";
/// The header of a bare user id, in raw UTF-8.
const USER_HEADER: &str = "x-user-id";

/// The operator's settings. Without `Debug`, because they hold secrets.
pub(crate) struct AuthOptions {
    /// The internal secret; two during a rotation. An empty one is never valid.
    pub(crate) secrets: Vec<Vec<u8>>,
    pub(crate) jwt: JwtKey,
    /// The `iss` that every token must have, if set.
    pub(crate) jwt_issuer: Option<String>,
    /// The `aud` that every token must name, if set.
    pub(crate) jwt_audience: Option<String>,
    /// Peers whose bare `x-user-id` is trusted.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The operator named no proxy: loopback is trusted, unless a header shows that a proxy is in between.
    pub(crate) trusted_by_default: bool,
    /// Origins of pages that may call, besides those of the bound address.
    pub(crate) allowed_origins: Vec<Origin>,
    pub(crate) listen: SocketAddr,
}

/// An authenticated caller: internal, a user, or internal on behalf of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallerIdentity {
    /// The caller has the internal secret.
    pub(crate) internal: bool,
    /// The user it is, or on whose behalf it calls.
    pub(crate) user: Option<UserId>,
    /// When its token expires, if it has one.
    pub(crate) expires: Option<Wall>,
    /// The mark of the credential that it has; none for a bare user id.
    pub(crate) revocation: Option<Revocation>,
}

/// Why a request is not authenticated. No text quotes a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("missing credential: send x-secret-token or a bearer token")]
    Unauthenticated,
    /// A credential is invalid, or an origin is not allowed.
    #[error("{detail}")]
    Forbidden { detail: &'static str },
    /// A header that may be given once is repeated.
    #[error("{detail}")]
    InvalidHeader { detail: &'static str },
    /// A caller that may name a user sent an invalid id.
    #[error("x-user-id: {detail}")]
    InvalidUserId { detail: UserHeaderFault },
    /// `Host` is not a name of this server.
    #[error("unknown host: the Host header must name this server's address or an allowed origin")]
    Misdirected,
}

/// Why an `x-user-id` is not a valid user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UserHeaderFault {
    #[error("not UTF-8")]
    NotUtf8,
    #[error("{0}")]
    Invalid(InvalidUserId),
}

impl AuthError {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden { .. } => Code::Forbidden,
            Self::InvalidHeader { .. } => Code::InvalidHeader,
            Self::InvalidUserId { .. } => Code::InvalidUserId,
            Self::Misdirected => Code::MisdirectedRequest,
        }
    }
}

/// Finds the principal of a request from its credentials.
pub(crate) struct Auth {
    /// Replaced as a whole, so that no request sees a half of a reload.
    current: RwLock<Arc<Checks>>,
}

/// Everything that a request is checked against.
struct Checks {
    secrets: Secrets,
    tokens: Tokens,
    proxies: Proxies,
    pages: Pages,
}

/// A header that may be given once.
enum Given<'a> {
    Absent,
    Once(&'a HeaderValue),
    Repeated,
}

impl Given<'_> {
    fn of<'a>(headers: &'a HeaderMap, name: &str) -> Given<'a> {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Given::Absent,
            (Some(value), None) => Given::Once(value),
            (Some(_), Some(_)) => Given::Repeated,
        }
    }
}

impl Auth {
    pub(crate) fn new(options: AuthOptions) -> Self {
        Self {
            current: RwLock::new(Arc::new(Checks::new(options))),
        }
    }

    /// From now on these options hold. What a removed secret or key authenticated is marked as revoked.
    pub(crate) fn replace(&self, options: AuthOptions) {
        let mut next = Checks::new(options);
        let mut current = self.current.write();
        next.secrets.succeed(&current.secrets);
        next.tokens.succeed(&current.tokens);
        *current = Arc::new(next);
    }

    fn checks(&self) -> Arc<Checks> {
        Arc::clone(&self.current.read())
    }

    /// Authenticates a caller. An invalid credential is an error whatever else is sent, so secret and token are both checked
    /// before anything else.
    pub(crate) fn authenticate(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        bearer_subprotocol: Option<&str>,
        now: Wall,
    ) -> Result<CallerIdentity, AuthError> {
        let checks = self.checks();
        let secret = Given::of(headers, SECRET_HEADER);
        let internal = match &secret {
            Given::Once(value) => match checks.secrets.find(value.as_bytes()) {
                Some(revocation) => Some(revocation),
                None => return Err(forbidden("invalid x-secret-token")),
            },
            Given::Absent | Given::Repeated => None,
        };
        let authorization = match Given::of(headers, header::AUTHORIZATION.as_str()) {
            // A browser adds the credential of the page, which a page can't prevent; it is for the page's own server.
            Given::Once(value) if bearer_subprotocol.is_some() && is_for_others(value) => Given::Absent,
            given => given,
        };
        let claimed = match (&authorization, bearer_subprotocol) {
            (Given::Once(value), None) => Some(checks.tokens.verify(bearer_token(value)?, now)?),
            (Given::Absent, Some(token)) => Some(checks.tokens.verify(token.as_bytes(), now)?),
            _ => None,
        };
        let named = match (secret, authorization, Given::of(headers, USER_HEADER)) {
            (Given::Repeated, ..) => return Err(repeated("duplicate header: x-secret-token")),
            (_, Given::Repeated, _) => return Err(repeated("duplicate header: authorization")),
            (_, Given::Once(_), _) if bearer_subprotocol.is_some() => {
                return Err(repeated("duplicate token: in authorization and as a subprotocol"));
            }
            (_, _, Given::Repeated) => return Err(repeated("duplicate header: x-user-id")),
            (_, _, Given::Once(value)) => Some(value),
            (_, _, Given::Absent) => None,
        };
        match (claimed, named) {
            (Some(claimed), named) => agreed(internal.is_some(), claimed, named),
            (None, Some(named)) => {
                if internal.is_none() {
                    checks.proxies.check_user_header(peer, headers)?;
                }
                Ok(CallerIdentity {
                    internal: internal.is_some(),
                    user: Some(user_of(named)?),
                    expires: None,
                    revocation: internal.cloned(),
                })
            }
            (None, None) if internal.is_some() => Ok(CallerIdentity {
                internal: true,
                user: None,
                expires: None,
                revocation: internal.cloned(),
            }),
            (None, None) => Err(AuthError::Unauthenticated),
        }
    }

    /// The client's address: the peer's or, if that is a trusted proxy, the rightmost untrusted one of `X-Forwarded-For`.
    pub(crate) fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.checks().proxies.client_address(peer, headers)
    }

    pub(crate) fn is_trusted_proxy(&self, addr: IpAddr) -> bool {
        self.checks().proxies.trust(addr)
    }

    /// On a loopback listener, rejects requests whose `Host` is not a name of this server (DNS rebinding).
    pub(crate) fn check_host(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        self.checks().pages.check_host(headers)
    }

    /// The origin of the calling page, if a page calls and its origin is allowed.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<Option<Origin>, AuthError> {
        self.checks().pages.check_origin(headers)
    }
}

impl Checks {
    fn new(options: AuthOptions) -> Self {
        Self {
            secrets: Secrets::new(&options.secrets),
            tokens: Tokens::new(options.jwt, options.jwt_issuer, options.jwt_audience),
            proxies: Proxies::new(&options.trusted_proxies, options.trusted_by_default),
            pages: Pages::new(options.allowed_origins, options.listen),
        }
    }
}

fn forbidden(detail: &'static str) -> AuthError {
    AuthError::Forbidden { detail }
}

fn repeated(detail: &'static str) -> AuthError {
    AuthError::InvalidHeader { detail }
}

/// The identity of a token, whose user must be the one in `x-user-id`, if there is one.
fn agreed(internal: bool, claimed: Claimed, named: Option<&HeaderValue>) -> Result<CallerIdentity, AuthError> {
    match named {
        Some(named) if named.as_bytes() != claimed.user.as_str().as_bytes() => {
            Err(forbidden("x-user-id differs from the token's user"))
        }
        _ => Ok(CallerIdentity {
            internal,
            user: Some(claimed.user),
            expires: Some(claimed.expires),
            revocation: Some(claimed.revocation),
        }),
    }
}

fn user_of(value: &HeaderValue) -> Result<UserId, AuthError> {
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| UserHeaderFault::NotUtf8);
    text.and_then(|text| UserId::new(text).map_err(UserHeaderFault::Invalid))
        .map_err(|detail| AuthError::InvalidUserId { detail })
}

/// The token of `Bearer TOKEN`; the scheme in any case.
fn bearer_token(value: &HeaderValue) -> Result<&[u8], AuthError> {
    match value.as_bytes().split_at_checked("Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => Ok(token.trim_ascii()),
        _ => Err(forbidden("authorization is not a bearer token")),
    }
}

/// Whether this is a credential of another scheme than ours.
fn is_for_others(authorization: &HeaderValue) -> bool {
    let scheme = authorization
        .as_bytes()
        .split(|byte| *byte == b' ')
        .next()
        .unwrap_or_default();
    !scheme.is_empty() && !scheme.eq_ignore_ascii_case(b"Bearer")
}
