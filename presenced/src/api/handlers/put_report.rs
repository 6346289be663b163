//! `PUT /api/user/realtime`: an outside gateway reports a session.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use presence::report::REPORT_TTL_MAX_SECONDS;
use presence::{ReportInput, Source};
use serde::Deserialize;
use serde_json::Number;
use serde_json::value::RawValue;

use super::record_response;
use crate::api::caller::InternalFor;
use crate::api::{SharedState, body};
use crate::server::ApiError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReportFields<'a> {
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    update_last_active: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    ttl_seconds: Option<&'a RawValue>,
}

pub(in crate::api) async fn put_report(
    State(state): SharedState,
    InternalFor(user): InternalFor,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read(request, state.limits.load().body_bytes, state.body_timeout()).await?;
    let report = parse(&bytes)?;
    let record = state.engine.report(&user, report).await?;
    Ok(record_response(&state.clock, record))
}

fn parse(bytes: &[u8]) -> Result<ReportInput, ApiError> {
    let fields: ReportFields<'_> = body::object(bytes)?;
    let status = body::required::<String>(fields.status, "status")?
        .parse()
        .map_err(|_| body::invalid("status", "must be ONLINE, IDLE, DO_NOT_DISTURB or OFFLINE"))?;
    let source = match body::optional::<String>(fields.source, "source")? {
        None => Source::default(),
        Some(name) => name
            .parse()
            .map_err(|_| body::invalid("source", "must be 1 to 64 of the characters A-Z a-z 0-9 . _ -"))?,
    };
    let ttl = body::optional::<Number>(fields.ttl_seconds, "ttlSeconds")?;
    Ok(ReportInput {
        source,
        status,
        ttl: ttl.map(|number| parse_ttl(&number)).transpose()?,
        update_last_active: body::optional(fields.update_last_active, "updateLastActive")?.unwrap_or_default(),
    })
}

/// Some libraries write whole numbers with a fraction, `60.0`, which is the same number (JSON Schema, section 6.1.1).
fn parse_ttl(number: &Number) -> Result<Duration, ApiError> {
    let whole = |seconds: &f64| seconds.fract() == 0.0;
    let seconds = number.as_f64().filter(whole).map(Duration::try_from_secs_f64);
    let allowed = Duration::from_secs(1)..=Duration::from_secs(REPORT_TTL_MAX_SECONDS);
    match seconds {
        Some(Ok(ttl)) if allowed.contains(&ttl) => Ok(ttl),
        _ => Err(body::invalid("ttlSeconds", "must be a whole number from 1 to 86400")),
    }
}

#[cfg(test)]
mod tests {
    use presence::Status;
    use presence::wire::error_code::Code;

    use super::*;

    fn with(fields: &str) -> Result<ReportInput, ApiError> {
        parse(format!(r#"{{"status":"IDLE"{fields}}}"#).as_bytes())
    }

    #[test]
    fn a_report_defaults_to_source_gateway_and_no_ttl() {
        let report = parse(br#"{"status":"OFFLINE"}"#).unwrap();
        assert_eq!(report.status, Status::Offline);
        assert_eq!(report.source.as_str(), "gateway");
        assert_eq!(report.ttl, None);
        assert!(!report.update_last_active);
    }

    #[test]
    fn all_fields_are_parsed() {
        let report = with(r#","updateLastActive":true,"source":"a.B_9-","ttlSeconds":60,"later":null"#).unwrap();
        assert_eq!(report.source.as_str(), "a.B_9-");
        assert_eq!(report.ttl, Some(Duration::from_secs(60)));
        assert!(report.update_last_active);
    }

    #[test]
    fn ttl_and_source_have_exact_bounds() {
        for (ttl, good) in [(0, false), (1, true), (86_399, true), (86_400, true), (86_401, false)] {
            assert_eq!(with(&format!(r#","ttlSeconds":{ttl}"#)).is_ok(), good, "{ttl}");
            assert_eq!(with(&format!(r#","ttlSeconds":{ttl}.0"#)).is_ok(), good, "{ttl}.0");
        }
        assert_eq!(with(r#","ttlSeconds":6e1"#).unwrap().ttl, Some(Duration::from_secs(60)));
        for (length, good) in [(0, false), (1, true), (63, true), (64, true), (65, false)] {
            let source = "s".repeat(length);
            assert_eq!(with(&format!(r#","source":"{source}""#)).is_ok(), good, "{length}");
        }
    }

    #[test]
    fn invalid_values_are_rejected() {
        for fields in [
            r#","source":"a b""#,
            r#","source":"é""#,
            r#","source":7"#,
            r#","ttlSeconds":"60""#,
            r#","ttlSeconds":1.5"#,
            r#","ttlSeconds":-1"#,
            r#","ttlSeconds":-1.0"#,
            r#","ttlSeconds":1e300"#,
            r#","updateLastActive":"true""#,
            r#","updateLastActive":1"#,
        ] {
            assert_eq!(with(fields).unwrap_err().code, Code::InvalidValue, "{fields}");
        }
        for body in [
            "{}",
            r#"{"status":"online"}"#,
            r#"{"status":null}"#,
            r#"{"status":["IDLE"]}"#,
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().code, Code::InvalidValue, "{body}");
        }
        for body in [
            r#"["IDLE"]"#,
            r#"["IDLE",true,"a",5]"#,
            r#"{"status":"IDLE","ttlSeconds":1e400}"#,
        ] {
            assert_eq!(parse(body.as_bytes()).unwrap_err().code, Code::InvalidJson, "{body}");
        }
    }
}
