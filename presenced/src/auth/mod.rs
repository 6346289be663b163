//! Who is calling: secrets, users' tokens, bare user ids from trusted proxies, and which pages and host names are ours.
//! Everything is decided from the peer's address, the headers and a time that comes in as an argument; nothing here reads a
//! file, counts failures (`server::admission` does) or decides what a caller may do (`api::caller` does).

#[cfg(test)]
pub(crate) mod fixture;
mod jwt;
mod origin;
mod pages;
mod pem;
mod proxies;
mod secrets;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue, header};
use ipnet::IpNet;
use presence::wire::code::Code;
use presence::{InvalidUserId, UserId, Wall};

use self::jwt::{Claimed, Tokens};
use self::pages::Pages;
use self::proxies::Proxies;
use self::secrets::Secrets;

pub(crate) use self::jwt::JwtKey;
pub(crate) use self::origin::Origin;

/// The header of the internal secret.
const SECRET_HEADER: &str = "x-secret-token";
/// The header of a bare user id, in raw UTF-8.
const USER_HEADER: &str = "x-user-id";

/// What the operator decided. Holds secrets: it has no `Debug`.
pub(crate) struct AuthOptions {
    /// The internal secret; two during a rotation. An empty one is never valid.
    pub(crate) secrets: Vec<Vec<u8>>,
    /// What verifies users' tokens.
    pub(crate) jwt: JwtKey,
    /// The `iss` every token must have, if any.
    pub(crate) jwt_issuer: Option<String>,
    /// The `aud` every token must name, if any.
    pub(crate) jwt_audience: Option<String>,
    /// Peers whose bare `x-user-id` is believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The operator named no proxy: loopback is trusted, as far as no header speaks of a proxy in between.
    pub(crate) trusted_by_default: bool,
    /// Pages that may call, besides those of the bound address.
    pub(crate) allowed_origins: Vec<Origin>,
    /// The bound address.
    pub(crate) listen: SocketAddr,
}

/// Who a caller is. Without a user it is internal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallerIdentity {
    /// It has the internal secret.
    pub(crate) internal: bool,
    /// The user it is, or on whose behalf it calls.
    pub(crate) user: Option<UserId>,
    /// When its token runs out, if it has one.
    pub(crate) expires: Option<Wall>,
}

/// Why somebody does not come in. Texts quote nothing of a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    /// There is no credential at all.
    #[error("no credential: send x-secret-token or a bearer token")]
    Unauthenticated,
    /// A credential is bad, or a page is not allowed.
    #[error("{detail}")]
    Forbidden {
        /// Which one, and why.
        detail: &'static str,
    },
    /// A header is there that can't be read as one statement.
    #[error("{detail}")]
    InvalidHeader {
        /// Which one.
        detail: &'static str,
    },
    /// Somebody who may name a user named none.
    #[error("x-user-id: {detail}")]
    InvalidUserId {
        /// Which rule it breaks.
        detail: UserHeaderFault,
    },
    /// `Host` names somebody else.
    #[error("this host is not served here")]
    Misdirected,
}

/// Why an `x-user-id` is no user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UserHeaderFault {
    /// Its bytes are no text.
    #[error("not UTF-8")]
    NotUtf8,
    /// Its text breaks a rule.
    #[error("{0}")]
    Invalid(InvalidUserId),
}

impl AuthError {
    /// The stable code.
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

/// Decides who is who.
pub(crate) struct Auth {
    secrets: Secrets,
    tokens: Tokens,
    proxies: Proxies,
    pages: Pages,
}

/// A header that may be given once.
enum Given<'a> {
    Absent,
    Once(&'a HeaderValue),
    Twice,
}

impl Given<'_> {
    fn of<'a>(headers: &'a HeaderMap, name: &str) -> Given<'a> {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Given::Absent,
            (Some(value), None) => Given::Once(value),
            (Some(_), Some(_)) => Given::Twice,
        }
    }
}

impl Auth {
    /// For one bound address.
    pub(crate) fn new(options: AuthOptions) -> Self {
        Self {
            secrets: Secrets::new(&options.secrets),
            tokens: Tokens::new(options.jwt, options.jwt_issuer, options.jwt_audience),
            proxies: Proxies::new(&options.trusted_proxies, options.trusted_by_default),
            pages: Pages::new(options.allowed_origins, options.listen),
        }
    }

