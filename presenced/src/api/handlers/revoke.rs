//! `GET` and `PUT /api/presence/{userId}/revocation`: an operator has a user's older tokens refused, and ends the sessions.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use presence::SystemWall;
use presence::wire::rest::{RevocationResponse, Revoke, RevokeResponse};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::HandlerResult;
use crate::api::caller::{Internal, InternalOrNode};
use crate::api::path::{PathUser, THIRD};
use crate::api::{SharedState, body};
use crate::auth::CLOCK_TOLERANCE;
use crate::engine::EngineError;
use crate::server::ApiError;

/// A time is cut to milliseconds: with one more, a token of this very moment is older.
const NOW_INCLUDED: Duration = Duration::from_millis(1);

#[derive(Deserialize)]
struct RevokeFields<'a> {
    #[serde(borrow)]
    before: Option<&'a RawValue>,
}

pub(in crate::api) async fn revoke(
    State(state): SharedState,
    _: Internal,
    PathUser(user): PathUser<THIRD>,
    request: Request,
) -> HandlerResult<RevokeResponse> {
    let bytes = body::read(request, state.limits.load().body_bytes, state.body_timeout()).await?;
    let now = state.clock.system();
    let asked = match parse(&bytes)?.before {
        Some(before) => not_ahead(SystemWall::from_millis(before.as_millis()), now)?,
        None => now.after(NOW_INCLUDED),
    };
    let revoked = state.engine.revoke_tokens(&user, asked).await;
    // Also after an error: it may be stored.
    let unreached = state.tell_of_revocation(&user).await;
    let revoked = revoked?;
    let before = revoked.issued_before.record_time(None);
    tracing::info!(?user, %before, ended = revoked.ended, "revoked the tokens of a user");
    for node in &unreached {
        tracing::warn!(
            node = node.node,
            error = node.error,
            "a node was not told of a revocation: it looks for itself"
        );
    }
    Ok(Json(RevokeResponse {
        before,
        kept: revoked.issued_before > asked,
        ended: revoked.ended,
        unreached,
    }))
}

/// What this node refuses. Another node asks when there is something new in the database.
pub(in crate::api) async fn get_revocation(
    State(state): SharedState,
    caller: InternalOrNode,
    PathUser(user): PathUser<THIRD>,
) -> HandlerResult<RevocationResponse> {
    if let InternalOrNode::Node = caller {
        let read = state.engine.read_revocations(Some(&user)).await;
        read.map_err(EngineError::from)?;
    }
    let before = state.engine.revoked_before(&user);
    Ok(Json(RevocationResponse {
        before: before.map(|before| before.record_time(None)),
    }))
}

/// An empty body asks for nothing in particular.
fn parse(bytes: &[u8]) -> Result<Revoke, ApiError> {
    if bytes.is_empty() {
        return Ok(Revoke::default());
    }
    let fields: RevokeFields<'_> = body::object(bytes)?;
    Ok(Revoke {
        before: body::optional(fields.before, "before")?,
    })
}

/// Nobody means a time that is still to come: until then, the user could not connect with any token.
fn not_ahead(before: SystemWall, now: SystemWall) -> Result<SystemWall, ApiError> {
    match before <= now.after(CLOCK_TOLERANCE) {
        true => Ok(before),
        false => {
            let what = format!("lies in the future: the daemon's clock says {}", now.record_time(None));
            Err(body::invalid("before", &what))
        }
    }
}

#[cfg(test)]
mod tests {
    use presence::Wall;
    use presence::wire::error_code::Code;

    use super::*;

    #[test]
    fn a_body_without_a_time_asks_for_now() {
        for text in ["", "{}", r#"{"before":null}"#] {
            assert_eq!(parse(text.as_bytes()).ok(), Some(Revoke::default()), "{text}");
        }
        for (text, millis) in [
            (r#"{"before":"1970-01-01T00:00:01.002Z"}"#, 1_002),
            (r#"{"before":"1970-01-01T02:00:01+02:00"}"#, 1_000),
        ] {
            let before = parse(text.as_bytes()).ok().and_then(|revoke| revoke.before);
            assert_eq!(before, Some(Wall::from_millis(millis)), "{text}");
        }
        for text in [r#"{"before":1}"#, r#"{"before":"yesterday"}"#, r#"{"before":""}"#] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.code, Code::InvalidValue, "{text}");
        }
        assert_eq!(parse(b" ").unwrap_err().code, Code::InvalidJson);
    }

    #[test]
    fn a_time_is_ahead_of_the_clock_by_five_seconds_at_most() {
        let now = SystemWall::from_millis(1_000_000);
        assert!(not_ahead(SystemWall::from_millis(1_005_000), now).is_ok());
        assert!(not_ahead(SystemWall::from_millis(-1), now).is_ok());
        let error = not_ahead(SystemWall::from_millis(1_005_001), now).unwrap_err();
        assert_eq!(error.code, Code::InvalidValue);
    }
}
