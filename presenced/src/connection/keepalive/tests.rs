//! The keepalive alone: pings, their timeouts, and peers that are slow, silent or dead.

mod ping_batches;

use super::*;

const PINGS: PingOptions = PingOptions {
    interval: Duration::from_secs(25),
    timeout: Duration::from_secs(10),
};
const OPTIONS: KeepaliveOptions = KeepaliveOptions {
    pings: PINGS,
    write_timeout: Duration::from_secs(30),
    message_timeout: Duration::from_secs(10),
};

fn at(seconds: u64) -> Mono {
    Mono::from_millis(seconds * 1000)
}

/// Everything is acknowledged.
const DONE: Outgoing = Outgoing {
    blocked_since: None,
    written: 0,
    unacknowledged: 0,
};

/// The socket is full since then, and of its bytes so many are acknowledged.
fn full(since: u64, acknowledged: u64) -> Outgoing {
    Outgoing {
        blocked_since: Some(at(since)),
        ..in_flight(acknowledged + 1000, acknowledged)
    }
}

/// The socket took so many bytes, and so many of them are acknowledged.
fn in_flight(written: u64, acknowledged: u64) -> Outgoing {
    Outgoing {
        blocked_since: None,
        written,
        unacknowledged: written - acknowledged,
    }
}

#[test]
fn a_silent_connection_is_pinged_and_then_timed_out() {
    let mut keepalive = Keepalive::new(at(0), None);
    assert_eq!(keepalive.evaluate(at(24), &DONE, &OPTIONS), Due::Nothing(at(25)));
    assert_eq!(keepalive.evaluate(at(25), &DONE, &OPTIONS), Due::Ping(at(35)));
    assert_eq!(keepalive.evaluate(at(34), &DONE, &OPTIONS), Due::Nothing(at(35)));
    assert_eq!(
        keepalive.evaluate(at(35), &DONE, &OPTIONS),
        Due::Close(CloseReason::PingTimeout)
    );
}

#[test]
fn any_bytes_answer_a_ping() {
    let mut keepalive = Keepalive::new(at(0), None);
    keepalive.evaluate(at(25), &DONE, &OPTIONS);
    keepalive.on_received(at(30), None);
    assert_eq!(keepalive.evaluate(at(35), &DONE, &OPTIONS), Due::Nothing(at(55)));
}

#[test]
fn the_ping_timeout_runs_from_when_the_ping_was_sent() {
    let mut keepalive = Keepalive::new(at(0), None);
    assert_eq!(keepalive.evaluate(at(31), &DONE, &OPTIONS), Due::Ping(at(41)));
    assert_eq!(keepalive.evaluate(at(40), &DONE, &OPTIONS), Due::Nothing(at(41)));
}

#[test]
fn while_data_is_unsent_only_the_write_timeout_applies() {
    let mut keepalive = Keepalive::new(at(0), None);
    keepalive.on_received(at(18), None);
    assert_eq!(keepalive.evaluate(at(20), &full(20, 0), &OPTIONS), Due::Nothing(at(21)));
    assert_eq!(keepalive.evaluate(at(45), &full(20, 0), &OPTIONS), Due::Nothing(at(46)));
    assert_eq!(keepalive.evaluate(at(49), &full(20, 0), &OPTIONS), Due::Nothing(at(50)));
    assert_eq!(
        keepalive.evaluate(at(50), &full(20, 0), &OPTIONS),
        Due::Close(CloseReason::TooSlow)
    );
}

#[test]
fn the_ping_timeout_restarts_once_the_socket_takes_data() {
    let mut keepalive = Keepalive::new(at(0), None);
    keepalive.evaluate(at(25), &DONE, &OPTIONS);
    assert_eq!(keepalive.evaluate(at(33), &full(30, 0), &OPTIONS), Due::Nothing(at(34)));
    assert_eq!(keepalive.evaluate(at(34), &DONE, &OPTIONS), Due::Nothing(at(43)));
    assert_eq!(
        keepalive.evaluate(at(43), &DONE, &OPTIONS),
        Due::Close(CloseReason::PingTimeout)
    );
}

#[test]
fn an_acknowledgement_restarts_the_write_timeout() {
    let mut keepalive = Keepalive::new(at(0), None);
    for second in 1..200 {
        let due = keepalive.evaluate(at(second), &full(1, second / 20), &OPTIONS);
        assert_eq!(due, Due::Nothing(at(second + 1)), "the link is slow, and moves");
    }
    assert_eq!(
        keepalive.evaluate(at(209), &full(1, 9), &OPTIONS),
        Due::Nothing(at(210))
    );
    assert_eq!(
        keepalive.evaluate(at(210), &full(1, 9), &OPTIONS),
        Due::Close(CloseReason::TooSlow),
        "30 s after the last one"
    );
}

