//! Trusted proxies: peers whose bare `x-user-id` and `X-Forwarded-For` are trusted. IPv4-mapped IPv6 addresses are treated as
//! IPv4 addresses, in networks and in peers.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{HeaderMap, header};
use ipnet::{IpNet, Ipv4Net};

use super::{AuthError, forbidden, forwarded};

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

/// A client as the limits per address see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitedClient {
    pub(crate) address: IpAddr,
    /// It is a trusted proxy that calls for itself.
    pub(crate) is_exempt: bool,
}

const UNKNOWN_CLIENT: &str = "a trusted proxy names clients whose address can't be parsed: the limits per client count them as one, \
     by the address of the proxy; have it set X-Forwarded-For to the address of its peer";
const MISSING_CLIENT: &str = "a trusted proxy sent a request without X-Forwarded-For, Forwarded or X-Real-IP: such requests are exempt \
     from the limits per client; have it set X-Forwarded-For if it passes on requests of others";

pub(super) struct Proxies {
    trusted: TrustedProxies,
    has_warned_of_unknown: AtomicBool,
    has_warned_of_missing: AtomicBool,
}

impl Proxies {
    pub(super) fn new(trusted: TrustedProxies) -> Self {
        let trusted = match trusted {
            TrustedProxies::Loopback => TrustedProxies::Loopback,
            TrustedProxies::Named(nets) => TrustedProxies::Named(nets.into_iter().map(canonical).collect()),
        };
        Self {
            trusted,
            has_warned_of_unknown: AtomicBool::new(false),
            has_warned_of_missing: AtomicBool::new(false),
        }
    }

    pub(super) fn has_named(&self) -> bool {
        self.trusted.has_named()
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
    /// untrusted address can be forged by it. A request whose client can't be told is counted as one of the proxy that
    /// passed it on; only one that came from a proxy itself is exempt.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> LimitedClient {
        let mut address = peer.to_canonical();
        let mut entries = forwarded::addresses(headers);
        let mut has_entries = false;
        while self.trust(address) {
            match entries.next() {
                Some(Some(previous)) => address = previous,
                Some(None) => {
                    self.warn_once(&self.has_warned_of_unknown, address, UNKNOWN_CLIENT);
                    return LimitedClient {
                        address,
                        is_exempt: false,
                    };
                }
                None => {
                    if !has_entries && self.trusted.has_named() {
                        self.warn_once(&self.has_warned_of_missing, address, MISSING_CLIENT);
                    }
                    return LimitedClient {
                        address,
                        is_exempt: true,
                    };
                }
            }
            has_entries = true;
        }
        LimitedClient {
            address,
            is_exempt: false,
        }
    }

    fn warn_once(&self, has_warned: &AtomicBool, proxy: IpAddr, what: &str) {
        if !has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(%proxy, "{what}");
        }
    }
}

/// Whether there is one of the headers that proxies add.
pub(super) fn passed_a_proxy(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        name == header::FORWARDED
            || name == header::VIA
            || name == "x-real-ip"
            || name.as_str().starts_with("x-forwarded-")
    })
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
