//! Trusted proxies: peers whose bare `x-user-id` and `X-Forwarded-For` are trusted. IPv4-mapped IPv6 addresses are treated as
//! IPv4 addresses, in networks and in peers.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use ipnet::{IpNet, Ipv4Net};

use super::{AuthError, forbidden};

/// Prefix length of IPv4-mapped addresses, `::ffff:0:0/96`.
const MAPPED_BITS: u8 = 96;

/// Which peers are trusted.
pub(super) enum Proxies {
    /// The operator named none: loopback, unless a header shows that a proxy is in between.
    Loopback,
    Named(Vec<IpNet>),
}

impl Proxies {
    pub(super) fn new(nets: &[IpNet], by_default: bool) -> Self {
        match by_default {
            true => Self::Loopback,
            false => Self::Named(nets.iter().copied().map(canonical).collect()),
        }
    }

    pub(super) fn trust(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        match self {
            Self::Loopback => addr.is_loopback(),
            Self::Named(nets) => nets.iter().any(|net| net.contains(&addr)),
        }
    }

    /// Checks that a bare `x-user-id` from this peer is trusted.
    pub(super) fn check_user_header(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), AuthError> {
        match self {
            _ if !self.trust(peer) => Err(forbidden(
                "x-user-id needs a credential unless it comes from a trusted proxy (--trusted-proxy)",
            )),
            Self::Loopback if passed_a_proxy(headers) => Err(forbidden(
                "x-user-id came through a proxy that is not trusted: name it with --trusted-proxy",
            )),
            Self::Loopback | Self::Named(_) => Ok(()),
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
