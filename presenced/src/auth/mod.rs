//! Authentication: internal secrets, users' tokens, bare user ids from trusted proxies, allowed origins and host names.
//! Everything is decided from the peer's address, the headers and a time that is an argument. Nothing here reads a file,
//! counts failures (`server::admission` does) or authorizes calls (`api::caller` does).

mod allowed_origins;
mod authorization;
mod demo;
#[cfg(test)]
pub(crate) mod fixture;
mod forwarded;
mod jwk;
mod jwt;
mod jwt_key;
mod node_token;
mod origin;
mod pem;
mod proxies;
mod revoked;
mod secrets;
mod signature;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use parking_lot::RwLock;
use presence::wire::error_code::Code;
use presence::{InvalidUserId, SystemWall, UserId};

use self::allowed_origins::Pages;
use self::authorization::{bearer_token, is_for_others, is_without_token};
use self::jwt::{Claimed, Tokens};
use self::proxies::Proxies;
use self::secrets::Secrets;
use crate::percent::{self, Plus};
use crate::revocation::{Revocation, RevokedTokens};

pub(crate) use self::demo::DemoKey;
pub(crate) use self::jwt_key::{JwtKeyFile, JwtKeys};
pub(crate) use self::node_token::NodeRequest;
pub(crate) use self::origin::{Host, Origin};
pub(crate) use self::proxies::{LimitedClient, TrustedProxies};

/// How far the clocks of issuers and operators may be ahead: an issuer whose clock is signs tokens that are not valid yet (`nbf`) when
/// they arrive. `exp` has no such slack, because a connection ends when its token does.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);
/// The header of the internal secret.
static SECRET_HEADER: HeaderName = HeaderName::from_static("x-secret-token");
/// The header of another node's tokens.
pub(crate) static NODE_HEADER: HeaderName = HeaderName::from_static("x-node-token");
/// The header of a user id in raw UTF-8.
static USER_HEADER: HeaderName = HeaderName::from_static("x-user-id");
/// The header of a user id in percent-encoded UTF-8, for callers whose HTTP library can't send raw UTF-8.
static ENCODED_USER_HEADER: HeaderName = HeaderName::from_static("x-user-id-encoded");

/// The operator's settings. Without `Debug`, because they hold secrets.
pub(crate) struct AuthOptions {
    /// The internal secret; two during a rotation. An empty one is never valid.
    pub(crate) secrets: Vec<Vec<u8>>,
    pub(crate) jwt: JwtKeys,
    /// The `iss` that every token must have, if set.
    pub(crate) jwt_issuer: Option<String>,
    /// The `aud` that every token must name, if set.
    pub(crate) jwt_audience: Option<String>,
    /// Peers whose bare `x-user-id` is trusted.
    pub(crate) trusted_proxies: TrustedProxies,
    /// Origins of pages that may call, besides those of the bound address.
    pub(crate) allowed_origins: Vec<Origin>,
    pub(crate) listen: SocketAddr,
    /// That of the daemon's own addresses: `http`, or `https`.
    pub(crate) scheme: &'static str,
    /// Makes tokens for the demonstration page, if there is one.
    pub(crate) demo: Option<DemoKey>,
}

/// Which credentials a reload brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplacedCredentials {
    /// Other secrets than before.
    pub(crate) secrets: bool,
    /// Other keys for users' tokens than before.
    pub(crate) keys: bool,
}

/// An authenticated caller: internal, a user, or internal on behalf of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallerIdentity {
    /// The caller has the internal secret.
    pub(crate) internal: bool,
    /// The user it is, or on whose behalf it calls.
    pub(crate) user: Option<UserId>,
    /// When its token expires, if it has one.
    pub(crate) expires: Option<SystemWall>,
    /// The mark of the credential that it has; none for a bare user id.
    pub(crate) revocation: Option<Revocation>,
}

