//! The parameters of calls, with their limits.

use presence::UserId;
use presence::report::SOURCE_MAX_BYTES;
use presence::user_id::USER_ID_MAX_BYTES;
use presence::wire::SUBPROTOCOL;
use presence::wire::rest::PAGE_MAX_RECORDS;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Required, Schema};

use crate::api::listing::PAGE_DEFAULT_RECORDS;

pub(super) fn user() -> Parameter {
    let schema = Ref::from_schema_name(UserId::name());
    path("userId", "The user, percent-encoded.", schema)
}

/// The headers with which an internal caller names the user on whose behalf it calls.
pub(super) fn acting_user() -> [Parameter; 2] {
    let limits = format!("1 to {USER_ID_MAX_BYTES} bytes of UTF-8");
    let raw = format!(
        "The user, {limits} as they are; most HTTP libraries can send ASCII alone. A call on behalf of a user needs it or \
         `x-user-id-encoded`, and not both. Empty, it counts as absent. Beside a token it names the same user."
    );
    let encoded = format!("The user, {limits}, percent-encoded. Only beside the internal secret or a token.");
    [
        header(
            "x-user-id",
            &raw,
            Required::False,
            text().max_length(Some(USER_ID_MAX_BYTES)),
        ),
        header(
            "x-user-id-encoded",
            &encoded,
            Required::False,
            // Each byte may take three.
            text()
                .max_length(Some(3 * USER_ID_MAX_BYTES))
                .pattern(Some("^(?:[!-$&-~]|%[0-9A-Fa-f]{2})*$")),
        ),
    ]
}

/// Of every call. Its schema allows what it says is replaced: that is no error.
pub(super) fn request_id() -> Parameter {
    let description = "The id of the request, for the response and the log: 1 to 128 visible characters of ASCII. Another one is replaced.";
    header("x-request-id", description, Required::False, text())
}

pub(super) fn source() -> Parameter {
    path(
        "source",
        "The name of the gateway whose reports are ended.",
        source_schema(),
    )
}

pub(super) fn node() -> Parameter {
    path(
        "node",
        "The name of a node of the cluster, percent-encoded.",
        text().min_length(Some(1)),
    )
}

pub(super) fn source_schema() -> ObjectBuilder {
    text()
        .min_length(Some(1))
        .max_length(Some(SOURCE_MAX_BYTES))
        .pattern(Some("^[A-Za-z0-9._-]+$"))
}

pub(super) fn status() -> Parameter {
    let schema = text().enum_values(Some(["ONLINE", "IDLE", "DO_NOT_DISTURB"]));
    query("status", "Only users with this status.", schema)
}

pub(super) fn prefix() -> Parameter {
    let schema = text()
        .max_length(Some(USER_ID_MAX_BYTES))
        .pattern(Some(r"^[^\u0000-\u001F\u007F-\u009F]*$"));
    let description = format!(
        "Only users whose ids begin so: at most {USER_ID_MAX_BYTES} bytes of UTF-8 without control characters."
    );
    query("prefix", &description, schema)
}

pub(super) fn limit() -> Parameter {
    let schema = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(PAGE_MAX_RECORDS))
        .default(Some(PAGE_DEFAULT_RECORDS.into()));
    query("limit", "The most records on the page.", schema)
}

pub(super) fn cursor() -> Parameter {
    // A cursor is opaque to clients, so its form is not described.
    query("cursor", "`next` of the response before.", text().min_length(Some(2)))
}

pub(super) fn scope() -> Parameter {
    let schema = text()
        .enum_values(Some(["cluster", "node"]))
        .default(Some("cluster".into()));
    query(
        "scope",
        "`node`: without asking the other nodes for their connections.",
        schema,
    )
}

pub(super) fn ask() -> Parameter {
    let description = "`true`: each other node is asked as well, within 300 ms for all. Another value is ignored.";
    query("ask", description, text())
}

/// The headers of a WebSocket handshake.
pub(super) fn handshake() -> [Parameter; 5] {
    let constant = |value: &str| text().enum_values(Some([value]));
    let key = text().pattern(Some("^[A-Za-z0-9+/]{22}==$"));
    let subprotocols = format!("`{SUBPROTOCOL}`, and from a browser `bearer.` followed by the user's token.");
    [
        header(
            "Connection",
            "The connection is to be upgraded.",
            Required::True,
            constant("Upgrade"),
        ),
        header("Upgrade", "The protocol.", Required::True, constant("websocket")),
        header(
            "Sec-WebSocket-Version",
            "The version of the protocol.",
            Required::True,
            constant("13"),
        ),
        header("Sec-WebSocket-Key", "16 bytes in base64.", Required::True, key),
        header("Sec-WebSocket-Protocol", &subprotocols, Required::False, text()),
    ]
}

fn path(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    of(ParameterIn::Path, name, description, Required::True, schema)
}

fn query(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    of(ParameterIn::Query, name, description, Required::False, schema)
}

fn header(name: &str, description: &str, required: Required, schema: impl Into<RefOr<Schema>>) -> Parameter {
    of(ParameterIn::Header, name, description, required, schema)
}

/// Says where it is always: the default of the builder is the path.
fn of(
    place: ParameterIn,
    name: &str,
    description: &str,
    required: Required,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(schema))
        .example(None::<Value>)
        .build()
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
