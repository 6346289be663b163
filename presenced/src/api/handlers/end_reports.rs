//! `DELETE /api/reports/{source}`: an operator ends all reports of a gateway that is gone, page by page.

use axum::Json;
use axum::extract::{RawQuery, State};
use presence::wire::rest::EndedReports;

use super::HandlerResult;
use crate::api::caller::Internal;
use crate::api::path::{PathSource, THIRD};
use crate::api::{SharedState, listing};

pub(in crate::api) async fn end_reports(
    State(state): SharedState,
    _: Internal,
    PathSource(source): PathSource<THIRD>,
    RawQuery(query): RawQuery,
) -> HandlerResult<EndedReports> {
    let after = listing::parse_cursor(query.as_deref().unwrap_or_default())?;
    let done = state.engine.end_reports_of(&source, after).await?;
    tracing::info!(
        source = source.as_str(),
        ended = done.ended,
        "ended the reports of a source"
    );
    Ok(Json(EndedReports {
        ended: done.ended,
        next: done.next.as_deref().map(listing::encode_cursor),
    }))
}
