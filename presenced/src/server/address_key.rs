//! Whom an address stands for where clients are counted: for IPv6 the /64 network, all of which one client usually has.

use std::net::IpAddr;

/// The address or network of one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum AddressKey {
    V4(u32),
    V6(u64),
}

impl AddressKey {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}