    /// Who is calling. A bad credential is refused whatever else is there, so secret and token are both judged before
    /// anything else is.
    pub(crate) fn authenticate(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        bearer_subprotocol: Option<&str>,
        now: Wall,
    ) -> Result<CallerIdentity, AuthError> {
        let secret = Given::of(headers, SECRET_HEADER);
        let internal = match &secret {
            Given::Once(value) if self.secrets.contains(value.as_bytes()) => true,
            Given::Once(_) => return Err(forbidden("x-secret-token is wrong")),
            Given::Absent | Given::Twice => false,
        };
        let authorization = Given::of(headers, header::AUTHORIZATION.as_str());
        let claimed = match (&authorization, bearer_subprotocol) {
            (Given::Once(value), None) => Some(self.tokens.verify(bearer_token(value)?, now)?),
            (Given::Absent, Some(token)) => Some(self.tokens.verify(token.as_bytes(), now)?),
            _ => None,
        };
        let named = match (secret, authorization, Given::of(headers, USER_HEADER)) {
            (Given::Twice, ..) => return Err(twice("x-secret-token is given twice")),
            (_, Given::Twice, _) => return Err(twice("authorization is given twice")),
            (_, Given::Once(_), _) if bearer_subprotocol.is_some() => {
                return Err(twice("a token is given twice: in authorization and as a subprotocol"));
            }
            (_, _, Given::Twice) => return Err(twice("x-user-id is given twice")),
            (_, _, Given::Once(value)) => Some(value),
            (_, _, Given::Absent) => None,
        };
        match (claimed, named) {
            (Some(claimed), named) => agreed(internal, claimed, named),
            (None, Some(named)) => {
                if !internal {
                    self.proxies.believe(peer, headers)?;
                }
                Ok(CallerIdentity {
                    internal,
                    user: Some(user_of(named)?),
                    expires: None,
                })
            }
            (None, None) if internal => Ok(CallerIdentity {
                internal,
                user: None,
                expires: None,
            }),
            (None, None) => Err(AuthError::Unauthenticated),
        }
    }

    /// Whose address counts: the peer's or, if that is a trusted proxy, the rightmost untrusted one of `X-Forwarded-For`.
    pub(crate) fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.proxies.client_address(peer, headers)
    }

    /// Whether an address is a trusted proxy's.
    pub(crate) fn is_trusted_proxy(&self, addr: IpAddr) -> bool {
        self.proxies.trust(addr)
    }

    /// Refuses, on a loopback listener, whoever was led here by a name that is not ours (DNS rebinding).
    pub(crate) fn check_host(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        self.pages.check_host(headers)
    }

    /// The page that calls, if it is one and it may.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<Option<Origin>, AuthError> {
        self.pages.check_origin(headers)
    }
}

fn forbidden(detail: &'static str) -> AuthError {
    AuthError::Forbidden { detail }
}

fn twice(detail: &'static str) -> AuthError {
    AuthError::InvalidHeader { detail }
}

/// A token's user, who must be the one that is named, if one is.
fn agreed(internal: bool, claimed: Claimed, named: Option<&HeaderValue>) -> Result<CallerIdentity, AuthError> {
    match named {
        Some(named) if named.as_bytes() != claimed.user.as_str().as_bytes() => {
            Err(forbidden("x-user-id is not the token's user"))
        }
        _ => Ok(CallerIdentity {
            internal,
            user: Some(claimed.user),
            expires: Some(claimed.expires),
        }),
    }
}

fn user_of(value: &HeaderValue) -> Result<UserId, AuthError> {
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| UserHeaderFault::NotUtf8);
    text.and_then(|text| UserId::new(text).map_err(UserHeaderFault::Invalid))
        .map_err(|detail| AuthError::InvalidUserId { detail })
}

/// The token of `Bearer TOKEN`; the word in any case.
fn bearer_token(value: &HeaderValue) -> Result<&[u8], AuthError> {
    match value.as_bytes().split_at_checked("Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") => Ok(token.trim_ascii()),
        _ => Err(forbidden("authorization is no bearer token")),
    }
}
