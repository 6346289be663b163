//! `GET /api/presence`: the present users, page by page.

use axum::Json;
use axum::extract::{RawQuery, State};
use presence::wire::rest::Page;

use super::HandlerResult;
use crate::api::caller::Internal;
use crate::api::{SharedState, listing};

pub(in crate::api) async fn list_present(
    State(state): SharedState,
    _: Internal,
    RawQuery(query): RawQuery,
) -> HandlerResult<Page> {
    let request = listing::parse(query.as_deref().unwrap_or_default())?;
    let page = state.engine.list(&request);
    Ok(Json(Page {
        next: page.next.as_deref().map(listing::encode_cursor),
        ..page
    }))
}