/// Why a request is not authenticated. No text quotes a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AuthError {
    #[error("missing credential: send x-secret-token or a bearer token (from a browser, the subprotocol bearer.TOKEN)")]
    Unauthenticated,
    /// A credential is invalid, or an origin is not allowed.
    #[error("{detail}")]
    Forbidden { detail: &'static str },
    /// A header that may be given once is repeated, or one is missing or malformed.
    #[error("{detail}")]
    InvalidHeader { detail: &'static str },
    /// A caller that may name a user sent an invalid id.
    #[error("x-user-id: {detail}")]
    InvalidUserId { detail: UserHeaderFault },
    /// `Host` is not a name of this server.
    #[error(
        "unknown host: the Host header must name this server's address or an allowed origin; the operator can add one with --allowed-origin"
    )]
    Misdirected,
}

/// Why an `x-user-id` is not a valid user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UserHeaderFault {
    #[error("not UTF-8")]
    NotUtf8,
    #[error("not percent-encoded UTF-8")]
    NotEncoded,
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
    /// Of which users tokens are revoked. A reload does not change it.
    revoked_tokens: Arc<RevokedTokens>,
}

/// Everything that a request is checked against.
struct Checks {
    secrets: Secrets,
    tokens: Tokens,
    proxies: Proxies,
    pages: Pages,
    demo: Option<DemoKey>,
}

/// A header that may be given once.
enum Given<'a> {
    Absent,
    Once(&'a HeaderValue),
    Repeated,
}

impl Given<'_> {
    /// A credential. A header without a value is none: some proxies and libraries send it instead of leaving it out.
    fn credential<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Given<'a> {
        match Given::of(headers, name) {
            Given::Once(value) if value.as_bytes().trim_ascii().is_empty() => Given::Absent,
            given => given,
        }
    }

    /// Looks at all headers in turn: a request has few, and that is quicker than to compute the hash of the name.
    fn of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Given<'a> {
        let mut values = headers
            .iter()
            .filter(|(other, _)| *other == name)
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (None, _) => Given::Absent,
            (Some(value), None) => Given::Once(value),
            (Some(_), Some(_)) => Given::Repeated,
        }
    }
}

