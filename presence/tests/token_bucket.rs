//! The rate limiter is exact, however a request is split.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::time::Duration;

use presence::{Mono, Rate, TokenBucket};
use proptest::prelude::*;

fn rate(amount: u64, period_millis: u64, burst: u64) -> Rate {
    Rate {
        amount,
        period: Duration::from_millis(period_millis),
        burst,
    }
}

fn at(millis: u64) -> Mono {
    Mono::from_millis(millis)
}

/// The limits of the contract: custom statuses, messages and bytes of a connection, handshakes and failed logins of an address.
fn limits() -> [Rate; 5] {
    [
        rate(20, 10_000, 20),
        rate(30, 1_000, 100),
        rate(64 * 1024, 1_000, 1024 * 1024),
        rate(50, 1_000, 200),
        rate(10, 60_000, 10),
    ]
}

fn upper(wait: Duration) -> u64 {
    u64::try_from(wait.as_micros().div_ceil(1000)).unwrap()
}

#[test]
fn a_burst_is_allowed_to_the_last_unit_and_no_further() {
    for rate in limits() {
        let mut whole = TokenBucket::default();
        assert!(
            whole.take(rate, at(5), rate.burst + 1).is_err(),
            "more than a burst never fits"
        );
        assert_eq!(whole.take(rate, at(5), rate.burst), Ok(()));
        assert!(whole.take(rate, at(5), 1).is_err());
        let mut piecewise = TokenBucket::default();
        let taken = (0..rate.burst + 5)
            .filter(|_| piecewise.take(rate, at(5), 1).is_ok())
            .count();
        assert_eq!(taken as u64, rate.burst);
        assert_eq!(whole, piecewise, "the pieces make no difference");
    }
}

#[test]
fn small_pieces_get_no_more_than_large_ones() {
    // 64 KiB a second in single bytes: rounding each byte's time down would let more through.
    let rate = rate(64 * 1024, 1_000, 1);
    let mut bucket = TokenBucket::default();
    let mut taken = 0_u64;
    for millis in 0..2_000 {
        while bucket.take(rate, at(millis), 1).is_ok() {
            taken += 1;
        }
    }
    // At most one burst at each moment asked at, and one at the start.
    assert!(taken <= 2_000, "{taken}");
    let rate = self::rate(64 * 1024, 1_000, 1_000);
    let (mut bucket, mut taken) = (TokenBucket::default(), 0_u64);
    for millis in 0..=10_000 {
        while bucket.take(rate, at(millis), 1).is_ok() {
            taken += 1;
        }
    }
    assert_eq!(taken, 1_000 + 10 * 64 * 1024, "neither more nor less");
}

#[test]
fn a_wait_is_never_a_fraction_of_a_microsecond_short() {
    let rate = Rate {
        amount: 3,
        period: Duration::from_micros(3_001),
        burst: 1,
    };
    let mut bucket = TokenBucket::default();
    bucket.take(rate, at(0), 1).unwrap();
    assert_eq!(
        bucket.take(rate, at(0), 1),
        Err(Duration::from_micros(1_001)),
        "1000 and a third"
    );
    assert!(bucket.take(rate, at(1), 1).is_err());
}

#[test]
fn a_refused_request_uses_up_nothing() {
    let rate = rate(20, 10_000, 20);
    let mut bucket = TokenBucket::default();
    bucket.take(rate, at(0), 20).unwrap();
    let full = bucket;
    for _ in 0..1_000 {
        assert_eq!(bucket.take(rate, at(0), 1), Err(Duration::from_millis(500)));
    }
    assert_eq!(bucket, full);
}

#[test]
fn a_bucket_is_full_once_its_use_was_refilled() {
    for rate in limits() {
        let mut bucket = TokenBucket::default();
        assert!(bucket.is_full(at(0)));
        bucket.take(rate, at(1_000), rate.burst).unwrap();
        let refill = upper(rate.period * u32::try_from(rate.burst).unwrap() / u32::try_from(rate.amount).unwrap());
        assert!(!bucket.is_full(at(1_000 + refill - 1)));
        assert!(bucket.is_full(at(1_000 + refill + 1)));
    }
}

