//! Who may make a call: the credentials of each kind of caller, and the errors of those who may not.

use presence::wire::error_code::Code;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};

use super::parameters;

/// The kinds of caller, as the extractors of [`crate::api::caller`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallerKind {
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
const USER: &str = "trustedUserId";
const NODE: &str = "nodeToken";

pub(super) fn schemes() -> [(&'static str, SecurityScheme); 4] {
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "A JWT of at most 16 KiB, signed with HS256, RS256, ES256 or EdDSA as the configured key says. `sub` is the user id, \
             `exp` is required.",
        ));
    [
        (
            SECRET,
            header(
                "x-secret-token",
                "The internal secret, for back ends and operators. `x-user-id` or `x-user-id-encoded` beside it names the user \
                 on whose behalf they call.",
            ),
        ),
        (TOKEN, SecurityScheme::Http(token.build())),
        (
            USER,
            header(
                "x-user-id",
                "The user id alone: from an address that the operator trusts, by default loopback, for development and for proxies \
                 that authenticate users.",
            ),
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

fn header(name: &str, description: &str) -> SecurityScheme {
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, description)))
}

/// The credentials of a caller, one of which is needed.
pub(super) fn requirements(caller: CallerKind) -> Vec<SecurityRequirement> {
    let alternatives: &[&str] = match caller {
        CallerKind::Probe | CallerKind::Anyone => &[],
        CallerKind::Internal | CallerKind::InternalFor => &[SECRET],
        CallerKind::InternalOrNode => &[SECRET, NODE],
        CallerKind::User | CallerKind::Any => &[TOKEN, SECRET, USER],
    };
    let requirement = |name: &&str| SecurityRequirement::new(*name, [""; 0]);
    alternatives.iter().map(requirement).collect()
}

/// The headers with which an internal caller names a user.
pub(super) fn parameters(caller: CallerKind) -> Vec<Parameter> {
    match caller {
        CallerKind::InternalFor | CallerKind::User | CallerKind::Any => parameters::acting_user().into(),
        CallerKind::Probe | CallerKind::Anyone | CallerKind::Internal | CallerKind::InternalOrNode => Vec::new(),
    }
}

/// The codes of requests that come from somebody else.
pub(super) const fn errors(caller: CallerKind) -> &'static [Code] {
    match caller {
        CallerKind::Probe => &[],
        CallerKind::Anyone => &[Code::MisdirectedRequest],
        CallerKind::Internal | CallerKind::InternalOrNode | CallerKind::Any => &[
            Code::InvalidUserId,
            Code::Unauthenticated,
            Code::Forbidden,
            Code::MisdirectedRequest,
        ],
        CallerKind::InternalFor | CallerKind::User => &[
            Code::InvalidUserId,
            Code::MissingUser,
            Code::Unauthenticated,
            Code::Forbidden,
            Code::MisdirectedRequest,
        ],
    }
}
