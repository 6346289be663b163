//! `PUT /api/user/custom-status`: a user, or an operator for a user, sets the custom status.

use axum::extract::{Request, State};
use axum::response::Response;
use presence::wire::error_code::Code;
use presence::wire::record::Viewer;
use presence::{Actor, CustomStatus};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::record_response;
use crate::api::caller::ActingUser;
use crate::api::{SharedState, body};
use crate::server::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CustomStatusFields<'a> {
    #[serde(borrow)]
    custom_status: Option<&'a RawValue>,
    #[serde(borrow)]
    by: Option<&'a RawValue>,
}

pub(in crate::api) async fn set_custom_status(
    State(state): SharedState,
    caller: ActingUser,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request, state.limits.load().body_bytes, state.body_timeout()).await?;
    let (custom, by) = parse(&bytes)?;
    if by == Actor::Operator && caller.viewer != Viewer::Internal {
        return Err(ApiError::new(
            Code::Forbidden,
            "\"by\": \"operator\" is for internal callers: send x-secret-token",
        ));
    }
    let record = state
        .engine
        .set_custom_status(&caller.user, custom, by, caller.viewer)
        .await?;
    Ok(record_response(&state.clock, record))
}

fn parse(bytes: &[u8]) -> Result<(CustomStatus, Actor), ApiError> {
    let fields: CustomStatusFields<'_> = body::object(bytes)?;
    let custom = body::required::<String>(fields.custom_status, "customStatus")
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| {
            ApiError::new(
                Code::InvalidCustomStatus,
                "customStatus must be ONLINE, IDLE or DO_NOT_DISTURB",
            )
        })?;
    let by = body::optional::<String>(fields.by, "by")?.map_or(Ok(Actor::User), |text| {
        text.parse()
            .map_err(|_| body::invalid("by", "must be user or operator"))
    })?;
    Ok((custom, by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custom_status_is_one_of_three_values() {
        for (name, custom) in [
            ("ONLINE", CustomStatus::Online),
            ("IDLE", CustomStatus::Idle),
            ("DO_NOT_DISTURB", CustomStatus::DoNotDisturb),
        ] {
            let body = format!(r#"{{"customStatus":"{name}","unknown":1}}"#);
            assert_eq!(parse(body.as_bytes()), Ok((custom, Actor::User)));
        }
    }

    #[test]
    fn any_other_custom_status_has_its_own_code() {
        for value in [
            r#""OFFLINE""#,
            r#""idle""#,
            r#""""#,
            r#"" IDLE""#,
            r#""IDLE\u0000""#,
            "null",
            "1",
            "[]",
            "{}",
        ] {
            let body = format!(r#"{{"customStatus":{value}}}"#);
            assert_eq!(
                parse(body.as_bytes()).unwrap_err().code,
                Code::InvalidCustomStatus,
                "{value}"
            );
        }
        assert_eq!(parse(b"{}").unwrap_err().code, Code::InvalidCustomStatus);
        assert_eq!(parse(b"[\"IDLE\",\"user\"]").unwrap_err().code, Code::InvalidJson);
    }

    #[test]
    fn by_is_user_or_operator() {
        let by = |value: &str| parse(format!(r#"{{"customStatus":"IDLE","by":{value}}}"#).as_bytes());
        assert_eq!(by(r#""operator""#).unwrap().1, Actor::Operator);
        assert_eq!(by(r#""user""#).unwrap().1, Actor::User);
        assert_eq!(by("null").unwrap().1, Actor::User);
        for value in [r#""root""#, r#""Operator""#, "true", "1"] {
            assert_eq!(by(value).unwrap_err().code, Code::InvalidValue, "{value}");
        }
    }
}
