//! The schemas of the wire types that are texts or numbers of their own. Those of all others are derived from the types.

use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::revision::Revision;
use crate::time::Wall;
use crate::user_id::{USER_ID_MAX_BYTES, UserId};

/// The text between its ends has no control character, and its ends no white space either. Control characters are those of the
/// Unicode category Cc, white space is what has the Unicode property of that name.
const USER_ID_PATTERN: &str = concat!(
    r"^(?!\.{1,2}$)",
    r"[^\u0000-\u0020\u007F-\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000]",
    r"(?:[^\u0000-\u001F\u007F-\u009F]*",
    r"[^\u0000-\u0020\u007F-\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000])?$"
);

impl PartialSchema for UserId {
    fn schema() -> RefOr<Schema> {
        text()
            .min_length(Some(1))
            .max_length(Some(USER_ID_MAX_BYTES))
            .pattern(Some(USER_ID_PATTERN))
            .description(Some(format!(
                "1 to {USER_ID_MAX_BYTES} bytes of UTF-8 without control characters, without white space at the ends, and neither `.` nor `..`. \
                 Ids are compared byte for byte."
            )))
            .into()
    }
}

impl ToSchema for UserId {}

impl PartialSchema for Wall {
    fn schema() -> RefOr<Schema> {
        text()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .pattern(Some(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$"))
            .description(Some("RFC 3339, UTC, with three decimals, by the server's clock."))
            .into()
    }
}

impl ToSchema for Wall {
    fn name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }
}

impl PartialSchema for Revision {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(Self::NEVER.get()))
            .maximum(Some(Self::MAX.get()))
            .description(Some(
                "Grows with each published change of the user. Revisions of different users are not comparable.",
            ))
            .into()
    }
}

impl ToSchema for Revision {}

fn text() -> ObjectBuilder {
    Object::builder().schema_type(Type::String)
}
