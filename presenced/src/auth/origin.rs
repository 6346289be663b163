//! The origin of a page (RFC 6454), normalized so that equal origins compare equal. Which are allowed is `pages`' concern.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::percent::{self, Plus};

/// An origin, with the host in lower case and the default port filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// `null`: a page without an origin, such as a file or a sandboxed frame. Anyone can make one.
    Opaque,
    /// Scheme, host and port.
    Of {
        /// In lower case.
        scheme: String,
        host: Host,
        /// The port, if it is given or the scheme has a default.
        port: Option<u16>,
    },
}

/// The host of an origin or of a `Host` header.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// A name in lower case.
    Name(String),
    /// An address; IPv4 in its IPv6 form is IPv4.
    Address(IpAddr),
}

/// Why a text is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidOrigin {
    /// No `://`, an invalid scheme, or more than scheme, host and port.
    #[error("an origin is SCHEME://HOST or SCHEME://HOST:PORT, without a path")]
    Shape,
    /// The host is empty, has a wildcard, or is not ASCII.
    #[error("an origin's host is an ASCII name (xn--… if international) or an IP address")]
    Host,
    #[error("an origin's port is a number up to 65535")]
    Port,
}

impl Origin {
    /// The origin of pages at this host and port, or at the usual one of the scheme.
    pub(super) fn of(scheme: &str, host: Host, port: Option<u16>) -> Self {
        Self::Of {
            scheme: scheme.into(),
            host,
            port: port.or(usual_port(scheme)),
        }
    }

    pub(super) fn host(&self) -> Option<&Host> {
        match self {
            Self::Opaque => None,
            Self::Of { host, .. } => Some(host),
        }
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        if text == "null" {
            return Ok(Self::Opaque);
        }
        let (scheme, authority) = text.split_once("://").ok_or(InvalidOrigin::Shape)?;
        let scheme = scheme.to_ascii_lowercase();
        let mut letters = scheme.bytes();
        let is_scheme = letters.next().is_some_and(|first| first.is_ascii_lowercase())
            && letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        if !is_scheme || authority.contains(['/', '?', '#', '@', '\\']) {
            return Err(InvalidOrigin::Shape);
        }
        let (host, port) = host_and_port(authority)?;
        let usual = usual_port(&scheme);
        Ok(Self::Of {
            scheme,
            host,
            port: port.or(usual),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Of { scheme, host, port } = self else {
            return f.write_str("null");
        };
        write!(f, "{scheme}://{host}")?;
        match (scheme.as_str(), port) {
            ("http" | "ws", Some(80)) | ("https" | "wss", Some(443)) | (_, None) => Ok(()),
            (_, Some(port)) => write!(f, ":{port}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Splits `HOST` or `HOST:PORT`.
pub(super) fn host_and_port(authority: &str) -> Result<(Host, Option<u16>), InvalidOrigin> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(InvalidOrigin::Host)?;
            let address: Ipv6Addr = address.parse().map_err(|_| InvalidOrigin::Host)?;
            let port = match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or(InvalidOrigin::Port)?),
            };
            (Host::Address(IpAddr::V6(address).to_canonical()), port)
        }
        None => {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            (name_or_ipv4(host)?, port)
        }
    };
    Ok((host, port.map(port_number).transpose()?))
}

/// Whether this is a well-formed `Host` (RFC 3986, section 3.2): an address in brackets or a name, and perhaps a port.
pub(super) fn is_host_value(text: &str) -> bool {
    let (host_is_good, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), port),
            None => return false,
        },
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_registered_name(name), port)
        }
    };
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    host_is_good && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_registered_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
    name.bytes().all(is_plain) && percent::decode_bytes(name, Plus::Literal).is_some()
}

fn name_or_ipv4(host: &str) -> Result<Host, InvalidOrigin> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || !host.bytes().all(is_name) {
        return Err(InvalidOrigin::Host);
    }
    Ok(match host.parse() {
        Ok(address) => Host::Address(IpAddr::V4(address)),
        Err(_) => Host::Name(host.to_ascii_lowercase()),
    })
}

/// Only digits: Rust's own parser accepts a sign.
fn port_number(text: &str) -> Result<u16, InvalidOrigin> {
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().map_err(|_| InvalidOrigin::Port),
        false => Err(InvalidOrigin::Port),
    }
}
