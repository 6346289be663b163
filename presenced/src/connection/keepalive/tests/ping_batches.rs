//! Pings leave in batches: when the batches are, and how many pings one has.

use std::collections::BTreeMap;

use super::*;

#[test]
fn a_ping_is_sent_with_the_first_batch_after_the_interval() {
    for (received, pinged) in [(0, 25_000), (1, 25_250), (250, 25_250), (251, 25_500), (1_999, 27_000)] {
        let mut keepalive = Keepalive::new(Mono::from_millis(received), None);
        let due = |keepalive: &mut Keepalive, now| keepalive.evaluate(Mono::from_millis(now), &DONE, &OPTIONS);
        let (at, timeout) = (Mono::from_millis(pinged), Mono::from_millis(pinged + 10_000));
        assert_eq!(due(&mut keepalive, received), Due::Nothing(at), "{received}");
        assert_eq!(due(&mut keepalive, pinged - 1), Due::Nothing(at), "{received}");
        assert_eq!(due(&mut keepalive, pinged), Due::Ping(timeout), "{received}");
    }
}

#[test]
fn ping_batches_are_a_hundredth_of_the_interval_apart_or_250_ms() {
    for (interval, apart) in [(25_000, 250), (300_000, 250), (2_000, 20), (100, 1), (20, 1)] {
        let options = PingOptions {
            interval: Duration::from_millis(interval),
            ..PINGS
        };
        for received in 1_000..1_000 + 2 * apart {
            let at = options.ping_at(Mono::from_millis(received)).as_millis();
            let due = received + interval;
            assert!(
                at.is_multiple_of(apart) && (due..due + apart).contains(&at),
                "{received}: {at}"
            );
        }
    }
}

#[test]
fn a_batch_has_a_hundredth_of_the_pings_of_evenly_spread_connections() {
    let mut pings = BTreeMap::new();
    for connection in 0..10_000 {
        let received = Mono::from_millis(connection * 25_000 / 10_000);
        *pings.entry(PINGS.ping_at(received).as_millis()).or_insert(0) += 1;
    }
    // The first batch has the one connection that was heard right on it.
    assert!(pings.values().all(|count| *count <= 100), "{pings:?}");
    assert!(pings.len() <= 101, "{}", pings.len());
}
