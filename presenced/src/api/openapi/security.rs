//! Who may make a call: the credentials of each kind of caller, and the errors of those who may not.

use presence::wire::error_code::Code;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};

/// The kinds of caller, as the extractors of [`crate::api::caller`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// No credential is read, and any `Host` will do.
    Probe,
    /// No credential is read.
    Anyone,
    Internal,
    InternalOrNode,
    /// An internal caller who names a user.
    InternalFor,
    /// A user, or an internal caller who names one.
    User,
    /// A user or an internal caller.
    Any,
}

const SECRET: &str = "internalSecret";
const TOKEN: &str = "userToken";
const USER: &str = "userId";
const ENCODED_USER: &str = "userIdEncoded";
const NODE: &str = "nodeToken";

pub(super) fn schemes() -> [(&'static str, SecurityScheme); 5] {
    let header = |name: &str, description: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, description)))
    };
    [
        (SECRET, header("x-secret-token", "The internal secret, for back ends and operators.")),
        (
            TOKEN,
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .bearer_format("JWT")
                    .description(Some(
                        "A JWT of at most 16 KiB, signed with HS256, RS256, ES256 or EdDSA as the configured key says. `sub` is the user \
                         id, `exp` is required.",
                    ))
                    .build(),
            ),
        ),
        (
            USER,
            header(
                "x-user-id",
                "The user id in raw UTF-8: beside the internal secret, or alone from an address that the operator trusts (by default \
                 loopback, for development).",
            ),
        ),
        (
            ENCODED_USER,
            header("x-user-id-encoded", "The user id in percent-encoded UTF-8, beside the internal secret."),
        ),
        (
            NODE,
            header(
                "x-node-token",
                "A keyed digest of the request, with which the nodes of a cluster ask each other.",
            ),
        ),
    ]
}

/// The credentials of a caller: each list is an alternative.
pub(super) fn requirements(caller: Caller) -> Vec<SecurityRequirement> {
    let alternatives: &[&[&str]] = match caller {
        Caller::Probe | Caller::Anyone => &[],
        Caller::Internal => &[&[SECRET]],
        Caller::InternalOrNode => &[&[SECRET], &[NODE]],
        Caller::InternalFor => &[&[SECRET, USER], &[SECRET, ENCODED_USER]],
        Caller::User => &[&[TOKEN], &[SECRET, USER], &[SECRET, ENCODED_USER], &[USER]],
        Caller::Any => &[&[TOKEN], &[SECRET], &[SECRET, USER], &[SECRET, ENCODED_USER], &[USER]],
    };
    let requirement = |names: &&[&str]| {
        let none = SecurityRequirement::default();
        names.iter().fold(none, |all, name| all.add(*name, [""; 0]))
    };
    alternatives.iter().map(requirement).collect()
}

/// The codes of requests that come from somebody else.
pub(super) const fn errors(caller: Caller) -> &'static [Code] {
    match caller {
        Caller::Probe => &[],
        Caller::Anyone => &[Code::MisdirectedRequest],
        Caller::Internal | Caller::InternalOrNode | Caller::Any => &[
            Code::InvalidUserId,
            Code::Unauthenticated,
            Code::Forbidden,
            Code::MisdirectedRequest,
        ],
        Caller::InternalFor | Caller::User => &[
            Code::InvalidUserId,
            Code::MissingUser,
            Code::Unauthenticated,
            Code::Forbidden,
            Code::MisdirectedRequest,
        ],
    }
}
