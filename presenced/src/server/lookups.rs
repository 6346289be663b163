//! Requests for one record, which are answered without the router: servers of applications make them for each page that they
//! render. What such a request means is not decided here.

use std::pin::Pin;
use std::sync::Arc;

use axum::http::Method;
use axum::response::Response;
use hyper::body::Incoming;

use super::upgrades::Requester;

/// A response that may have to be waited for.
pub(crate) type FutureResponse = Pin<Box<dyn Future<Output = Response> + Send>>;

/// Answers a request.
pub(crate) type AnswerLookup = dyn Fn(hyper::Request<Incoming>, Requester) -> FutureResponse + Send + Sync;

/// Which requests are answered without the router, and by whom.
#[derive(Clone)]
pub(crate) struct Lookups {
    /// Whether it is such a request, by its method and path.
    pub(crate) take: fn(&Method, &str) -> bool,
    pub(crate) answer: Arc<AnswerLookup>,
}
