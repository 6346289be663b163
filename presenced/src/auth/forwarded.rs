//! The addresses that proxies add to a request, the last one first: of `X-Forwarded-For`, else `Forwarded` (RFC 7239), else
//! `X-Real-IP`. An empty header counts as none. Which of them are believed is decided in `proxies`.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};

static FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The addresses, the last one first; none for an entry that is not an address.
pub(super) fn addresses(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let is_one = |name: &HeaderName| *name == FORWARDED_FOR || *name == header::FORWARDED || *name == REAL_IP;
    let found = match headers.keys().any(is_one) {
        true => found(headers),
        false => Vec::new(),
    };
    found.into_iter().rev()
}

fn found(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let lines = |name: &HeaderName| -> Vec<&[u8]> {
        let values = headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii());
        values.filter(|value| !value.is_empty()).collect()
    };
    let split = |lines: Vec<&[u8]>, parse: fn(&[u8]) -> Option<IpAddr>| -> Vec<Option<IpAddr>> {
        let entries = lines.into_iter().flat_map(entries);
        entries.map(parse).collect()
    };
    let mut found = split(lines(&FORWARDED_FOR), address);
    if found.is_empty() {
        found = split(lines(&header::FORWARDED), forwarded_for);
    }
    if found.is_empty() {
        found = split(lines(&REAL_IP), address);
    }
    found
}

/// The entries of a line, split at the commas outside of quotes.
fn entries(line: &[u8]) -> Vec<&[u8]> {
    let mut is_quoted = false;
    let is_separator = |byte: &u8| {
        is_quoted ^= *byte == b'"';
        *byte == b',' && !is_quoted
    };
    line.split(is_separator).collect()
}

/// An address; some proxies add a port, and brackets.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']'));
    let address = bare.unwrap_or(entry).parse().ok();
    let address = address.or_else(|| entry.parse().ok().map(|address: SocketAddr| address.ip()));
    address.map(|address| address.to_canonical())
}

/// The parameter `for` of an element of `Forwarded`; `unknown` and made-up names are no addresses.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let pairs = element.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let node = pairs
        .filter_map(|pair| pair.split_at_checked(4))
        .find(|(name, _)| name.eq_ignore_ascii_case(b"for="));
    let (_, node) = node?;
    let quoted = node.strip_prefix(b"\"").and_then(|node| node.strip_suffix(b"\""));
    address(quoted.unwrap_or(node))
}
