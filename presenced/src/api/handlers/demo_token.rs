//! `POST /demo/token`: a token of any user, for the demonstration page. Only with `--demo`, and for no other page.

use axum::Json;
use axum::extract::{Request, State};
use presence::UserId;
use presence::wire::error_code::Code;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::HandlerResult;
use crate::api::{SharedState, body};
use crate::server::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DemoTokenFields<'a> {
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
}

#[derive(Serialize)]
pub(in crate::api) struct DemoToken {
    token: String,
}

pub(in crate::api) async fn make_demo_token(State(state): SharedState, request: Request) -> HandlerResult<DemoToken> {
    state.auth.check_demo_page(request.headers())?;
    let bytes = body::read(request, state.limits.load().body_bytes, state.body_timeout()).await?;
    let user = parse(&bytes)?;
    let token = state.auth.demo_token(&user, state.clock.system());
    token
        .map(|token| Json(DemoToken { token }))
        .ok_or_else(ApiError::internal)
}

fn parse(bytes: &[u8]) -> Result<UserId, ApiError> {
    let fields: DemoTokenFields<'_> = body::object(bytes)?;
    let text: String = body::required(fields.user_id, "userId")?;
    UserId::new(&text).map_err(|why| ApiError::new(Code::InvalidUserId, why.to_string()))
}
