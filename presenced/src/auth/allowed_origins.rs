//! Which origins may call and which host names are this server's. `Origin` is checked against the allowed ones and never
//! compared with `Host`: with DNS rebinding, an attacker's page makes the two equal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, header};

use super::origin::{Host, Origin, host_and_port, is_host_value};
use super::{AuthError, Given, forbidden, invalid_header};

/// Allowed origins and host names.
pub(super) struct Pages {
    /// The origins that the operator named.
    allowed: Vec<Origin>,
    /// Those of the bound address.
    own: Vec<Origin>,
    /// Those as they stand in `Host`, as nearly all clients write them: they need not be parsed.
    own_hosts: Vec<String>,
    /// The scheme of those of the bound address.
    scheme: &'static str,
    /// Bound to a loopback address, so only names of this machine lead here.
    loopback: bool,
}

impl Pages {
    pub(super) fn new(allowed: Vec<Origin>, scheme: &'static str, listen: SocketAddr) -> Self {
        let bound = listen.ip().to_canonical();
        let loopback = bound.is_loopback();
        let mut hosts = vec![Host::Address(bound)];
        if loopback {
            hosts.extend([
                Host::Name("localhost".into()),
                Host::Address(Ipv4Addr::LOCALHOST.into()),
                Host::Address(Ipv6Addr::LOCALHOST.into()),
            ]);
        }
        Self {
            allowed,
            own_hosts: hosts.iter().map(|host| format!("{host}:{}", listen.port())).collect(),
            own: hosts
                .into_iter()
                .map(|host| Origin::of(scheme, host, Some(listen.port())))
                .collect(),
            scheme,
            loopback,
        }
    }

    /// Whether there is one `Host`, and it is this server's as it is usually written. If not, it may be right all the same.
    pub(super) fn has_own_host(&self, headers: &HeaderMap) -> bool {
        let Given::Once(given) = Given::of(headers, &header::HOST) else {
            return false;
        };
        self.own_hosts.iter().any(|own| own.as_bytes() == given.as_bytes())
    }

    pub(super) fn check_host(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        let host = host_of(headers)?;
        match self.loopback {
            true => self.require_ours(host),
            false => Ok(()),
        }
    }

    /// Checks a caller that is believed for its address alone. A browser on this machine calls from loopback, and a page whose
    /// name was rebound to a loopback address may send any header, but not this server's `Host`.
    pub(super) fn check_local_caller(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), AuthError> {
        match peer.to_canonical().is_loopback() {
            true => self.require_ours(host_of(headers)?),
            false => Ok(()),
        }
    }

    fn require_ours(&self, host: Option<&str>) -> Result<(), AuthError> {
        let host = host.ok_or(invalid_header("missing header: host"))?;
        match host_and_port(host) {
            Ok((host, _)) if self.is_ours(&host) => Ok(()),
            _ => Err(AuthError::Misdirected),
        }
    }

    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<Option<Origin>, AuthError> {
        let origin = match Given::of(headers, &header::ORIGIN) {
            Given::Absent => return Ok(None),
            Given::Repeated => return Err(invalid_header("duplicate header: origin")),
            Given::Once(origin) => origin,
        };
        let origin = origin.to_str().ok().and_then(|text| text.parse().ok());
        match origin {
            Some(origin) if self.allowed.contains(&origin) || self.own.contains(&origin) => Ok(Some(origin)),
            _ => Err(forbidden(
                "origin not allowed: the operator can add it with --allowed-origin",
            )),
        }
    }

    /// Checks that a page of this server's address calls, and that it calls where it is from.
    pub(super) fn check_own_page(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        let host = host_of(headers)?.and_then(|host| host_and_port(host).ok());
        let from = host.map(|(host, port)| Origin::of(self.scheme, host, port));
        match self.check_origin(headers)? {
            Some(origin) if self.own.contains(&origin) && from.as_ref() == Some(&origin) => Ok(()),
            _ => Err(forbidden("only a page of this server may call")),
        }
    }

    /// Whether the host leads to this machine whoever resolves it, or is one that the operator named.
    fn is_ours(&self, host: &Host) -> bool {
        let leads_here = match host {
            Host::Name(name) => name == "localhost",
            Host::Address(IpAddr::V4(address)) => address.is_loopback(),
            Host::Address(IpAddr::V6(address)) => address.is_loopback(),
        };
        leads_here
            || self.own.iter().any(|origin| origin.host() == Some(host))
            || self.allowed.iter().any(|origin| origin.host() == Some(host))
    }
}

/// The `Host`, if there is one. Two are an error, and so is a malformed one (RFC 9112, section 3.2).
fn host_of(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    match Given::of(headers, &header::HOST) {
        Given::Absent => Ok(None),
        Given::Repeated => Err(invalid_header("duplicate header: host")),
        Given::Once(host) => match host.to_str() {
            Ok(host) if is_host_value(host) => Ok(Some(host)),
            _ => Err(invalid_header("malformed header: host")),
        },
    }
}
