//! `GET /api/presence`: the present users, page by page.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use presence::wire::rest::Page;

use crate::api::caller::{AnyCaller, Internal};
use crate::api::{SharedState, answers, listing};
use crate::server::ApiError;

pub(in crate::api) async fn list_present(
    State(state): SharedState,
    _: Internal,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let request = listing::parse(query.as_deref().unwrap_or_default())?;
    let place = state.answers.take(&AnyCaller::Internal, state.body_timeout()).await?;
    let page = state.engine.list(&request);
    let page = Page {
        next: page.next.as_deref().map(listing::encode_cursor),
        ..page
    };
    Ok(answers::answer(place, page.encode()))
}
