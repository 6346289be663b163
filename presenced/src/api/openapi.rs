//! The OpenAPI document of the API, for `/openapi.json`. Schemas come from the wire types, statuses from the error codes, limits
//! from the settings. [`calls`] has a description of each route; a test compares them with the router.

mod bodies;
mod call;
mod calls;
mod limits;
mod nullable;
mod parameters;
mod responses;
mod security;

use std::sync::Arc;

use axum::body::Bytes;
use parking_lot::Mutex;
use presence::wire::error_code::Code;
use presence::wire::rest::Problem;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::tag::Tag;
use utoipa::openapi::{
    Components, InfoBuilder, License, OpenApi, OpenApiVersion, PathItem, PathsBuilder, ServerBuilder,
};

use self::call::Call;
use crate::limits::{Limits, LimitsInEffect};
use crate::server::ConnectionBounds;

const DESCRIPTION: &str = "\
Who is here, which status they chose, and when they were last active.

Bodies are JSON objects in UTF-8, not compressed; the content type is ignored. Unknown fields and unknown query parameters are \
ignored, a duplicate key or parameter is an error. Ids in paths are percent-encoded. A path with `GET` also answers `HEAD`. \
Pages of allowed origins may make the calls whose responses have `access-control-allow-origin`; those answer the preflight, `OPTIONS`, too. \
Later versions may add fields, error codes and calls.

An error is a problem document (RFC 9457) with a stable `code`. A request with a malformed head is answered 400 without a body, one \
with a head beyond the limits 431 without a body. A path that does not exist is answered 404 `not_found`, a method that a path does not have \
405 `method_not_allowed`. `x-limits` lists the limits of this daemon; the messages of WebSockets are described in docs/protocol.md.";

/// The groups of calls.
const TAGS: [(&str, &str); 4] = [
    (call::USERS, "Calls of users, and of back ends for them."),
    (call::OPERATORS, "Calls of back ends and operators."),
    (
        call::PROBES,
        "For probes, Prometheus and generators of clients; no credential is needed.",
    ),
    (call::WEBSOCKET, "The connection of a user or an observer."),
];

/// The document, made when it is asked for and kept until other limits are in effect.
#[derive(Debug, Default)]
pub(crate) struct OpenApiDocument(Mutex<Option<Made>>);

#[derive(Debug)]
struct Made {
    limits: Arc<LimitsInEffect>,
    connections: ConnectionBounds,
    document: Bytes,
}

impl OpenApiDocument {
    pub(super) fn of(&self, limits: Arc<LimitsInEffect>, connections: ConnectionBounds) -> Bytes {
        let mut made = self.0.lock();
        if let Some(made) = made.as_ref()
            && Arc::ptr_eq(&made.limits, &limits)
            && made.connections == connections
        {
            return made.document.clone();
        }
        let document = document(&limits, connections);
        *made = Some(Made {
            limits,
            connections,
            document: document.clone(),
        });
        document
    }
}

/// The document as JSON. `connections` are the bounds in effect, which the settings may leave open.
pub(super) fn document(limits: &Limits, connections: ConnectionBounds) -> Bytes {
    let calls = calls::all(limits);
    let document = OpenApi::builder()
        .openapi(OpenApiVersion::Version31)
        .info(
            InfoBuilder::new()
                .title("presenced")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(DESCRIPTION))
                .license(Some(
                    License::builder()
                        .name("Apache-2.0")
                        .identifier(Some("Apache-2.0"))
                        .build(),
                ))
                .extensions(Some(Extensions::from_iter([(
                    "x-limits",
                    limits::of(limits, connections),
                )]))),
        )
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .tags(Some(TAGS.map(|(name, description)| {
            Tag::builder().name(name).description(Some(description)).build()
        })))
        .components(Some(components(&calls)))
        .paths(paths(calls))
        .build();
    let mut json = serde_json::to_value(&document).unwrap_or_default();
    nullable::make_optional_fields_non_null(&mut json);
    json.to_string().into()
}

fn paths(calls: Vec<Call>) -> PathsBuilder {
    calls.into_iter().fold(PathsBuilder::new(), |paths, call| {
        paths.path(call.path, PathItem::new(call.method.clone(), call.into_operation()))
    })
}

/// The schemas that calls refer to, and what many responses have in common.
fn components(calls: &[Call]) -> Components {
    let mut schemas = bodies::schemas();
    call::schemas_of::<Problem>(&mut schemas);
    for add in calls.iter().filter_map(|call| call.schemas) {
        add(&mut schemas);
    }
    let builder = Components::builder().schemas_from_iter(schemas);
    let builder = responses::headers()
        .into_iter()
        .fold(builder, |builder, (name, header)| builder.header(name, header));
    security::schemes()
        .into_iter()
        .fold(builder, |builder, (name, scheme)| builder.security_scheme(name, scheme))
        .response("NotFound", responses::error(Code::NotFound))
        .response("MethodNotAllowed", responses::error(Code::MethodNotAllowed))
        .build()
}
