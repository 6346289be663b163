//! One handler per file. Each names who may call it in its arguments, validates the request and passes it to the engine.

mod demo_page;
mod demo_token;
mod drain_node;
mod end_reports;
mod explain;
mod forget;
mod get_custom_status;
mod get_openapi;
mod get_record;
mod health;
mod kick;
mod list_present;
mod nodes;
mod put_report;
mod query_records;
mod reload;
mod revoke;
mod scrape_metrics;
mod set_custom_status;
mod stats;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use presence::wire::record::Record;
use presence::wire::rest::RecordResponse;

pub(super) use demo_page::get_demo;
pub(super) use demo_token::make_demo_token;
pub(super) use drain_node::{cancel_drain, drain_node};
pub(super) use end_reports::end_reports;
pub(super) use explain::explain;
pub(super) use forget::forget;
pub(super) use get_custom_status::get_custom_status;
pub(super) use get_openapi::get_openapi;
pub(super) use get_record::{get_record, look_up};
pub(super) use health::{health, ready};
pub(super) use kick::kick;
pub(super) use list_present::list_present;
pub(super) use nodes::nodes;
pub(super) use put_report::put_report;
pub(super) use query_records::query_records;
pub(super) use reload::reload;
pub(super) use revoke::{get_revocation, revoke};
pub(super) use scrape_metrics::scrape_metrics;
pub(super) use set_custom_status::set_custom_status;
pub(super) use stats::stats;

use crate::clock::Clock;
use crate::server::ApiError;

/// A response, or why the request was not served.
type HandlerResult<T> = Result<Json<T>, ApiError>;

/// One record, and the server's clock, against which clients read its times.
fn record_response(clock: &Clock, record: Record) -> Response {
    let now = clock.record_time(record.latest_time());
    let json = RecordResponse { now, record }.encode();
    let mut response = Response::new(Body::from(json));
    let content_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
