//! Trusted proxies: peers whose bare `x-user-id` and `X-Forwarded-For` are trusted. IPv4-mapped IPv6 addresses are treated as
//! IPv4 addresses, in networks and in peers.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use ipnet::{IpNet, Ipv4Net};

use super::{AuthError, forbidden};

/// Prefix length of IPv4-mapped addresses, `::ffff:0:0/96`.
const MAPPED_BITS: u8 = 96;

/// Which peers the operator trusts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum TrustedProxies {
    /// The default: loopback, unless a header shows that a proxy is in between.
    #[default]
    Loopback,
    /// These networks; an empty list trusts nobody.
    Named(Vec<IpNet>),
}

impl TrustedProxies {
    /// Whether the operator named a proxy.
    pub(crate) fn has_named(&self) -> bool {
        matches!(self, Self::Named(nets) if !nets.is_empty())
    }
}

pub(super) struct Proxies {
    trusted: TrustedProxies,
}

impl Proxies {
    pub(super) fn new(trusted: TrustedProxies) -> Self {
        let trusted = match trusted {
            TrustedProxies::Loopback => TrustedProxies::Loopback,
            TrustedProxies::Named(nets) => TrustedProxies::Named(nets.into_iter().map(canonical).collect()),
        };
        Self { trusted }
    }

    pub(super) fn trust(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        match &self.trusted {
            TrustedProxies::Loopback => addr.is_loopback(),
            TrustedProxies::Named(nets) => nets.iter().any(|net| net.contains(&addr)),
        }
    }

    /// Checks that a bare `x-user-id` from this peer is trusted.
    pub(super) fn check_user_header(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), AuthError> {
        match &self.trusted {
            _ if !self.trust(peer) => Err(forbidden(
                "x-user-id needs a credential unless it comes from a trusted proxy (--trusted-proxy)",
            )),
            TrustedProxies::Loopback if passed_a_proxy(headers) => Err(forbidden(
                "x-user-id came through a proxy that is not trusted: name it with --trusted-proxy",
            )),
            TrustedProxies::Loopback | TrustedProxies::Named(_) => Ok(()),
        }
    }

    /// The rightmost address that is not a trusted proxy's: each proxy appends its peer, so anything left of the first
    /// untrusted address can be forged by it.
    pub(super) fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        let mut entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        while self.trust(client) {
            match entries.next().and_then(address) {
                Some(previous) => client = previous,
                None => break,
            }
        }
        client
    }
}

/// Whether there is one of the headers that proxies add.
fn passed_a_proxy(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        name == header::FORWARDED
            || name == header::VIA
            || name == "x-real-ip"
            || name.as_str().starts_with("x-forwarded-")
    })
}

/// An entry of `X-Forwarded-For`: an address; some proxies add a port, and brackets.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']'));
    let address = bare.unwrap_or(entry).parse().ok();
    let address = address.or_else(|| entry.parse().ok().map(|address: SocketAddr| address.ip()));
    address.map(|address| address.to_canonical())
}

fn canonical(net: IpNet) -> IpNet {
    let mapped = match net {
        IpNet::V6(net) => net
            .addr()
            .to_ipv4_mapped()
            .zip(net.prefix_len().checked_sub(MAPPED_BITS)),
        IpNet::V4(_) => None,
    };
    let mapped = mapped.and_then(|(addr, bits)| Ipv4Net::new(addr, bits).ok());
    mapped.map_or(net, IpNet::V4)
}