#[test]
fn a_full_socket_does_not_hide_a_dead_peer() {
    let mut keepalive = Keepalive::new(at(0), None);
    keepalive.evaluate(at(1), &DONE, &OPTIONS);
    assert_eq!(keepalive.evaluate(at(34), &full(20, 0), &OPTIONS), Due::Nothing(at(35)));
    assert_eq!(
        keepalive.evaluate(at(35), &full(20, 0), &OPTIONS),
        Due::Close(CloseReason::TooSlow),
        "nothing heard and nothing acknowledged since 0"
    );
}

#[test]
fn a_client_that_sends_but_acknowledges_nothing_is_too_slow() {
    let mut keepalive = Keepalive::new(at(0), None);
    for second in 1..40 {
        keepalive.on_received(at(second), None);
        let due = keepalive.evaluate(at(second), &in_flight(500, 0), &OPTIONS);
        let expected = match second {
            31.. => Due::Close(CloseReason::TooSlow),
            _ => Due::Nothing(at((second + 25).min(31))),
        };
        assert_eq!(due, expected, "{second}");
    }
}

#[test]
fn a_ping_is_not_judged_while_what_was_sent_before_it_is_acknowledged() {
    let mut keepalive = Keepalive::new(at(0), None);
    assert_eq!(
        keepalive.evaluate(at(25), &in_flight(90, 10), &OPTIONS),
        Due::Ping(at(26))
    );
    for second in 26..33 {
        let due = keepalive.evaluate(at(second), &in_flight(92, second - 16), &OPTIONS);
        assert_eq!(due, Due::Nothing(at(second + 1)), "behind other data");
    }
    for second in 33..105 {
        let due = keepalive.evaluate(at(second), &in_flight(200, second - 16), &OPTIONS);
        assert_eq!(due, Due::Nothing(at(second + 1)), "behind other data");
    }
    assert_eq!(
        keepalive.evaluate(at(106), &in_flight(200, 90), &OPTIONS),
        Due::Nothing(at(114)),
        "what came before it has arrived after 104"
    );
    assert_eq!(
        keepalive.evaluate(at(114), &in_flight(200, 120), &OPTIONS),
        Due::Close(CloseReason::PingTimeout),
        "what is acknowledged of later data is no answer"
    );
}

#[test]
fn a_ping_behind_data_that_nobody_acknowledges_is_judged_in_time() {
    let mut keepalive = Keepalive::new(at(0), None);
    assert_eq!(
        keepalive.evaluate(at(25), &in_flight(90, 10), &OPTIONS),
        Due::Ping(at(26))
    );
    assert_eq!(
        keepalive.evaluate(at(34), &in_flight(92, 10), &OPTIONS),
        Due::Nothing(at(35))
    );
    assert_eq!(
        keepalive.evaluate(at(35), &in_flight(92, 10), &OPTIONS),
        Due::Close(CloseReason::PingTimeout)
    );
}

#[test]
fn bytes_in_between_do_not_extend_an_unfinished_message() {
    let mut keepalive = Keepalive::new(at(0), None);
    for second in 1..10 {
        keepalive.on_received(at(second), Some(at(1)));
        assert_eq!(keepalive.evaluate(at(second), &DONE, &OPTIONS), Due::Nothing(at(11)));
    }
    keepalive.on_received(at(11), Some(at(1)));
    assert!(matches!(
        keepalive.evaluate(at(11), &DONE, &OPTIONS),
        Due::Close(CloseReason::LimitExceeded(Limit::UnfinishedMessage))
    ));
}

#[test]
fn the_write_timeout_wins_over_an_unfinished_message() {
    let mut keepalive = Keepalive::new(at(0), None);
    keepalive.on_received(at(1), Some(at(1)));
    assert!(matches!(
        keepalive.evaluate(at(29), &full(0, 0), &OPTIONS),
        Due::Close(CloseReason::LimitExceeded(Limit::UnfinishedMessage))
    ));
    assert_eq!(
        keepalive.evaluate(at(30), &full(0, 0), &OPTIONS),
        Due::Close(CloseReason::TooSlow)
    );
}

