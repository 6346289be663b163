//! The responses of calls: bodies and headers of successes, and errors with their codes.

use axum::http::StatusCode;
use presence::wire::error_code::Code;
use presence::wire::rest::Problem;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{Content, Ref, RefOr, Response, Schema};

/// The headers that the API sends, by the names under which responses refer to them.
pub(super) fn headers() -> Vec<(&'static str, Header)> {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    vec![
        (
            "CacheControl",
            always("No cache may store a response.", constant("no-store")),
        ),
        (
            "ContentTypeOptions",
            always("No browser may guess the type.", constant("nosniff")),
        ),
        (
            "RequestId",
            sometimes(
                "The id of the request: the client's if that is valid, else one that is made; a record that was looked up without \
                 one has none.",
                text(),
            ),
        ),
        ("RetryAfter", always("After how many seconds to try again.", number)),
        (
            "Authenticate",
            always("The scheme of a credential in `Authorization`.", constant("Bearer")),
        ),
        ("Allow", always("The methods of the path.", text())),
        ("Vary", sometimes("`origin` on calls that pages may make.", text())),
        (
            "AllowOrigin",
            sometimes("The origin of the page, if it is allowed.", text()),
        ),
        (
            "ExposeHeaders",
            sometimes(
                "The headers that a page of an allowed origin may read.",
                constant("retry-after, x-request-id"),
            ),
        ),
        (
            "VaryAccept",
            always("The format depends on `Accept`.", constant("accept")),
        ),
        (
            "Upgrade",
            always("The protocol of the connection.", constant("websocket")),
        ),
        (
            "Connection",
            always("The connection changes its protocol.", constant("upgrade")),
        ),
        (
            "WebSocketVersion",
            always("The version of the protocol.", constant("13")),
        ),
        ("WebSocketAccept", always("The answer to `Sec-WebSocket-Key`.", text())),
        (
            "WebSocketProtocol",
            sometimes("The subprotocol, if any was offered.", constant("presence.v1")),
        ),
    ]
}

/// A body of JSON.
pub(super) fn json(description: &str, schema: impl Into<RefOr<Schema>>, is_for_pages: bool) -> Response {
    usual(description, is_for_pages)
        .content("application/json", Content::new(Some(schema)))
        .build()
}

/// The metrics, in either format.
pub(super) fn metrics() -> Response {
    usual("All metrics.", false)
        .content("application/openmetrics-text", Content::new(Some(text())))
        .content("text/plain", Content::new(Some(text())))
        .header_ref("vary", header("VaryAccept"))
        .build()
}

/// The connection becomes a WebSocket.
pub(super) fn switching_protocols() -> Response {
    usual("The connection is a WebSocket; the first message is `welcome`.", false)
        .header_ref("connection", header("Connection"))
        .header_ref("upgrade", header("Upgrade"))
        .header_ref("sec-websocket-accept", header("WebSocketAccept"))
        .header_ref("sec-websocket-protocol", header("WebSocketProtocol"))
        .build()
}

/// The error with this code alone.
pub(super) fn error(code: Code) -> Response {
    error_of(code.http_status(), &[code], false)
}

/// The errors of one status.
pub(super) fn error_of(status: u16, codes: &[Code], is_for_pages: bool) -> Response {
    let names: Vec<String> = codes.iter().map(Code::to_string).collect();
    let title = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    let description = format!("{}: `{}`.", title.unwrap_or_default(), names.join("`, `"));
    let of_status = ObjectBuilder::new()
        .property(
            "status",
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .enum_values(Some([status])),
        )
        .property("code", text().enum_values(Some(names)));
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name(Problem::name()))
        .item(of_status);
    let mut response =
        usual(&description, is_for_pages).content("application/problem+json", Content::new(Some(schema)));
    for (name, of_code) in headers_of(codes) {
        response = response.header_ref(*name, header(of_code));
    }
    response.build()
}

/// The headers that a response has with each of these codes.
fn headers_of(codes: &[Code]) -> &'static [(&'static str, &'static str)] {
    match codes {
        [Code::RateLimited] => &[("retry-after", "RetryAfter")],
        [Code::Unauthenticated] => &[("www-authenticate", "Authenticate")],
        [Code::MethodNotAllowed] => &[("allow", "Allow")],
        [Code::UpgradeRequired] => &[
            ("upgrade", "Upgrade"),
            ("connection", "Connection"),
            ("sec-websocket-version", "WebSocketVersion"),
        ],
        _ => &[],
    }
}

/// A response with the headers that all have.
fn usual(description: &str, is_for_pages: bool) -> ResponseBuilder {
    let response = ResponseBuilder::new()
        .description(description)
        .header_ref("cache-control", header("CacheControl"))
        .header_ref("x-content-type-options", header("ContentTypeOptions"))
        .header_ref("x-request-id", header("RequestId"));
    match is_for_pages {
        false => response,
        true => response
            .header_ref("vary", header("Vary"))
            .header_ref("access-control-allow-origin", header("AllowOrigin"))
            .header_ref("access-control-expose-headers", header("ExposeHeaders")),
    }
}

fn header(name: &str) -> Ref {
    Ref::new(format!("#/components/headers/{name}"))
}

fn always(description: &str, schema: impl Into<RefOr<Schema>>) -> Header {
    // The builder has no field for it; it writes extensions beside the other fields.
    let required = Extensions::from_iter([("required", Value::Bool(true))]);
    of(description, schema).extensions(Some(required)).build()
}

fn sometimes(description: &str, schema: impl Into<RefOr<Schema>>) -> Header {
    of(description, schema).build()
}

fn of(description: &str, schema: impl Into<RefOr<Schema>>) -> HeaderBuilder {
    HeaderBuilder::new().schema(Some(schema)).description(Some(description))
}

fn constant(value: &str) -> ObjectBuilder {
    text().enum_values(Some([value]))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
