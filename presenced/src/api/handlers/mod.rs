//! One handler per file. Each names who may call it in its arguments, validates the request and passes it to the engine.

mod custom_status;
mod end_sessions;
mod explain;
mod forget_user;
mod health;
mod list_present;
mod put_report;
mod query_records;
mod record;
mod scrape;
mod set_custom_status;
mod stats;

use axum::Json;
use presence::Wall;
use presence::wire::record::Record;
use serde::Serialize;

pub(super) use custom_status::custom_status;
pub(super) use end_sessions::end_sessions;
pub(super) use explain::explain;
pub(super) use forget_user::forget_user;
pub(super) use health::{health, ready};
pub(super) use list_present::list_present;
pub(super) use put_report::put_report;
pub(super) use query_records::query_records;
pub(super) use record::record;
pub(super) use scrape::scrape;
pub(super) use set_custom_status::set_custom_status;
pub(super) use stats::stats;

use crate::server::ApiError;

/// A response, or why the request was not served.
type HandlerResult<T> = Result<Json<T>, ApiError>;

/// One record, and the server's clock, against which clients read its times.
#[derive(Debug, Serialize)]
pub(super) struct RecordResponse {
    now: Wall,
    #[serde(flatten)]
    record: Record,
}
