//! `GET /ws`: authentication, and the handshake of RFC 6455, section 4.2. A failure is an HTTP error, and no session has
//! begun. The API's middleware has checked `Host` and the rate of handshakes before.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use presence::wire::error_code::Code;
use presence::wire::{BEARER_PREFIX, SUBPROTOCOL};
use presence::{SystemWall, UserId};

use super::{Gateway, session};
use crate::auth::AuthError;
use crate::revocation::{NotedRevocations, Revocation};
use crate::server::upgrades::{Answered, Requester, upgraded};
use crate::server::{ApiError, ConnectionPermit};

/// An authenticated connection.
pub(super) struct Admitted {
    /// None for an observer.
    pub(super) user: Option<UserId>,
    /// When its token expires.
    pub(super) expires: Option<SystemWall>,
    /// The mark of the credential that authenticated it, if one did.
    pub(super) revocation: Option<Revocation>,
    /// What was revoked before that was checked.
    pub(super) noted_revocations: NotedRevocations,
    pub(super) permit: Option<Arc<ConnectionPermit>>,
}

/// A valid handshake: what the response says, and the client's token.
struct Handshake {
    accept: HeaderValue,
    /// The subprotocol of the response; none if the client offered none.
    subprotocol: Option<&'static str>,
    /// The token that a browser sent as a subprotocol.
    bearer: Option<String>,
}

/// Responds to a handshake, and says what becomes of the connection.
pub(super) fn answer<B: HttpBody>(gateway: &Arc<Gateway>, request: &hyper::Request<B>, client: &Requester) -> Answered {
    match admit(gateway, request, client) {
        Ok((handshake, admitted)) => {
            let gateway = Arc::clone(gateway);
            Answered {
                response: switching_protocols(handshake),
                // A new task, so that the state of the HTTP connection is freed.
                start: Some(Box::new(|upgraded| {
                    tokio::spawn(session::run(gateway, upgraded, admitted));
                })),
            }
        }
        Err(error) => error_response(error).into(),
    }
}

/// The same for a request of the router.
pub(super) async fn handle(gateway: Arc<Gateway>, mut request: Request) -> Response {
    let client = match Requester::of(&request) {
        Ok(client) => client,
        Err(error) => return error_response(error),
    };
    let Answered { response, start } = answer(&gateway, &request, &client);
    if let Some(start) = start {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Some(socket) = upgraded(upgrade).await {
                start(socket);
            }
        });
    }
    response
}

/// Upgrades the connection for the echo, without authentication.
#[cfg(feature = "autobahn")]
pub(super) async fn handle_echo(gateway: Arc<Gateway>, mut request: Request) -> Response {
    match handshake(&request) {
        Ok(handshake) => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                if let Some(upgraded) = upgraded(upgrade).await {
                    tokio::spawn(super::echo::run(gateway, upgraded));
                }
            });
            switching_protocols(handshake)
        }
        Err(error) => error_response(error),
    }
}

fn admit<B: HttpBody>(
    gateway: &Gateway,
    request: &hyper::Request<B>,
    client: &Requester,
) -> Result<(Handshake, Admitted), ApiError> {
    let headers = request.headers();
    let peer = client.peer.0.ip();
    gateway.auth.check_origin(headers)?;
    let handshake = handshake(request)?;
    if gateway.engine.is_draining() {
        return Err(ApiError::new(
            Code::Draining,
            "the server takes no new connections: it is shutting down, or its clients move to other nodes; reconnect in a moment",
        ));
    }
    let noted_revocations = gateway.auth.noted_revocations();
    let identity = gateway
        .admission
        .authenticate(peer, headers, handshake.bearer.as_deref())?;
    if identity.user.is_none() && !identity.internal {
        return Err(AuthError::Unauthenticated.into());
    }
    let permit = client.permit.clone();
    if let Some(permit) = &permit {
        permit.note_authenticated();
        gateway.admission.admit_websocket(permit, peer, headers)?;
    }
    Ok((
        handshake,
        Admitted {
            user: identity.user,
            expires: identity.expires,
            revocation: identity.revocation,
            noted_revocations,
            permit,
        },
    ))
}

fn handshake<B: HttpBody>(request: &hyper::Request<B>) -> Result<Handshake, ApiError> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(ApiError::new(
            Code::MethodNotAllowed,
            "method not allowed: a WebSocket handshake is a GET",
        ));
    }
    // The bytes after the head of an upgrade are frames; a body would be parsed as frames.
    if request.body().size_hint().exact() != Some(0) {
        return Err(ApiError::new(
            Code::InvalidHeader,
            "a WebSocket handshake must not have a body",
        ));
    }
    let lists = |name: header::HeaderName, token: &str| {
        let values = headers
            .get_all(name)
            .into_iter()
            .filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|one| one.trim().eq_ignore_ascii_case(token))
    };
    let is_upgrade = lists(header::CONNECTION, "upgrade") && lists(header::UPGRADE, "websocket");
    if !is_upgrade || request.version() < Version::HTTP_11 {
        return Err(ApiError::new(
            Code::UpgradeRequired,
            "WebSocket upgrade required: send Connection: Upgrade and Upgrade: websocket",
        ));
    }
    let versions: Vec<_> = headers.get_all(header::SEC_WEBSOCKET_VERSION).iter().collect();
    if versions != ["13"] {
        return Err(ApiError::new(
            Code::UpgradeRequired,
            "unsupported Sec-WebSocket-Version: use 13",
        ));
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) if is_key(key.as_bytes()) => key.as_bytes(),
        _ => {
            return Err(ApiError::new(
                Code::InvalidHeader,
                "invalid Sec-WebSocket-Key: one value of 16 bytes in base64 is required",
            ));
        }
    };
    let (subprotocol, bearer) = subprotocols(headers)?;
    let accept = tungstenite::handshake::derive_accept_key(key);
    let accept = HeaderValue::from_str(&accept).map_err(|_| ApiError::internal())?;
    Ok(Handshake {
        accept,
        subprotocol,
        bearer,
    })
}