#[test]
fn a_connection_ends_when_its_token_expires() {
    let mut keepalive = Keepalive::new(at(0), Some(at(7)));
    assert_eq!(keepalive.evaluate(at(1), &DONE, &OPTIONS), Due::Nothing(at(7)));
    keepalive.on_received(at(7), None);
    assert_eq!(
        keepalive.evaluate(at(7), &DONE, &OPTIONS),
        Due::Close(CloseReason::TokenExpired)
    );
}

#[test]
fn a_demanded_answer_has_the_prompt_timeout() {
    let mut keepalive = Keepalive::new(at(0), None);
    assert_eq!(keepalive.demand_answer(at(3), &DONE, &OPTIONS), Demanded::Nothing);
    let through = in_flight(90, 90);
    assert_eq!(
        keepalive.demand_answer(at(4), &through, &OPTIONS),
        Demanded::Ping(at(8))
    );
    assert_eq!(
        keepalive.demand_answer(at(6), &through, &OPTIONS),
        Demanded::Await(at(8))
    );
    assert_eq!(keepalive.evaluate(at(7), &through, &OPTIONS), Due::Nothing(at(8)));
    assert_eq!(
        keepalive.evaluate(at(8), &through, &OPTIONS),
        Due::Close(CloseReason::PingTimeout)
    );
}

#[test]
fn an_answer_is_demanded_once_in_a_ping_interval() {
    let mut keepalive = Keepalive::new(at(0), None);
    keepalive.demand_answer(at(4), &DONE, &OPTIONS);
    keepalive.on_received(at(5), None);
    for second in 5..29 {
        let demanded = keepalive.demand_answer(at(second), &DONE, &OPTIONS);
        assert_eq!(demanded, Demanded::Nothing, "{second}");
    }
    assert_eq!(keepalive.demand_answer(at(29), &DONE, &OPTIONS), Demanded::Ping(at(33)));
}

#[test]
fn the_next_ping_after_a_demanded_answer_has_the_usual_timeout() {
    let mut keepalive = Keepalive::new(at(0), None);
    keepalive.demand_answer(at(4), &DONE, &OPTIONS);
    keepalive.on_received(at(5), None);
    assert_eq!(keepalive.evaluate(at(30), &DONE, &OPTIONS), Due::Ping(at(40)));
}

#[test]
fn a_shorter_ping_timeout_holds_for_demanded_answers() {
    let mut options = OPTIONS;
    options.pings.timeout = Duration::from_secs(2);
    let mut keepalive = Keepalive::new(at(0), None);
    assert_eq!(keepalive.demand_answer(at(1), &DONE, &options), Demanded::Nothing);
    assert_eq!(keepalive.demand_answer(at(2), &DONE, &options), Demanded::Ping(at(4)));
    assert_eq!(keepalive.evaluate(at(3), &DONE, &options), Due::Nothing(at(4)));
}

#[test]
fn no_answer_is_demanded_while_data_is_unsent() {
    let mut silent = Keepalive::new(at(0), None);
    assert_eq!(silent.demand_answer(at(20), &full(19, 0), &OPTIONS), Demanded::Nothing);
    assert_eq!(
        silent.demand_answer(at(21), &DONE, &OPTIONS),
        Demanded::Ping(at(25)),
        "none was demanded before"
    );
    let mut pinged = Keepalive::new(at(0), None);
    pinged.evaluate(at(25), &DONE, &OPTIONS);
    assert_eq!(pinged.demand_answer(at(26), &full(26, 0), &OPTIONS), Demanded::Nothing);
    assert_eq!(
        pinged.evaluate(at(30), &DONE, &OPTIONS),
        Due::Nothing(at(35)),
        "with the usual timeout"
    );
}

#[test]
fn a_demanded_ping_is_judged_when_it_has_arrived() {
    let mut keepalive = Keepalive::new(at(0), None);
    let demanded = keepalive.demand_answer(at(5), &in_flight(90, 10), &OPTIONS);
    assert_eq!(demanded, Demanded::Ping(at(6)));
    for second in 6..16 {
        let due = keepalive.evaluate(at(second), &in_flight(92, second * 4), &OPTIONS);
        assert_eq!(due, Due::Nothing(at(second + 1)), "behind other data");
    }
    let through = in_flight(92, 90);
    assert_eq!(keepalive.evaluate(at(16), &through, &OPTIONS), Due::Nothing(at(19)));
    assert_eq!(
        keepalive.evaluate(at(19), &through, &OPTIONS),
        Due::Close(CloseReason::PingTimeout)
    );
}

