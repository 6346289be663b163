//! Reads request bodies: checks encoding and length, reads the bytes within a limit and a timeout, then parses strictly as a
//! JSON object whose fields are parsed one by one, so that each invalid value gets its own code.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use presence::wire::error_code::Code;
use presence::wire::strict;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::server::{ApiError, within_client_time};

/// Most bytes that are read and discarded of a body that is too large, so that its sender sees the response.
const DISCARD_MAX_BYTES: usize = 1024 * 1024;

/// Reads a body of at most `limit` bytes.
pub(super) async fn read(request: Request, limit: usize, timeout: Duration) -> Result<Bytes, ApiError> {
    check_encoding(request.headers())?;
    let expects = request.headers().contains_key(header::EXPECT);
    let mut body = request.into_body();
    let too_large = || {
        ApiError::new(
            Code::TooLarge,
            format!("request body too large: the limit is {limit} bytes"),
        )
    };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        // A client that waits for `100 Continue` has sent nothing yet, and reading would make it send the whole body.
        if !expects {
            discard(body, timeout);
        }
        return Err(too_large());
    }
    let collected = Limited::new(&mut body, limit).collect();
    match within_client_time(timeout, collected).await {
        Some(Ok(collected)) => Ok(collected.to_bytes()),
        Some(Err(error)) if error.is::<LengthLimitError>() => {
            discard(body, timeout);
            Err(too_large())
        }
        Some(Err(_)) => Err(ApiError::new(Code::InvalidJson, "incomplete request body")),
        None => Err(ApiError::new(
            Code::RequestTimeout,
            format!("request body not received within {timeout:?}"),
        )),
    }
}

/// A body is parsed as JSON whatever its content type: `curl -d` sends that of a form. This allows no cross-site request,
/// because every call with a body needs a credential in a header, which a browser sends to another origin only after a
/// preflight.
fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Err(ApiError::new(
            Code::UnsupportedMediaType,
            "unsupported Content-Encoding: send the body unencoded",
        ));
    }
    Ok(())
}

/// Reads and discards the rest of a body, within bounds: a connection that is closed with unread bytes is reset, and its
/// client may never see the response. The response does not wait for that: a client that announced a body may send none before
/// it, and on a long way the rest takes some round trips. It may take as long as a body that is read, and the connection waits no
/// longer than for the head of a request.
fn discard(body: Body, timeout: Duration) {
    let mut rest = Limited::new(body, DISCARD_MAX_BYTES);
    tokio::spawn(within_client_time(timeout, async move {
        while let Some(Ok(_)) = rest.frame().await {}
    }));
}

/// Parses a JSON object strictly. `T` has a raw field for each known key.
pub(super) fn object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ApiError> {
    let invalid_json = |why: String| ApiError::new(Code::InvalidJson, why);
    strict::check(bytes).map_err(|error| invalid_json(error.to_string()))?;
    // serde accepts an array for a struct, field by field.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(invalid_json("the request body must be a JSON object".into()));
    }
    serde_json::from_slice(bytes).map_err(|error| invalid_json(error.to_string()))
}

/// The value of a field; none if it is absent or null.
pub(super) fn optional<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>, name: &str) -> Result<Option<T>, ApiError> {
    let Some(raw) = raw else { return Ok(None) };
    match serde_json::from_str::<Option<T>>(raw.get()) {
        Ok(value) => Ok(value),
        Err(_) => Err(invalid(name, "has a value of the wrong type")),
    }
}

/// The value of a required field.
pub(super) fn required<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>, name: &str) -> Result<T, ApiError> {
    optional(raw, name)?.ok_or_else(|| invalid(name, "is missing"))
}

/// An error about the field `name`: `what` completes the sentence.
pub(super) fn invalid(name: &str, what: &str) -> ApiError {
    ApiError::new(Code::InvalidValue, format!("field {name:?} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct TestFields<'a> {
        #[serde(borrow)]
        value: Option<&'a RawValue>,
    }

    #[test]
    fn only_one_object_without_duplicate_keys_is_accepted() {
        let depth = |levels: usize| {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            format!(r#"{{"value":{open}{close}}}"#)
        };
        for good in ["{}", " {\"value\":1}\n", r#"{"other":[{}]}"#, &depth(100)] {
            assert!(object::<TestFields<'_>>(good.as_bytes()).is_ok(), "{good}");
        }
        let hostile: [&[u8]; 14] = [
            b"",
            b"{",
            b"[]",
            b"[1]",
            b"null",
            b"\"value\"",
            b"{\"value\":1}x",
            b"{\"value\":1,\"value\":2}",
            b"{\"other\":{\"a\":1,\"a\":1}}",
            b"{\"value\":\"\xff\"}",
            b"{value:1}",
            b"{\"value\":01}",
            b"\xef\xbb\xbf{}",
            depth(5000).leak().as_bytes(),
        ];
        for bytes in hostile {
            let error = object::<TestFields<'_>>(bytes).unwrap_err();
            assert_eq!(error.code, Code::InvalidJson, "{bytes:?}");
        }
    }

    #[test]
    fn an_optional_field_is_absent_null_or_of_its_type() {
        let fields = |text: &'static str| object::<TestFields<'static>>(text.as_bytes()).unwrap();
        assert_eq!(optional::<u64>(fields("{}").value, "value"), Ok(None));
        assert_eq!(optional::<u64>(fields(r#"{"value":null}"#).value, "value"), Ok(None));
        assert_eq!(optional::<u64>(fields(r#"{"value":7}"#).value, "value"), Ok(Some(7)));
        for bad in [
            r#"{"value":-1}"#,
            r#"{"value":1.5}"#,
            r#"{"value":"7"}"#,
            r#"{"value":{}}"#,
        ] {
            let error = optional::<u64>(fields(bad).value, "value").unwrap_err();
            assert_eq!(error.code, Code::InvalidValue);
        }
        assert!(required::<u64>(fields("{}").value, "value").is_err());
    }
}