/// 16 bytes in base64: 22 characters and two of padding.
fn is_key(key: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    matches!(key.split_at_checked(22), Some((text, b"==")) if text.iter().all(is_base64))
}

fn subprotocols(headers: &HeaderMap) -> Result<(Option<&'static str>, Option<String>), ApiError> {
    let malformed = || ApiError::new(Code::InvalidHeader, "malformed Sec-WebSocket-Protocol");
    let mut offered = Vec::new();
    for value in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        let value = value.to_str().map_err(|_| malformed())?;
        offered.extend(value.split(',').map(str::trim).filter(|one| !one.is_empty()));
    }
    let mut tokens = offered.iter().filter_map(|one| one.strip_prefix(BEARER_PREFIX));
    let bearer = tokens.next().map(str::to_owned);
    if tokens.next().is_some() {
        return Err(ApiError::new(
            Code::InvalidHeader,
            "duplicate token: more than one bearer subprotocol",
        ));
    }
    if offered.is_empty() {
        return Ok((None, None));
    }
    // A client fails a connection whose response names none of the subprotocols that it offered, so a token alone is
    // rejected here, where the error can say why.
    match offered.contains(&SUBPROTOCOL) {
        true => Ok((Some(SUBPROTOCOL), bearer)),
        false => Err(ApiError::new(
            Code::InvalidValue,
            "unsupported subprotocols: offer presence.v1",
        )),
    }
}

fn switching_protocols(handshake: Handshake) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, handshake.accept);
    if let Some(subprotocol) = handshake.subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    response
}

fn error_response(error: ApiError) -> Response {
    let code = error.code;
    let mut response = error.into_response();
    let headers = response.headers_mut();
    if code == Code::MethodNotAllowed {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
    }
    if code == Code::UpgradeRequired {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(extra: &[(&'static str, &'static str)]) -> Request {
        let usual = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let mut request = Request::new(Body::empty());
        for (name, value) in usual
            .iter()
            .filter(|(name, _)| !extra.iter().any(|(other, _)| other == name))
            .chain(extra)
        {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn the_accept_key_is_that_of_the_rfc_example() {
        let handshake = handshake(&ask(&[])).expect("a handshake");
        assert_eq!(handshake.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(handshake.subprotocol, None);
    }

    #[test]
    fn an_invalid_handshake_has_a_code() {
        let cases = [
            (("connection", "close"), Code::UpgradeRequired),
            (("upgrade", "h2c"), Code::UpgradeRequired),
            (("sec-websocket-version", "8"), Code::UpgradeRequired),
            (("sec-websocket-key", ""), Code::InvalidHeader),
            (("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ="), Code::InvalidHeader),
            (("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==="), Code::InvalidHeader),
            (("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZ!=="), Code::InvalidHeader),
        ];
        for (header, code) in cases {
            assert_eq!(
                handshake(&ask(&[header])).err().map(|error| error.code),
                Some(code),
                "{header:?}"
            );
        }
        let twice = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        assert!(handshake(&ask(&[twice, twice])).is_err());
    }

    #[test]
    fn only_a_get_of_http_1_1_without_a_body_is_upgraded() {
        let code_of = |change: fn(&mut Request)| {
            let mut request = ask(&[]);
            change(&mut request);
            handshake(&request).err().map(|error| error.code)
        };
        assert_eq!(code_of(|_| {}), None);
        assert_eq!(
            code_of(|request| *request.method_mut() = Method::HEAD),
            Some(Code::MethodNotAllowed)
        );
        assert_eq!(
            code_of(|request| *request.version_mut() = Version::HTTP_10),
            Some(Code::UpgradeRequired)
        );
        assert_eq!(
            code_of(|request| *request.body_mut() = Body::from("{}")),
            Some(Code::InvalidHeader)
        );
    }

    #[test]
    fn only_a_handshake_that_offers_presence_v1_is_accepted() {
        let offer = |value| handshake(&ask(&[("sec-websocket-protocol", value)]));
        assert_eq!(
            offer("chat, presence.v1").ok().and_then(|one| one.subprotocol),
            Some(SUBPROTOCOL)
        );
        assert_eq!(
            offer("presence.v2").err().map(|error| error.code),
            Some(Code::InvalidValue)
        );
        assert_eq!(
            offer("bearer.a.b.c").err().map(|error| error.code),
            Some(Code::InvalidValue)
        );
        for nothing in ["", " ", ",", " , "] {
            let unnamed = offer(nothing).expect("a handshake");
            assert_eq!((unnamed.subprotocol, unnamed.bearer), (None, None), "{nothing:?}");
        }
        let with_token = offer("presence.v1, bearer.a.b.c").expect("a handshake");
        assert_eq!(
            (with_token.subprotocol, with_token.bearer.as_deref()),
            (Some(SUBPROTOCOL), Some("a.b.c"))
        );
        assert_eq!(
            offer("presence.v1, bearer.a, bearer.b").err().map(|error| error.code),
            Some(Code::InvalidHeader)
        );
    }
}