/// Evaluates at each deadline, a tick late, from `span.start` to `span.end`. Returns the close reason and its time, if there
/// is one, and the times of the pings.
fn simulate(
    keepalive: &mut Keepalive,
    span: std::ops::RangeInclusive<u64>,
    outgoing: impl Fn(u64) -> Outgoing,
) -> (Option<(CloseReason, u64)>, Vec<u64>) {
    const TICK: u64 = 16;
    let mut now = *span.start();
    let mut pings = Vec::new();
    while now <= *span.end() {
        let next = match keepalive.evaluate(Mono::from_millis(now), &outgoing(now), &OPTIONS) {
            Due::Nothing(next) => next,
            Due::Ping(next) => {
                pings.push(now);
                next
            }
            Due::Close(close_reason) => return (Some((close_reason, now)), pings),
        };
        assert!(next.as_millis() > now, "the next evaluation lies ahead");
        now = next.as_millis() + TICK;
    }
    (None, pings)
}

proptest::proptest! {
    #[test]
    fn a_dead_peer_is_detected_within_the_promised_time(
        hears in proptest::collection::vec(1_u64..24_000, 0..20),
        stuck in proptest::option::of((0_u64..60_000, 1_u64..29_000)),
    ) {
        let mut keepalive = Keepalive::new(at(0), None);
        let mut now = 0;
        for pause in hears {
            proptest::prop_assert_eq!(simulate(&mut keepalive, now..=now + pause, |_| DONE).0, None, "a sender stays connected");
            now += pause;
            keepalive.on_received(Mono::from_millis(now), None);
        }
        // Data may be unsent for a while; then the socket takes it, and the peer is dead from that moment.
        let (from, until) = stuck.map_or((0, now), |(after, length)| (now + after % 20_000, now + after % 20_000 + length));
        let outgoing = |when| match (from..until).contains(&when) {
            true => Outgoing {
                blocked_since: Some(Mono::from_millis(from)),
                written: 10,
                unacknowledged: 10,
            },
            false if when >= until => Outgoing { written: 10, ..DONE },
            false => DONE,
        };
        let found = simulate(&mut keepalive, now..=now + 200_000, outgoing).0;
        let Some((CloseReason::PingTimeout | CloseReason::TooSlow, when)) = found else {
            return Err(proptest::test_runner::TestCaseError::fail(format!("{found:?}")));
        };
        // Interval and timeout; or, if a ping is due already when the socket takes the unsent data, one check interval and
        // the timeout. And the second that the promise allows.
        let latest = (now + 35_000).max(until + 11_000) + 1_000;
        proptest::prop_assert!(when <= latest, "{} > {}", when, latest);
        proptest::prop_assert!(when >= now + 35_000, "not too early");
    }

    #[test]
    fn a_connection_that_answers_each_ping_stays_open(delays in proptest::collection::vec(0_u64..9_900, 1..30)) {
        let mut keepalive = Keepalive::new(at(0), None);
        let mut now = 0;
        for delay in delays {
            let (close_reason, pings) = simulate(&mut keepalive, now..=now + 25_300, |_| DONE);
            proptest::prop_assert_eq!(close_reason, None);
            proptest::prop_assert_eq!(pings.len(), 1);
            let pinged = pings[0];
            proptest::prop_assert_eq!(simulate(&mut keepalive, pinged..=pinged + delay, |_| DONE).0, None);
            now = pinged + delay;
            keepalive.on_received(Mono::from_millis(now), None);
        }
    }
}

#[test]
fn a_full_socket_is_stuck_since_it_was_found_full() {
    let (mut keepalive, outgoing) = (Keepalive::new(at(0), None), full(10, 40));
    // What was acknowledged before is no progress of a peer that stops now.
    keepalive.on_blocked(at(10), &outgoing);
    let due = [25, 40].map(|second| keepalive.evaluate(at(second), &outgoing, &OPTIONS));
    assert_eq!(due, [Due::Nothing(at(26)), Due::Close(CloseReason::TooSlow)]);
}

#[test]
fn a_silent_peer_whose_socket_is_not_full_is_lost_and_not_too_slow() {
    let mut keepalive = Keepalive::new(at(0), None);
    let due = [20, 25, 35].map(|second| keepalive.evaluate(at(second), &in_flight(100, 0), &OPTIONS));
    assert_eq!(due[2], Due::Close(CloseReason::PingTimeout));
}
