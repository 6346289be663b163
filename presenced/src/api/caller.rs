//! Authorization, as extractors: a handler that takes one of these as an argument is reached by no other caller. They come
//! before the path, the query string and the body, so an unauthorized request is rejected before anything else is parsed.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use presence::UserId;
use presence::wire::error_code::Code;
use presence::wire::record::Viewer;

use super::AppState;
use crate::auth::{AuthError, CallerIdentity};
use crate::engine::Engine;
use crate::server::{ApiError, ConnectionPermit, Peer};

/// An internal caller.
pub(super) struct Internal;

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
}

impl AnyCaller {
    /// Waits until the caller may look at so many ids.
    pub(super) async fn pace(&self, engine: &Engine, ids: usize) -> Result<(), ApiError> {
        match self {
            Self::Internal => Ok(()),
            Self::User(user) => Ok(engine.pace_lookups(user, ids).await?),
        }
    }
}

fn identify(parts: &Parts, state: &AppState) -> Result<CallerIdentity, ApiError> {
    let Some(Peer(peer)) = parts.extensions.get::<Peer>() else {
        tracing::error!("a request has no peer address");
        return Err(ApiError::internal());
    };
    let identity = state.admission.authenticate(peer.ip(), &parts.headers, None)?;
    // A request that is not from a socket, in tests, has no permit.
    if let Some(permit) = parts.extensions.get::<Arc<ConnectionPermit>>() {
        permit.note_authenticated();
    }
    Ok(identity)
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
        let identity = identify(parts, state)?;
        match (identity.internal, identity.user) {
            (true, _) => Ok(Self::Internal),
            (false, Some(user)) => Ok(Self::User(user)),
            (false, None) => Err(AuthError::Unauthenticated.into()),
        }
    }
}
