//! Error responses over HTTP: `application/problem+json` (RFC 9457) with a stable code. The server, the API and the
//! WebSocket upgrade share it; nothing here decides whether a request fails.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use presence::wire::error_code::Code;
use presence::wire::rest::Problem;

use crate::auth::AuthError;
use crate::exceeded_limit::Limit;
use crate::request_id::{self, REQUEST_ID, RequestId};

/// Longest detail, in bytes: some quote what the client sent.
const DETAIL_MAX_BYTES: usize = 256;

/// An error that is sent to an HTTP client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    /// The HTTP status, where it is not the code's usual one.
    status: Option<StatusCode>,
    /// What went wrong, for people.
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    /// The limit that was exceeded, if that is still to be counted.
    exceeded: Option<Limit>,
}

/// In the extensions of a response: a limit was exceeded, which whoever answers counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeded(pub(crate) Limit);

impl ApiError {
    /// An error with the usual status of its code. The detail is cut to [`DETAIL_MAX_BYTES`].
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut detail = detail.into();
        if detail.len() > DETAIL_MAX_BYTES {
            let end = detail.floor_char_boundary(DETAIL_MAX_BYTES);
            detail = Cow::Owned(format!("{}…", &detail[..end]));
        }
        Self {
            code,
            status: None,
            detail,
            retry_after: None,
            exceeded: None,
        }
    }

    /// A rate limit was exceeded; `Retry-After` says when to try again.
    pub(crate) fn rate_limited(wait: Duration, limit: Limit) -> Self {
        Self {
            retry_after: Some(wait),
            ..Self::exceeding(Code::RateLimited, limit)
        }
    }

    /// A limit was exceeded for which there is no time to wait.
    pub(crate) fn exceeding(code: Code, limit: Limit) -> Self {
        Self {
            exceeded: Some(limit),
            ..Self::new(code, limit.text())
        }
    }

    /// The excess was counted.
    pub(super) fn counted(self) -> Self {
        Self { exceeded: None, ..self }
    }

    /// A bug in the daemon. The caller has logged it.
    pub(crate) fn internal() -> Self {
        Self::new(Code::Internal, "a fault of the server")
    }

    /// Replaces the usual status of the code.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
            .or_else(|| StatusCode::from_u16(self.code.http_status()).ok())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The whole response as bytes, for a connection that is rejected without its request having been read.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        request_id::serving_now(RequestId::default(), || self.to_bytes_with_id())
    }

    fn to_bytes_with_id(&self) -> Vec<u8> {
        let status = self.status();
        let body = self.body();
        let retry_after = self
            .retry_after_seconds()
            .map_or_else(String::new, |seconds| format!("retry-after: {seconds}\r\n"));
        let id = request_id::text().map_or_else(String::new, |id| format!("{}: {id}\r\n", REQUEST_ID.as_str()));
        let head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
             cache-control: no-store\r\nx-content-type-options: nosniff\r\n{id}{retry_after}connection: close\r\n\r\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            body.len(),
        );
        [head.into_bytes(), body].concat()
    }

    fn body(&self) -> Vec<u8> {
        let status = self.status();
        let problem = Problem {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or_default().into(),
            status: status.as_u16(),
            code: self.code,
            detail: self.detail.clone().into_owned(),
            request_id: request_id::text(),
        };
        serde_json::to_vec(&problem).unwrap_or_default()
    }

    /// Rounded up: a client that comes back a fraction early would be rejected again.
    fn retry_after_seconds(&self) -> Option<u64> {
        let wait = self.retry_after?;
        Some((wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1))
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.body()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(limit) = self.exceeded {
            response.extensions_mut().insert(Exceeded(limit));
        }
        let headers = response.headers_mut();
        if self.code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// [`catching_panics`] for what needs not wait.
pub(crate) fn catching_panics_of<T: From<Response>>(work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| T::from(ApiError::internal().into_response()))
}

/// Responds with 500 if `work` panics, so that a bug fails one request instead of closing the connection silently.
pub(crate) async fn catching_panics(work: impl Future<Output = Response>) -> Response {
    let mut work = pin!(work);
    poll_fn(|context| {
        // The panic hook has logged it. State is behind locks that don't poison; nothing of `work` is used again.
        catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)))
            .unwrap_or_else(|_| Poll::Ready(ApiError::internal().into_response()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        for (millis, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (6000, 6)] {
            let error = ApiError::rate_limited(Duration::from_millis(millis), Limit::Handshakes);
            let response = error.into_response();
            assert_eq!(response.headers()["retry-after"], seconds.to_string());
        }
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let error = ApiError::new(Code::InvalidJson, "é".repeat(5000));
        assert!(error.detail.len() < 300);
        assert!(error.detail.ends_with('…'));
    }

    #[tokio::test]
    async fn a_panicking_handler_responds_with_500() {
        let response = catching_panics(async { panic!("on purpose") }).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }

    #[test]
    fn to_bytes_makes_a_whole_http_response() {
        let bytes = ApiError::new(Code::AtCapacity, "full").to_bytes();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert!(body.contains(r#""code":"at_capacity""#));
        let (_, id) = head.split_once("\r\nx-request-id: ").unwrap();
        let id = id.lines().next().unwrap();
        assert!(body.contains(&format!(r#""requestId":"{id}""#)), "{text}");
    }
}
