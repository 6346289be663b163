//! The query string of `GET /api/presence`, and the cursor between pages. Pure.

use std::fmt::Write;

use presence::user_id::USER_ID_MAX_BYTES;
use presence::wire::error_code::Code;
use presence::wire::rest::PAGE_MAX_RECORDS;
use presence::{Status, UserId};

use crate::engine::ListRequest;
use crate::percent::{self, Plus};
use crate::server::ApiError;

/// Records on a page by default.
pub(super) const PAGE_DEFAULT_RECORDS: usize = 100;

/// Parses the query string. Unknown parameters are ignored; a duplicate one is an error.
pub(super) fn parse(query: &str) -> Result<ListRequest, ApiError> {
    let [mut status, mut prefix, mut limit, mut cursor] = [const { None }; 4];
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let parameter = match name {
            "status" => &mut status,
            "prefix" => &mut prefix,
            "limit" => &mut limit,
            "cursor" => &mut cursor,
            _ => continue,
        };
        let value = percent::decode(value, Plus::Space).ok_or_else(|| invalid(name, "is not percent-encoded UTF-8"))?;
        if parameter.replace(value).is_some() {
            return Err(invalid(name, "is duplicate"));
        }
    }
    Ok(ListRequest {
        status: status.map(|text| parse_status(&text)).transpose()?,
        prefix: prefix.map(parse_prefix).transpose()?.unwrap_or_default(),
        limit: limit.map_or(Ok(PAGE_DEFAULT_RECORDS), |digits| parse_limit(&digits))?,
        after: cursor.map(|text| decode_cursor(&text)).transpose()?,
    })
}

/// Parses the query string of a call that has pages and no filter.
pub(super) fn parse_cursor(query: &str) -> Result<Option<UserId>, ApiError> {
    parse(query).map(|request| request.after)
}

fn invalid(name: &str, what: &str) -> ApiError {
    ApiError::new(Code::InvalidValue, format!("parameter {name:?} {what}"))
}

fn parse_status(text: &str) -> Result<Status, ApiError> {
    // OFFLINE users are never listed, so to ask for them is a mistake.
    match text.parse() {
        Ok(status) if status != Status::Offline => Ok(status),
        _ => Err(invalid("status", "must be ONLINE, IDLE or DO_NOT_DISTURB")),
    }
}

fn parse_prefix(text: String) -> Result<String, ApiError> {
    if text.len() > USER_ID_MAX_BYTES || text.chars().any(char::is_control) {
        return Err(invalid("prefix", "is not the beginning of a valid user id"));
    }
    Ok(text)
}

fn parse_limit(digits: &str) -> Result<usize, ApiError> {
    let number = match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => digits.parse().ok(),
        false => None,
    };
    number
        .filter(|number| (1..=PAGE_MAX_RECORDS).contains(number))
        .ok_or_else(|| invalid("limit", "must be a number from 1 to 1000"))
}

/// The cursor of the page after `last`: its bytes in hexadecimal, so that no id needs escaping in a URL. Opaque to clients.
pub(super) fn encode_cursor(last: &str) -> String {
    let mut text = String::with_capacity(last.len() * 2);
    for byte in last.bytes() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn decode_cursor(text: &str) -> Result<UserId, ApiError> {
    let decode = || {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let digits = |[high, low]: &[u8; 2]| Some(percent::hex(*high)? << 4 | percent::hex(*low)?);
        let bytes: Vec<u8> = pairs.iter().map(digits).collect::<Option<_>>()?;
        let id = String::from_utf8(bytes).ok().filter(|_| rest.is_empty())?;
        UserId::new(&id).ok()
    };
    decode().ok_or_else(|| {
        ApiError::new(
            Code::InvalidValue,
            "invalid cursor: use the \"next\" of the page before",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_parameters_the_first_hundred_users_are_listed() {
        for query in ["", "prefix=", "unknown=1&&x"] {
            let request = parse(query).unwrap();
            assert_eq!(request.status, None);
            assert_eq!(request.prefix, "");
            assert_eq!(request.limit, 100);
            assert_eq!(request.after, None);
        }
    }

    #[test]
    fn all_parameters_are_parsed() {
        let request = parse("status=DO_NOT_DISTURB&prefix=a%2Fb+%2B%C3%A9&limit=1000&cursor=616e6e61").unwrap();
        assert_eq!(request.status, Some(Status::DoNotDisturb));
        assert_eq!(request.prefix, "a/b +é");
        assert_eq!(request.limit, 1000);
        assert_eq!(request.after, UserId::new("anna").ok());
    }

    #[test]
    fn limit_and_prefix_have_exact_bounds() {
        for (limit, good) in [
            ("0", false),
            ("1", true),
            ("999", true),
            ("1000", true),
            ("1001", false),
        ] {
            assert_eq!(parse(&format!("limit={limit}")).is_ok(), good, "{limit}");
        }
        for (bytes, good) in [(127, true), (128, true), (129, false)] {
            assert_eq!(parse(&format!("prefix={}", "x".repeat(bytes))).is_ok(), good, "{bytes}");
        }
    }

    #[test]
    fn an_invalid_value_is_an_error() {
        for query in [
            "status=OFFLINE",
            "status=",
            "limit",
            "limit=",
            "cursor=",
            "status=online",
            "status=%00",
            "limit=-1",
            "limit=%2B5",
            "limit=1e2",
            "limit=99999999999999999999999",
            "limit=5&limit=5",
            "prefix=%",
            "prefix=%FF",
            "prefix=%0A",
            "cursor=6",
            "cursor=zz",
            "cursor=ff",
            "cursor=2e2e",
            "cursor=00",
        ] {
            assert_eq!(parse(query).unwrap_err().code, Code::InvalidValue, "{query}");
        }
    }

    #[test]
    fn a_cursor_survives_a_round_trip() {
        for id in ["a", "é/%&=+ #", &"x".repeat(128)] {
            let cursor = encode_cursor(id);
            assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(decode_cursor(&cursor).unwrap().as_str(), id);
        }
    }
}