/// The user id in a header.
#[derive(Clone, Copy)]
enum NamedUser<'a> {
    Raw(&'a HeaderValue),
    Encoded(&'a HeaderValue),
}

impl<'a> NamedUser<'a> {
    fn of(headers: &'a HeaderMap) -> Result<Option<Self>, AuthError> {
        let find = |name| match Given::credential(headers, name) {
            Given::Once(value) => Ok(Some(value)),
            Given::Absent => Ok(None),
            Given::Repeated => Err(invalid_header("duplicate header: x-user-id")),
        };
        match (find(&USER_HEADER)?, find(&ENCODED_USER_HEADER)?) {
            (Some(_), Some(_)) => Err(invalid_header("duplicate user: in x-user-id and x-user-id-encoded")),
            (Some(raw), None) => Ok(Some(Self::Raw(raw))),
            (None, Some(encoded)) => Ok(Some(Self::Encoded(encoded))),
            (None, None) => Ok(None),
        }
    }

    fn id(self) -> Result<UserId, UserHeaderFault> {
        let id = match self {
            Self::Raw(value) => {
                UserId::new(std::str::from_utf8(value.as_bytes()).map_err(|_| UserHeaderFault::NotUtf8)?)
            }
            Self::Encoded(value) => {
                let text = value
                    .to_str()
                    .ok()
                    .and_then(|text| percent::decode(text, Plus::Literal));
                UserId::new(&text.ok_or(UserHeaderFault::NotEncoded)?)
            }
        };
        id.map_err(UserHeaderFault::Invalid)
    }
}

impl Auth {
    pub(crate) fn new(options: AuthOptions) -> Self {
        Self {
            current: RwLock::new(Arc::new(Checks::new(options))),
            revoked_tokens: Arc::default(),
        }
    }

    /// From now on these options hold. What a removed secret or key authenticated is marked as revoked.
    pub(crate) fn replace(&self, options: AuthOptions) -> ReplacedCredentials {
        let mut next = Checks::new(options);
        let mut current = self.current.write();
        let replaced = ReplacedCredentials {
            secrets: !next.secrets.equals(&current.secrets),
            keys: !next.tokens.has_keys_of(&current.tokens),
        };
        next.secrets.succeed(&current.secrets);
        next.tokens.succeed(&current.tokens);
        *current = Arc::new(next);
        replaced
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
        now: SystemWall,
    ) -> Result<CallerIdentity, AuthError> {
        let checks = self.checks();
        let bearer_subprotocol = bearer_subprotocol.filter(|token| !token.trim().is_empty());
        let secret = Given::credential(headers, &SECRET_HEADER);
        let internal = match &secret {
            Given::Once(value) => match checks.secrets.find(value.as_bytes()) {
                Some(revocation) => Some(revocation),
                None => return Err(forbidden("invalid x-secret-token")),
            },
            Given::Absent | Given::Repeated => None,
        };
        let authorization = match Given::credential(headers, &header::AUTHORIZATION) {
            Given::Once(value) if is_without_token(value) => Given::Absent,
            // A browser adds the credential of the page, which a page can't prevent; it is for the page's own server.
            Given::Once(value) if bearer_subprotocol.is_some() && is_for_others(value) => Given::Absent,
            given => given,
        };
        let claimed = match (&authorization, bearer_subprotocol) {
            (Given::Once(value), None) => Some(checks.tokens.verify(bearer_token(value)?, now)?),
            (Given::Absent, Some(token)) => Some(checks.tokens.verify(token.as_bytes(), now)?),
            _ => None,
        };
        if let Some(claimed) = &claimed {
            self.check_not_revoked(claimed, now)?;
        }
        match (secret, authorization) {
            (Given::Repeated, _) => return Err(invalid_header("duplicate header: x-secret-token")),
            (_, Given::Repeated) => return Err(invalid_header("duplicate header: authorization")),
            (_, Given::Once(_)) if bearer_subprotocol.is_some() => {
                return Err(invalid_header("duplicate token: in authorization and as a subprotocol"));
            }
            _ => {}
        }
        match (claimed, NamedUser::of(headers)?) {
            (Some(claimed), named) => agreed(internal.is_some(), claimed, named),
            (None, Some(named)) => {
                if internal.is_none() {
                    checks.check_bare_user(peer, headers, named)?;
                }
                Ok(CallerIdentity {
                    internal: internal.is_some(),
                    user: Some(named.id().map_err(|detail| AuthError::InvalidUserId { detail })?),
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

    /// The client that limits count: the peer or, if that is a trusted proxy, the one that it names.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> LimitedClient {
        self.checks().proxies.client(peer, headers)
    }

    /// Whether the operator named a proxy.
    pub(crate) fn names_proxies(&self) -> bool {
        self.checks().proxies.has_named()
    }

    pub(crate) fn is_trusted_proxy(&self, addr: IpAddr) -> bool {
        self.checks().proxies.trust(addr)
    }

    /// Whether the request has one `Host`, which [`Self::check_host`] accepts. It may accept others.
    pub(crate) fn has_own_host(&self, headers: &HeaderMap) -> bool {
        self.checks().pages.has_own_host(headers)
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
            proxies: Proxies::new(options.trusted_proxies),
            pages: Pages::new(options.allowed_origins, options.scheme, options.listen),
            demo: options.demo,
        }
    }

    /// Checks a caller that has no credential but its address.
    fn check_bare_user(&self, peer: IpAddr, headers: &HeaderMap, named: NamedUser<'_>) -> Result<(), AuthError> {
        if matches!(named, NamedUser::Encoded(_)) {
            // A proxy that was told to remove `x-user-id` passes this header on.
            return Err(forbidden(
                "x-user-id-encoded needs x-secret-token; a trusted proxy sends x-user-id",
            ));
        }
        self.proxies.check_user_header(peer, headers)?;
        self.pages.check_local_caller(peer, headers)
    }
}

fn forbidden(detail: &'static str) -> AuthError {
    AuthError::Forbidden { detail }
}

fn invalid_header(detail: &'static str) -> AuthError {
    AuthError::InvalidHeader { detail }
}

/// The identity of a token, whose user must be the one that is named, if one is.
fn agreed(internal: bool, claimed: Claimed, named: Option<NamedUser<'_>>) -> Result<CallerIdentity, AuthError> {
    match named {
        Some(named) if named.id().as_ref() != Ok(&claimed.user) => {
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
