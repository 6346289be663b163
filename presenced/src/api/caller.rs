//! Authorization, as extractors: a handler that takes one of these as an argument is reached by no other caller. They come
//! before the path, the query string and the body, so an unauthorized request is rejected before anything else is parsed.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::Request;
use axum::http::Uri;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use presence::UserId;
use presence::wire::error_code::Code;
use presence::wire::record::Viewer;

use super::AppState;
use crate::auth::{AuthError, CallerIdentity, NODE_HEADER, NodeRequest};
use crate::engine::Engine;
use crate::server::upgrades::Requester;
use crate::server::{ApiError, ConnectionPermit, Peer};

/// An internal caller.
pub(super) struct Internal;

/// An internal caller, or another node of the cluster.
pub(super) enum InternalOrNode {
    Internal,
    Node,
}

/// An internal caller, with the user on whose behalf it calls.
pub(super) struct InternalFor(pub(super) UserId);

/// A user, or an internal caller on behalf of one.
pub(super) struct ActingUser {
    pub(super) user: UserId,
    /// How the caller sees that user.
    pub(super) viewer: Viewer,
}

/// A user or an internal caller.
pub(super) enum AnyCaller {
    Internal,
    User(UserId),
}

impl AnyCaller {
    /// How the caller sees `user`.
    pub(super) fn viewer_of(&self, user: &UserId) -> Viewer {
        match self {
            Self::Internal => Viewer::Internal,
            Self::User(own) if own == user => Viewer::Own,
            Self::User(_) => Viewer::Public,
        }
    }

    /// Waits until the caller may look at so many ids.
    pub(super) async fn pace(&self, engine: &Engine, ids: usize) -> Result<(), ApiError> {
        match self {
            Self::Internal => Ok(()),
            Self::User(user) => Ok(engine.pace_lookups(user, ids).await?),
        }
    }

    /// Who sends a request that does not go through the router.
    pub(super) fn of(state: &AppState, client: &Requester, headers: &HeaderMap) -> Result<Self, ApiError> {
        let peer = client.peer.0.ip();
        Self::identified(authenticate(state, peer, headers, client.permit.as_ref())?)
    }

    fn identified(identity: CallerIdentity) -> Result<Self, ApiError> {
        match (identity.internal, identity.user) {
            (true, _) => Ok(Self::Internal),
            (false, Some(user)) => Ok(Self::User(user)),
            (false, None) => Err(AuthError::Unauthenticated.into()),
        }
    }
}

fn identify(parts: &Parts, state: &AppState) -> Result<CallerIdentity, ApiError> {
    authenticate(state, peer_of(parts)?, &parts.headers, parts.extensions.get())
}

/// A request that is not from a socket, in tests, has no permit.
fn authenticate(
    state: &AppState,
    peer: IpAddr,
    headers: &HeaderMap,
    permit: Option<&Arc<ConnectionPermit>>,
) -> Result<CallerIdentity, ApiError> {
    let identity = state.admission.authenticate(peer, headers, None)?;
    if let Some(permit) = permit {
        permit.note_authenticated();
    }
    Ok(identity)
}

fn peer_of(parts: &Parts) -> Result<IpAddr, ApiError> {
    match parts.extensions.get::<Peer>() {
        Some(Peer(peer)) => Ok(peer.ip()),
        None => {
            tracing::error!("a request has no peer address");
            Err(ApiError::internal())
        }
    }
}

/// A request that is not from a socket, in tests, has no permit.
fn note_authenticated(parts: &Parts) {
    if let Some(permit) = parts.extensions.get::<Arc<ConnectionPermit>>() {
        permit.note_authenticated();
    }
}

/// Another node asks this run for just this.
fn identify_node(parts: &Parts, state: &AppState) -> Result<(), ApiError> {
    let run = state.engine.incarnation().to_string();
    let request = node_request(&run, &parts.uri);
    state
        .admission
        .authenticate_node(peer_of(parts)?, &parts.headers, request)?;
    note_authenticated(parts);
    Ok(())
}

fn node_request<'a>(run: &'a str, uri: &'a Uri) -> NodeRequest<'a> {
    let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
    NodeRequest { run, path }
}

impl AppState {
    /// Whether the request has a valid token of another node for just this. A failure is counted, so call it for those alone that
    /// are rejected then.
    pub(super) fn is_node_request<B>(&self, request: &Request<B>) -> bool {
        let Some(Peer(peer)) = request.extensions().get() else {
            return false;
        };
        let (headers, run) = (request.headers(), self.engine.incarnation().to_string());
        let asked = node_request(&run, request.uri());
        headers.contains_key(&NODE_HEADER) && self.admission.authenticate_node(peer.ip(), headers, asked).is_ok()
    }
}

fn internal(identity: &CallerIdentity) -> Result<(), ApiError> {
    match identity.internal {
        true => Ok(()),
        // Without the header it is 401 whatever else is sent; a wrong one is rejected before.
        false => Err(ApiError::new(
            Code::Unauthenticated,
            "internal call: send the header x-secret-token",
        )),
    }
}

fn missing_user() -> ApiError {
    ApiError::new(Code::MissingUser, "missing user: send the header x-user-id")
}

impl FromRequestParts<Arc<AppState>> for Internal {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, ApiError> {
        internal(&identify(parts, state)?).map(|()| Self)
    }
}

impl FromRequestParts<Arc<AppState>> for InternalOrNode {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, ApiError> {
        match parts.headers.contains_key(&NODE_HEADER) {
            true => identify_node(parts, state).map(|()| Self::Node),
            false => internal(&identify(parts, state)?).map(|()| Self::Internal),
        }
    }
}

impl FromRequestParts<Arc<AppState>> for InternalFor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, ApiError> {
        let identity = identify(parts, state)?;
        internal(&identity)?;
        identity.user.map(Self).ok_or_else(missing_user)
    }
}

impl FromRequestParts<Arc<AppState>> for ActingUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, ApiError> {
        let identity = identify(parts, state)?;
        Ok(Self {
            user: identity.user.ok_or_else(missing_user)?,
            viewer: if identity.internal {
                Viewer::Internal
            } else {
                Viewer::Own
            },
        })
    }
}

impl FromRequestParts<Arc<AppState>> for AnyCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, ApiError> {
        Self::identified(identify(parts, state)?)
    }
}
