//! The limit that holds in every stretch of time.

use std::time::Duration;

use presence::{Mono, Rate, SlidingWindow};
use proptest::prelude::*;

const RATE: Rate = Rate {
    amount: 20,
    period: Duration::from_secs(10),
    burst: 20,
};

fn at(millis: u64) -> Mono {
    Mono::from_millis(millis)
}

#[test]
fn twenty_fit_and_the_next_is_told_exactly_how_long_to_wait() {
    let mut window = SlidingWindow::default();
    for index in 0..20 {
        assert_eq!(window.take(RATE, at(100 * index)), Ok(()));
    }
    assert_eq!(window.take(RATE, at(2_000)), Err(Duration::from_millis(8_000)));
    assert_eq!(window.take(RATE, at(9_999)), Err(Duration::from_millis(1)));
    assert_eq!(window.take(RATE, at(10_000)), Ok(()), "the first is too old to count");
    assert_eq!(window.take(RATE, at(10_000)), Err(Duration::from_millis(100)));
}

#[test]
fn a_key_is_over_when_nothing_counts_any_more() {
    let mut window = SlidingWindow::default();
    assert!(window.is_over(RATE, at(0)));
    window.take(RATE, at(5)).expect("room");
    assert!(!window.is_over(RATE, at(10_004)));
    assert!(window.is_over(RATE, at(10_005)));
}

/// A server has one for each user that published a change of late.
#[test]
fn a_window_is_small() {
    assert!(size_of::<SlidingWindow>() <= 16, "{}", size_of::<SlidingWindow>());
}

proptest! {
    #[test]
    fn no_stretch_holds_more_and_none_is_refused_without_need(steps in proptest::collection::vec(0_u64..2_000, 1..300)) {
        let mut window = SlidingWindow::default();
        let mut taken: Vec<u64> = Vec::new();
        let mut now = 0;
        for step in steps {
            now += step;
            let recent = taken.iter().filter(|moment| now - **moment < 10_000).count();
            let checked = window.check(RATE, at(now));
            let took = window.take(RATE, at(now));
            prop_assert_eq!(checked, took, "a check foretells what a take does");
            let fits = took.is_ok();
            prop_assert_eq!(fits, recent < 20);
            if fits {
                taken.push(now);
            }
        }
    }
}