#[test]
fn extreme_rates_and_times_do_not_panic() {
    for rate in [
        rate(0, 0, 0),
        rate(u64::MAX, u64::MAX, u64::MAX),
        rate(1, u64::MAX, u64::MAX),
        rate(u64::MAX, 1, 1),
    ] {
        for now in [0, 1, u64::MAX] {
            let mut bucket = TokenBucket::default();
            for amount in [0, 1, u64::MAX] {
                let _ = bucket.take(rate, at(now), amount);
                let _ = bucket.is_full(at(now));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn burst_and_refill_bound_every_stretch_of_time(
        which in 0..5_usize,
        asked in proptest::collection::vec((0..3_000_u64, 1..200_u64), 1..60),
    ) {
        let rate = limits()[which];
        let mut bucket = TokenBucket::default();
        let mut now = 0;
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for (lapse, part) in asked {
            now += lapse;
            let amount = (rate.burst * part / 200).max(1);
            if bucket.take(rate, at(now), amount).is_ok() {
                taken.push((now, amount));
            }
            for (from, _) in &taken {
                let sum: u64 = taken.iter().filter(|one| one.0 >= *from).map(|one| one.1).sum();
                let period = u64::try_from(rate.period.as_millis()).unwrap();
                prop_assert!(sum * period <= rate.burst * period + (now - from) * rate.amount);
            }
        }
    }

    #[test]
    fn the_returned_wait_is_exact(which in 0..5_usize, used in 1..=200_u64, part in 1..=200_u64, start in 0..100_000_u64) {
        let rate = limits()[which];
        let mut bucket = TokenBucket::default();
        bucket.take(rate, at(start), (rate.burst * used / 200).max(1)).unwrap();
        let amount = (rate.burst * part / 200).max(1);
        let before = bucket;
        if let Err(wait) = bucket.take(rate, at(start), amount) {
            prop_assert_eq!(bucket, before);
            let wait = upper(wait);
            prop_assert!(bucket.clone().take(rate, at(start + wait - 1), amount).is_err(), "not a moment earlier");
            prop_assert_eq!(bucket.take(rate, at(start + wait), amount), Ok(()));
        }
    }
}

#[test]
fn a_reservation_waits_for_its_units_and_is_paid_once() {
    let rate = rate(5_000, 1_000, 20_000);
    let patience = Duration::from_secs(5);
    let mut bucket = TokenBucket::default();
    assert_eq!(bucket.reserve(rate, at(0), 20_000, patience), Ok(Duration::ZERO));
    assert_eq!(bucket.reserve(rate, at(0), 5_000, patience), Ok(Duration::from_secs(1)));
    assert_eq!(
        bucket.reserve(rate, at(0), 20_000, patience),
        Ok(Duration::from_secs(5)),
        "behind the one before"
    );
    assert_eq!(
        bucket.reserve(rate, at(0), 5, patience),
        Err(Duration::from_millis(5_001))
    );
    assert_eq!(
        bucket.take(rate, at(0), 5),
        Err(Duration::from_millis(5_001)),
        "nothing was taken"
    );
    assert_eq!(
        bucket.reserve(rate, at(5_000), 5_000, patience),
        Ok(Duration::from_secs(1))
    );
}

#[test]
fn more_than_a_burst_is_reserved_by_waiting() {
    let rate = rate(10, 1_000, 10);
    let mut bucket = TokenBucket::default();
    assert_eq!(
        bucket.reserve(rate, at(0), 30, Duration::from_secs(2)),
        Ok(Duration::from_secs(2))
    );
    assert_eq!(bucket.take(rate, at(2_000), 1), Err(Duration::from_millis(100)));
}
