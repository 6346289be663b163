//! A rate limit per client address, in bounded memory. Pure: the time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use presence::{Mono, Rate, SlidingWindow, TokenBucket};

use super::address_key::AddressKey;

/// Most addresses tracked: 65,536 of about 48 bytes (with ten failed logins 200) are 3 MiB (13). Beyond, new addresses are not
/// limited: the connection limit still bounds them, and rejecting them instead would lock out everyone.
const ADDRESSES_MAX: usize = 65_536;
/// Number of addresses up to which nothing is swept.
const SWEEP_MIN: usize = 1024;
/// Pause between two sweeps.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// What is remembered of one address.
pub(super) trait Usage: Default {
    /// Takes one unit, or returns how long to wait for it.
    fn take(&mut self, rate: Rate, now: Mono) -> Result<(), Duration>;
    /// As [`Self::take`], without taking the unit.
    fn check(&self, rate: Rate, now: Mono) -> Result<(), Duration>;
    /// Whether there is nothing to remember.
    fn is_unused(&self, rate: Rate, now: Mono) -> bool;
}

impl Usage for TokenBucket {
    fn take(&mut self, rate: Rate, now: Mono) -> Result<(), Duration> {
        Self::take(self, rate, now, 1)
    }

    fn check(&self, rate: Rate, now: Mono) -> Result<(), Duration> {
        Self::take(&mut self.clone(), rate, now, 1)
    }

    fn is_unused(&self, _rate: Rate, now: Mono) -> bool {
        self.is_full(now)
    }
}

impl Usage for SlidingWindow {
    fn take(&mut self, rate: Rate, now: Mono) -> Result<(), Duration> {
        Self::take(self, rate, now)
    }

    fn check(&self, rate: Rate, now: Mono) -> Result<(), Duration> {
        Self::check(self, rate, now)
    }

    fn is_unused(&self, rate: Rate, now: Mono) -> bool {
        self.is_over(rate, now)
    }
}

/// The usage of each client address.
#[derive(Debug)]
pub(crate) struct AddressLimits<U> {
    max: usize,
    /// The standard hasher is keyed, which matters because clients choose the addresses.
    usages: HashMap<AddressKey, U>,
    /// The number of addresses at which the next sweep runs: twice what the last one left, so that sweeps cost each address
    /// little.
    sweep_at: usize,
    /// The earliest next sweep.
    sweep_after: Mono,
}

impl<U: Usage> AddressLimits<U> {
    pub(crate) fn new() -> Self {
        Self {
            max: ADDRESSES_MAX,
            usages: HashMap::new(),
            sweep_at: SWEEP_MIN,
            sweep_after: Mono::default(),
        }
    }

    /// Takes one unit, or returns how long to wait for it.
    pub(crate) fn take(&mut self, rate: Rate, address: IpAddr, now: Mono) -> Result<(), Duration> {
        let key = AddressKey::of(address);
        if let Some(usage) = self.usages.get_mut(&key) {
            return usage.take(rate, now);
        }
        let mut usage = U::default();
        usage.take(rate, now)?;
        self.sweep(rate, now);
        if self.usages.len() < self.max {
            self.usages.insert(key, usage);
        }
        Ok(())
    }

    /// As [`Self::take`], without taking the unit.
    pub(crate) fn check(&self, rate: Rate, address: IpAddr, now: Mono) -> Result<(), Duration> {
        match self.usages.get(&AddressKey::of(address)) {
            Some(usage) => usage.check(rate, now),
            None => Ok(()),
        }
    }

