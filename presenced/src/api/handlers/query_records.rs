//! `POST /api/presence/query`: the records of several users, in the order of the request.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use presence::UserId;
use presence::wire::error_code::Code;
use presence::wire::record::{Record, Viewer};
use presence::wire::rest::{QUERY_MAX_IDS, QueryResponse};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::caller::AnyCaller;
use crate::api::{SharedState, answers, body};
use crate::server::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryFields<'a> {
    #[serde(borrow)]
    user_ids: Option<&'a RawValue>,
}

pub(in crate::api) async fn query_records(
    State(state): SharedState,
    reader: AnyCaller,
    request: Request,
) -> Result<Response, ApiError> {
    let place = state.answers.take(&reader, state.body_timeout()).await?;
    let bytes = body::read(request, state.limits.load().query_bytes, state.body_timeout()).await?;
    let ids = parse(&bytes)?;
    reader.pace(&state.engine, ids.len()).await?;
    let (viewer, own) = match &reader {
        AnyCaller::Internal => (Viewer::Internal, None),
        AnyCaller::User(own) => (Viewer::Public, Some(own)),
    };
    let users = state.engine.records(&ids, viewer, own).await?;
    let latest = users.iter().filter_map(Record::latest_time).max();
    let response = QueryResponse {
        now: state.clock.record_time(latest),
        users,
    };
    Ok(answers::answer(place, response.encode()))
}

fn parse(bytes: &[u8]) -> Result<Vec<UserId>, ApiError> {
    let fields: QueryFields<'_> = body::object(bytes)?;
    let texts: Vec<&RawValue> = body::required(fields.user_ids, "userIds")?;
    if texts.len() > QUERY_MAX_IDS {
        let detail = format!("too many user ids: at most {QUERY_MAX_IDS} per request");
        return Err(ApiError::new(Code::TooMany, detail).with_status(StatusCode::BAD_REQUEST));
    }
    texts.into_iter().map(user_id).collect()
}

fn user_id(raw: &RawValue) -> Result<UserId, ApiError> {
    let text: String =
        serde_json::from_str(raw.get()).map_err(|_| body::invalid("userIds", "has an entry that is not a string"))?;
    UserId::new(&text).map_err(|why| ApiError::new(Code::InvalidUserId, why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ids: &str) -> Result<Vec<UserId>, ApiError> {
        parse(format!(r#"{{"userIds":[{ids}]}}"#).as_bytes())
    }

    #[test]
    fn ids_keep_their_order_and_may_repeat() {
        let ids = of(r#""b","a","b","__proto__","\u00e9/%""#).unwrap();
        let texts: Vec<&str> = ids.iter().map(UserId::as_str).collect();
        assert_eq!(texts, ["b", "a", "b", "__proto__", "é/%"]);
        assert_eq!(of("").unwrap(), []);
    }

    #[test]
    fn at_most_a_thousand_ids_are_allowed() {
        for (count, good) in [(999, true), (1000, true), (1001, false)] {
            let result = of(&vec![r#""u""#; count].join(","));
            assert_eq!(result.is_ok(), good, "{count}");
        }
        let error = of(&vec!["1"; 1001].join(",")).unwrap_err();
        assert_eq!(error.code, Code::TooMany, "counted before they are parsed");
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn invalid_ids_are_rejected() {
        for id in ["", ".", "..", " a", "a ", "\\u0007", "\\u0085", &"x".repeat(129)] {
            assert_eq!(of(&format!(r#""{id}""#)).unwrap_err().code, Code::InvalidUserId, "{id}");
        }
        assert!(of(&format!(r#""{}""#, "x".repeat(128))).is_ok());
        for ids in ["1", "null", "[\"a\"]", "{}"] {
            assert_eq!(of(ids).unwrap_err().code, Code::InvalidValue, "{ids}");
        }
        for body in [
            "{}",
            r#"{"userIds":"a"}"#,
            r#"{"userIds":{"0":"a"}}"#,
            r#"{"userIds":null}"#,
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().code, Code::InvalidValue, "{body}");
        }
        assert_eq!(of(r#""\ud800""#).unwrap_err().code, Code::InvalidJson);
    }
}
