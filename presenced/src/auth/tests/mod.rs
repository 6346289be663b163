//! Authentication, in tables.

mod allowed_origins;
mod callers;
mod demo;
mod key_sets;
mod keys;
mod proxies;
mod reload;
mod revoked;
mod token_form;
mod tokens;

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use presence::wire::error_code::Code;
use presence::{SystemWall, UserId};

use super::fixture::options;
use super::{Auth, AuthError, CallerIdentity};
use crate::revocation::Revocation;

/// The internal secret of every test.
const SECRET: &[u8] = b"the internal secret";
/// The time of every test, in seconds.
const NOW: i64 = 1_800_000_000;

type HeaderLine<'a> = (&'a str, &'a [u8]);

fn now() -> SystemWall {
    SystemWall::from_millis(NOW * 1000)
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn headers(lines: &[HeaderLine<'_>]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn by_default() -> Auth {
    Auth::new(options("the internal secret"))
}

/// With a `Host` of the server, unless there is another one.
fn ask(auth: &Auth, peer: &str, lines: &[HeaderLine<'_>]) -> Result<CallerIdentity, Code> {
    let mut headers = headers(lines);
    headers.entry("host").or_insert(HeaderValue::from_static("localhost"));
    let identity = auth.authenticate(addr(peer), &headers, None, now());
    identity.map_err(|error| error.code())
}

fn internal(user: Option<&str>) -> Result<CallerIdentity, Code> {
    Ok(CallerIdentity {
        internal: true,
        user: user.map(|user| UserId::new(user).unwrap()),
        expires: None,
        revocation: Some(Revocation::default()),
    })
}

fn bare(user: &str) -> Result<CallerIdentity, Code> {
    Ok(CallerIdentity {
        internal: false,
        user: Some(UserId::new(user).unwrap()),
        expires: None,
        revocation: None,
    })
}

fn detail(error: Result<impl Sized, AuthError>) -> String {
    error.map(|_| ()).unwrap_err().to_string()
}
