//! The bodies of requests. Handlers read them field by field, so their schemas are written down here. A field that is optional may be null.

use presence::report::REPORT_TTL_MAX_SECONDS;
use presence::wire::record::Record;
use presence::wire::rest::{QUERY_MAX_IDS, RecordResponse};
use presence::{Actor, CustomStatus, Status, UserId, Wall};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::call::{Schemas, schemas_of};
use super::parameters::source_schema;

pub(super) const CUSTOM_STATUS: &str = "SetCustomStatus";
pub(super) const REPORT: &str = "Report";
pub(super) const QUERY: &str = "Query";
pub(super) const REVOKE: &str = "Revoke";
/// The schemas of requests.
pub(super) const NAMES: [&str; 4] = [CUSTOM_STATUS, REPORT, QUERY, REVOKE];

/// The record of one user, with the server's clock.
pub(super) struct RecordAndNow;

impl PartialSchema for RecordAndNow {
    fn schema() -> RefOr<Schema> {
        // Names the fields, so that one that is added has to be described.
        let _ = |RecordResponse { now: _, record: _ }: RecordResponse| ();
        let now = ObjectBuilder::new()
            .property("now", reference::<Wall>())
            .required("now");
        AllOfBuilder::new()
            .item(reference::<Record>())
            .item(now)
            .description(Some(
                "A presence record, and the server's clock, against which its times are read.",
            ))
            .into()
    }
}

impl ToSchema for RecordAndNow {
    fn name() -> std::borrow::Cow<'static, str> {
        "RecordResponse".into()
    }

    fn schemas(schemas: &mut Schemas) {
        schemas_of::<Record>(schemas);
    }
}

/// A required body of at most so many bytes.
pub(super) fn of(schema: &str, limit: usize, example: serde_json::Value) -> RequestBody {
    body(schema, limit, example, Required::True)
}

/// The same, which may be missing.
pub(super) fn optional(schema: &str, limit: usize, example: serde_json::Value) -> RequestBody {
    body(schema, limit, example, Required::False)
}

fn body(schema: &str, limit: usize, example: serde_json::Value, required: Required) -> RequestBody {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .example(Some(example));
    RequestBodyBuilder::new()
        .description(Some(format!(
            "At most {limit} bytes; 413 beyond. It is read as JSON whatever its content type says."
        )))
        .content("application/json", content.build())
        .required(Some(required))
        .build()
}

/// The schemas of the bodies, and those that they refer to.
pub(super) fn schemas() -> Schemas {
    let bodies = [
        (CUSTOM_STATUS, custom_status()),
        (REPORT, report()),
        (QUERY, query()),
        (REVOKE, revoke()),
    ];
    let mut schemas: Schemas = bodies.map(|(name, schema)| (name.to_owned(), schema)).into();
    schemas_of::<CustomStatus>(&mut schemas);
    schemas_of::<Status>(&mut schemas);
    schemas_of::<Actor>(&mut schemas);
    schemas_of::<UserId>(&mut schemas);
    schemas
}

fn custom_status() -> RefOr<Schema> {
    ObjectBuilder::new()
        .property("customStatus", reference::<CustomStatus>())
        .required("customStatus")
        .property(
            "by",
            or_null(
                reference::<Actor>(),
                "Who sets it, `user` if absent. `operator` needs the internal secret.",
            ),
        )
        .into()
}

fn report() -> RefOr<Schema> {
    // Generators of clients take a field with a default for one that is always there.
    let update = nullable(Type::Boolean).description(Some(
        "Whether last active becomes the moment of the request; it does not if this is absent.",
    ));
    let ttl = nullable(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(REPORT_TTL_MAX_SECONDS))
        .description(Some(
            "The report ends so long after the request; without it, it does not expire.",
        ));
    let source = "The name of the gateway, `gateway` if absent. Each has one report per user.";
    ObjectBuilder::new()
        .property("status", reference::<Status>())
        .required("status")
        .property("updateLastActive", update)
        .property("source", or_null(source_schema(), source))
        .property("ttlSeconds", ttl)
        .into()
}

fn query() -> RefOr<Schema> {
    let ids = ArrayBuilder::new()
        .items(reference::<UserId>())
        .max_items(Some(QUERY_MAX_IDS))
        .description(Some("The users to look up; more than that are `too_many`."));
    ObjectBuilder::new().property("userIds", ids).required("userIds").into()
}

fn revoke() -> RefOr<Schema> {
    let before = "Tokens that were issued before this are revoked: now if absent, and 5 s from now at most.";
    ObjectBuilder::new()
        .property("before", or_null(reference::<Wall>(), before))
        .into()
}

fn reference<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

fn nullable(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null]))
}

fn or_null(schema: impl Into<RefOr<Schema>>, description: &str) -> OneOfBuilder {
    let null = ObjectBuilder::new().schema_type(Type::Null);
    OneOfBuilder::new()
        .item(schema)
        .item(null)
        .description(Some(description))
}
