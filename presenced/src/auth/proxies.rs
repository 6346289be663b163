//! Trusted proxies: whose bare `x-user-id` and `X-Forwarded-For` are believed. IPv4 addresses in their IPv6 form are the
//! IPv4 addresses they are, on both sides.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use ipnet::{IpNet, Ipv4Net};

use super::{AuthError, forbidden};

/// Bits before the IPv4 address in its IPv6 form, `::ffff:0:0/96`.
const MAPPED_BITS: u8 = 96;

/// Who is trusted.
pub(super) enum Proxies {
    /// The operator named none: loopback, as long as no header speaks of a proxy in between.
    Unnamed,
    /// The operator's.
    Named(Vec<IpNet>),
}

impl Proxies {
    pub(super) fn new(nets: &[IpNet], by_default: bool) -> Self {
        match by_default {
            true => Self::Unnamed,
            false => Self::Named(nets.iter().copied().map(canonical).collect()),
        }
    }

    /// Whether the address is a trusted proxy's.
    pub(super) fn trust(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        match self {
            Self::Unnamed => addr.is_loopback(),
            Self::Named(nets) => nets.iter().any(|net| net.contains(&addr)),
        }
    }

    /// Whether a bare `x-user-id` from this peer is believed.
    pub(super) fn believe(&self, peer: IpAddr, headers: &HeaderMap) -> Result<(), AuthError> {
        match self {
            _ if !self.trust(peer) => Err(forbidden("a bare x-user-id is believed from trusted proxies alone")),
            Self::Unnamed if passed_a_proxy(headers) => Err(forbidden(
                "a bare x-user-id came through a proxy that --trusted-proxy does not name",
            )),
            Self::Unnamed | Self::Named(_) => Ok(()),
        }
    }

    /// The rightmost address that is no trusted proxy's: each proxy appends whom it heard, so what stands left of the first
    /// stranger is that stranger's invention.
    pub(super) fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines = headers.get_all("x-forwarded-for").iter().rev();
        let mut heard = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        while self.trust(client) {
            match heard.next().and_then(address) {
                Some(before) => client = before,
                None => break,
            }
        }
        client
    }
}

/// A proxy left its mark: one of the headers that proxies add.
fn passed_a_proxy(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        name == header::FORWARDED
            || name == header::VIA
            || name == "x-real-ip"
            || name.as_str().starts_with("x-forwarded-")
    })
}

/// An entry of `X-Forwarded-For`: an address; some proxies add the port, and then brackets.
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