    /// Drops the addresses of which nothing need be remembered.
    fn sweep(&mut self, rate: Rate, now: Mono) {
        if self.usages.len() < self.sweep_at.min(self.max) || now < self.sweep_after {
            return;
        }
        self.usages.retain(|_, usage| !usage.is_unused(rate, now));
        self.sweep_at = SWEEP_MIN.max(self.usages.len() * 2);
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

    /// One at a time.
    const ONE: Rate = Rate { burst: 1, ..RATE };

    fn at(millis: u64) -> Mono {
        Mono::from_millis(millis)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn beyond_the_burst_an_address_waits_for_the_next_token() {
        let mut limits = AddressLimits::<TokenBucket>::new();
        let one = address("192.0.2.1");
        for _ in 0..9 {
            limits.take(RATE, one, at(1000)).unwrap();
        }
        assert_eq!(limits.check(RATE, one, at(1000)), Ok(()));
        limits.take(RATE, one, at(1000)).unwrap();
        assert_eq!(limits.check(RATE, one, at(1000)), Err(Duration::from_secs(6)));
        assert_eq!(limits.take(RATE, one, at(1000)), Err(Duration::from_secs(6)));
        assert!(limits.take(RATE, one, at(6999)).is_err());
        assert!(limits.take(RATE, one, at(7000)).is_ok());
        assert!(limits.take(RATE, one, at(7000)).is_err());
    }

    #[test]
    fn each_ipv4_address_and_each_ipv6_network_has_a_bucket() {
        let mut limits = AddressLimits::<TokenBucket>::new();
        assert!(limits.take(ONE, address("192.0.2.1"), at(0)).is_ok());
        assert!(limits.take(ONE, address("192.0.2.2"), at(0)).is_ok());
        assert!(limits.take(ONE, address("::ffff:192.0.2.1"), at(0)).is_err());
        assert!(limits.take(ONE, address("2001:db8::1"), at(0)).is_ok());
        assert!(limits.take(ONE, address("2001:db8::ffff:2"), at(0)).is_err());
        assert!(limits.take(ONE, address("2001:db8:0:1::1"), at(0)).is_ok());
    }

    #[test]
    fn check_takes_no_token() {
        let mut limits = AddressLimits::<TokenBucket>::new();
        for _ in 0..3 {
            assert!(limits.check(ONE, address("192.0.2.1"), at(0)).is_ok());
        }
        assert!(limits.take(ONE, address("192.0.2.1"), at(0)).is_ok());
    }

    #[test]
    fn a_sweep_drops_buckets_that_are_full_again() {
        let mut limits = AddressLimits::<TokenBucket>::new();
        for host in 0..1024_u32 {
            limits.take(RATE, IpAddr::V4(host.into()), at(0)).unwrap();
        }
        assert_eq!(limits.usages.len(), 1024);
        limits.take(RATE, address("192.0.2.1"), at(6000)).unwrap();
        assert_eq!(limits.usages.len(), 1, "six seconds later the other buckets are full");
    }

    #[test]
    fn beyond_the_maximum_only_tracked_addresses_are_limited() {
        let mut limits = AddressLimits::<TokenBucket>::new();
        limits.max = 3;
        for host in 1..=4_u32 {
            assert!(limits.take(ONE, IpAddr::V4(host.into()), at(1)).is_ok());
        }
        assert_eq!(limits.usages.len(), 3);
        assert!(limits.take(ONE, IpAddr::V4(3.into()), at(1)).is_err());
        assert!(limits.take(ONE, IpAddr::V4(4.into()), at(1)).is_ok(), "not tracked");
        assert!(limits.take(ONE, IpAddr::V4(4.into()), at(6001)).is_ok());
        assert!(
            limits.take(ONE, IpAddr::V4(4.into()), at(6001)).is_err(),
            "there was room again"
        );
    }

    #[test]
    fn a_window_admits_no_more_than_its_amount_in_any_minute() {
        let mut limits = AddressLimits::<SlidingWindow>::new();
        let one = address("192.0.2.1");
        let taken: Vec<u64> = (0..180)
            .filter(|second| limits.take(RATE, one, at(second * 1000)).is_ok())
            .collect();
        for second in 0..180 {
            let within = taken.iter().filter(|at| (second..second + 60).contains(*at)).count();
            assert!(within <= 10, "{within} from {second} s on");
        }
        assert_eq!(taken.len(), 30);
        assert_eq!(limits.check(RATE, one, at(179_000)), Err(Duration::from_secs(1)));
        assert_eq!(limits.check(RATE, one, at(180_000)), Ok(()));
        limits.sweep_at = 0;
        limits.take(RATE, address("192.0.2.2"), at(300_000)).unwrap();
        assert_eq!(limits.usages.len(), 1, "a window that is over is dropped");
    }
}
