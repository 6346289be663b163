//! Which pages may call and which host names are ours. A page is judged by its `Origin` alone and never by comparing that
//! with `Host`: whoever rebinds a name to a loopback address makes the two agree.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, header};

use super::origin::{Host, Origin, host_and_port};
use super::{AuthError, Given, forbidden, twice};

/// Pages and hosts of this daemon.
pub(super) struct Pages {
    /// Those the operator named.
    allowed: Vec<Origin>,
    /// Those of the bound address.
    own: Vec<Origin>,
    /// Bound to a loopback address: only reachable by names that lead to this machine.
    loopback: bool,
}

impl Pages {
    pub(super) fn new(allowed: Vec<Origin>, listen: SocketAddr) -> Self {
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
            own: hosts
                .into_iter()
                .map(|host| Origin::http(host, listen.port()))
                .collect(),
            loopback,
        }
    }

    pub(super) fn check_host(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        if !self.loopback {
            return Ok(());
        }
        let Given::Once(host) = Given::of(headers, header::HOST.as_str()) else {
            return Err(AuthError::Misdirected);
        };
        match host.to_str().ok().and_then(|host| host_and_port(host).ok()) {
            Some((host, _)) if self.is_ours(&host) => Ok(()),
            _ => Err(AuthError::Misdirected),
        }
    }

    pub(super) fn check_origin(&self, headers: &HeaderMap) -> Result<Option<Origin>, AuthError> {
        let origin = match Given::of(headers, header::ORIGIN.as_str()) {
            Given::Absent => return Ok(None),
            Given::Twice => return Err(twice("origin is given twice")),
            Given::Once(origin) => origin,
        };
        let origin = origin.to_str().ok().and_then(|text| text.parse().ok());
        match origin {
            Some(origin) if self.allowed.contains(&origin) || self.own.contains(&origin) => Ok(Some(origin)),
            _ => Err(forbidden(
                "pages of this origin may not call: --allowed-origin names those that may",
            )),
        }
    }

    fn is_ours(&self, host: &Host) -> bool {
        let leads_here = match host {
            Host::Name(name) => name == "localhost",
            Host::Address(IpAddr::V4(address)) => address.is_loopback(),
            Host::Address(IpAddr::V6(address)) => address.is_loopback(),
        };
        leads_here || self.allowed.iter().any(|origin| origin.host() == Some(host))
    }
}
