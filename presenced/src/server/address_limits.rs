//! A rate limit per client address, in bounded memory. Pure: the time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use presence::{Mono, Rate, TokenBucket};

/// Most addresses tracked: 65,536 of about 48 bytes are 3 MiB. Beyond, new addresses are not limited: the connection limit
/// still bounds them, and rejecting them instead would lock out everyone.
const ADDRESSES_MAX: usize = 65_536;
/// Number of addresses up to which nothing is swept.
const SWEEP_MIN: usize = 1024;
/// Pause between two sweeps.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// The address a bucket belongs to: for IPv6 the /64 network, all of which one client usually has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    V4(u32),
    V6(u64),
}

impl Key {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// One bucket per client address.
#[derive(Debug)]
pub(crate) struct AddressLimits {
    rate: Rate,
    max: usize,
    /// The standard hasher is keyed, which matters because clients choose the addresses.
    buckets: HashMap<Key, TokenBucket>,
    /// The number of buckets at which the next sweep runs: twice what the last one left, so that sweeps cost each address
    /// little.
    sweep_at: usize,
    /// The earliest next sweep.
    sweep_after: Mono,
}

impl AddressLimits {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            max: ADDRESSES_MAX,
            buckets: HashMap::new(),
            sweep_at: SWEEP_MIN,
            sweep_after: Mono::default(),
        }
    }

    /// Takes one token, or returns how long to wait for it.
    pub(crate) fn take(&mut self, address: IpAddr, now: Mono) -> Result<(), Duration> {
        let key = Key::of(address);
        if let Some(bucket) = self.buckets.get_mut(&key) {
            return bucket.take(self.rate, now, 1);
        }
        let mut bucket = TokenBucket::default();
        bucket.take(self.rate, now, 1)?;
        self.sweep(now);
        if self.buckets.len() < self.max {
            self.buckets.insert(key, bucket);
        }
        Ok(())
    }

    /// As [`Self::take`], without taking the token.
    pub(crate) fn check(&self, address: IpAddr, now: Mono) -> Result<(), Duration> {
        match self.buckets.get(&Key::of(address)) {
            Some(bucket) => bucket.clone().take(self.rate, now, 1),
            None => Ok(()),
        }
    }

    /// Drops the buckets that are full again.
    fn sweep(&mut self, now: Mono) {
        if self.buckets.len() < self.sweep_at.min(self.max) || now < self.sweep_after {
            return;
        }
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        self.sweep_at = SWEEP_MIN.max(self.buckets.len() * 2);
        self.sweep_after = now.after(SWEEP_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        amount: 10,
        period: Duration::from_secs(60),
        burst: 10,
    };

    fn at(millis: u64) -> Mono {
        Mono::from_millis(millis)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn beyond_the_burst_an_address_waits_for_the_next_token() {
        let mut limits = AddressLimits::new(RATE);
        let one = address("192.0.2.1");
        for _ in 0..9 {
            limits.take(one, at(1000)).unwrap();
        }
        assert_eq!(limits.check(one, at(1000)), Ok(()));
        limits.take(one, at(1000)).unwrap();
        assert_eq!(limits.check(one, at(1000)), Err(Duration::from_secs(6)));
        assert_eq!(limits.take(one, at(1000)), Err(Duration::from_secs(6)));
        assert!(limits.take(one, at(6999)).is_err());
        assert!(limits.take(one, at(7000)).is_ok());
        assert!(limits.take(one, at(7000)).is_err());
    }

    #[test]
    fn each_ipv4_address_and_each_ipv6_network_has_a_bucket() {
        let mut limits = AddressLimits::new(Rate { burst: 1, ..RATE });
        assert!(limits.take(address("192.0.2.1"), at(0)).is_ok());
        assert!(limits.take(address("192.0.2.2"), at(0)).is_ok());
        assert!(limits.take(address("::ffff:192.0.2.1"), at(0)).is_err());
        assert!(limits.take(address("2001:db8::1"), at(0)).is_ok());
        assert!(limits.take(address("2001:db8::ffff:2"), at(0)).is_err());
        assert!(limits.take(address("2001:db8:0:1::1"), at(0)).is_ok());
    }

    #[test]
    fn check_takes_no_token() {
        let mut limits = AddressLimits::new(Rate { burst: 1, ..RATE });
        for _ in 0..3 {
            assert!(limits.check(address("192.0.2.1"), at(0)).is_ok());
        }
        assert!(limits.take(address("192.0.2.1"), at(0)).is_ok());
    }

    #[test]
    fn a_sweep_drops_buckets_that_are_full_again() {
        let mut limits = AddressLimits::new(RATE);
        for host in 0..1024_u32 {
            limits.take(IpAddr::V4(host.into()), at(0)).unwrap();
        }
        assert_eq!(limits.buckets.len(), 1024);
        limits.take(address("192.0.2.1"), at(6000)).unwrap();
        assert_eq!(limits.buckets.len(), 1, "six seconds later the other buckets are full");
    }

    #[test]
    fn beyond_the_maximum_only_tracked_addresses_are_limited() {
        let mut limits = AddressLimits::new(Rate { burst: 1, ..RATE });
        limits.max = 3;
        for host in 1..=4_u32 {
            assert!(limits.take(IpAddr::V4(host.into()), at(1)).is_ok());
        }
        assert_eq!(limits.buckets.len(), 3);
        assert!(limits.take(IpAddr::V4(3.into()), at(1)).is_err());
        assert!(limits.take(IpAddr::V4(4.into()), at(1)).is_ok(), "not tracked");
        assert!(limits.take(IpAddr::V4(4.into()), at(6001)).is_ok());
        assert!(
            limits.take(IpAddr::V4(4.into()), at(6001)).is_err(),
            "there was room again"
        );
    }
}
