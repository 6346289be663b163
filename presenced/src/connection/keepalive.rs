//! The keepalive of a connection: when it is pinged, and when its timeouts end it (no answer to a ping, a write without
//! progress, an unfinished message, an expired token). Pure except for [`Connection::on_deadline`].

use std::sync::Arc;
use std::time::Duration;

use presence::{Mono, Reading};

use super::Connection;
use super::close_reason::CloseReason;
use super::frame::Opcode;
use crate::exceeded_limit::Limit;

/// The intervals and timeouts of every keepalive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeepaliveOptions {
    /// A ping is sent after this long without any bytes from the client.
    pub(crate) ping_interval: Duration,
    /// Any bytes must arrive within this after a ping.
    pub(crate) ping_timeout: Duration,
    /// How long a write may make no progress.
    pub(crate) write_timeout: Duration,
    /// How long a message may stay unfinished.
    pub(crate) message_timeout: Duration,
}

/// The keepalive state of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// When the last bytes arrived.
    received_at: Mono,
    /// When the ping was sent that has not been answered.
    pinged_at: Option<Mono>,
    /// Since when a message is unfinished.
    unfinished_since: Option<Mono>,
    /// When the token expires, as estimated at the last look.
    expires_at: Option<Mono>,
}

/// What is due, and when to evaluate again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing(Mono),
    Ping(Mono),
    Close(CloseReason),
}

impl Keepalive {
    pub(crate) const fn new(now: Mono, expires_at: Option<Mono>) -> Self {
        Self {
            received_at: now,
            pinged_at: None,
            unfinished_since: None,
            expires_at,
        }
    }

    /// The token expires then, by an estimate that the next look renews: the system's clock decides.
    pub(crate) const fn set_expiry(&mut self, at: Option<Mono>) {
        self.expires_at = at;
    }

    /// Bytes arrived: they answer a ping, whatever they are.
    pub(crate) const fn on_received(&mut self, now: Mono, unfinished_since: Option<Mono>) {
        self.received_at = now;
        self.pinged_at = None;
        self.unfinished_since = unfinished_since;
    }

    /// Evaluates the timeouts. While data is unsent (`stuck_since`), the write timeout applies, and no ping is sent or timed
    /// out.
    pub(crate) fn evaluate(&mut self, now: Mono, stuck_since: Option<Mono>, options: &KeepaliveOptions) -> Due {
        if self.expires_at.is_some_and(|at| at <= now) {
            return Due::Close(CloseReason::TokenExpired);
        }
        // Before the unfinished message: a client that does not read is not read from either, so the rest of its message
        // stays in the socket for as long.
        let too_slow = stuck_since.map(|since| since.after(options.write_timeout));
        if too_slow.is_some_and(|at| at <= now) {
            return Due::Close(CloseReason::TooSlow);
        }
        let unfinished = self.unfinished_since.map(|since| since.after(options.message_timeout));
        if unfinished.is_some_and(|at| at <= now) {
            return Due::Close(CloseReason::LimitExceeded(Limit::UnfinishedMessage));
        }
        let earliest = |other: Mono| {
            [Some(other), unfinished, self.expires_at]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(other)
        };
        if let Some(at) = too_slow {
            // An unanswered ping may be unsent, so its timeout restarts once the socket takes data again. That moment must
            // not be missed by much: from then on the ping timeout applies again.
            self.pinged_at = self.pinged_at.map(|_| now);
            return Due::Nothing(earliest(at.min(now.after(STUCK_CHECK_INTERVAL))));
        }
        if let Some(pinged_at) = self.pinged_at {
            let at = pinged_at.after(options.ping_timeout);
            return if at <= now {
                Due::Close(CloseReason::PingTimeout)
            } else {
                Due::Nothing(earliest(at))
            };
        }
        let at = self.received_at.after(options.ping_interval);
        if at > now {
            return Due::Nothing(earliest(at));
        }
        self.pinged_at = Some(now);
        Due::Ping(earliest(now.after(options.ping_timeout)))
    }
}

/// How long a timeout is put off while the socket holds bytes that are not read yet.
const UNREAD_DELAY: Duration = Duration::from_millis(200);
/// How often a connection with unsent data is evaluated.
const STUCK_CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl Connection {
    /// The connection's deadline in the timing wheel: sends a ping, or closes. Returns the next deadline. Never blocks.
    pub(crate) fn on_deadline(self: &Arc<Self>, now: Reading) -> Option<Mono> {
        if self.close_reason().is_some() {
            return None;
        }
        if self.is_revoked() {
            self.close_with(CloseReason::CredentialRevoked);
            return None;
        }
        let stuck_since = self.blocked_since();
        let expires = self.token_deadline(now);
        let mut keepalive = self.keepalive.lock();
        keepalive.set_expiry(expires);
        let due = keepalive.evaluate(now.mono, stuck_since, self.keepalive_options());
        drop(keepalive);
        match due {
            Due::Nothing(next) => Some(next),
            Due::Ping(next) => {
                self.send_control(Opcode::Ping, b"");
                // If the socket is full, the ping is not sent yet.
                Some(match self.blocked_since() {
                    Some(_) => next.min(now.mono.after(STUCK_CHECK_INTERVAL)),
                    None => next,
                })
            }
            // Unread bytes may answer the ping or finish the message: the task may be delayed, or waiting for the store.
            Due::Close(CloseReason::PingTimeout | CloseReason::LimitExceeded(_)) if self.socket.has_unread() => {
                Some(now.mono.after(UNREAD_DELAY))
            }
            Due::Close(close_reason) => {
                self.close_with(close_reason);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: KeepaliveOptions = KeepaliveOptions {
        ping_interval: Duration::from_secs(25),
        ping_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(30),
        message_timeout: Duration::from_secs(10),
    };

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1000)
    }

    #[test]
    fn a_silent_connection_is_pinged_and_then_timed_out() {
        let mut keepalive = Keepalive::new(at(0), None);
        assert_eq!(keepalive.evaluate(at(24), None, &OPTIONS), Due::Nothing(at(25)));
        assert_eq!(keepalive.evaluate(at(25), None, &OPTIONS), Due::Ping(at(35)));
        assert_eq!(keepalive.evaluate(at(34), None, &OPTIONS), Due::Nothing(at(35)));
        assert_eq!(
            keepalive.evaluate(at(35), None, &OPTIONS),
            Due::Close(CloseReason::PingTimeout)
        );
    }

    #[test]
    fn any_bytes_answer_a_ping() {
        let mut keepalive = Keepalive::new(at(0), None);
        keepalive.evaluate(at(25), None, &OPTIONS);
        keepalive.on_received(at(30), None);
        assert_eq!(keepalive.evaluate(at(35), None, &OPTIONS), Due::Nothing(at(55)));
    }

    #[test]
    fn the_ping_timeout_runs_from_when_the_ping_was_sent() {
        let mut keepalive = Keepalive::new(at(0), None);
        assert_eq!(keepalive.evaluate(at(31), None, &OPTIONS), Due::Ping(at(41)));
        assert_eq!(keepalive.evaluate(at(40), None, &OPTIONS), Due::Nothing(at(41)));
    }

    #[test]
    fn while_data_is_unsent_only_the_write_timeout_applies() {
        let mut keepalive = Keepalive::new(at(0), None);
        keepalive.evaluate(at(25), None, &OPTIONS);
        assert_eq!(keepalive.evaluate(at(40), Some(at(20)), &OPTIONS), Due::Nothing(at(41)));
        assert_eq!(
            keepalive.evaluate(at(50), Some(at(20)), &OPTIONS),
            Due::Close(CloseReason::TooSlow)
        );
        let mut keepalive = Keepalive::new(at(0), None);
        keepalive.evaluate(at(25), None, &OPTIONS);
        keepalive.evaluate(at(40), Some(at(20)), &OPTIONS);
        assert_eq!(
            keepalive.evaluate(at(41), None, &OPTIONS),
            Due::Nothing(at(50)),
            "the ping timeout restarted at 40"
        );
    }

    #[test]
    fn bytes_in_between_do_not_extend_an_unfinished_message() {
        let mut keepalive = Keepalive::new(at(0), None);
        for second in 1..10 {
            keepalive.on_received(at(second), Some(at(1)));
            assert_eq!(keepalive.evaluate(at(second), None, &OPTIONS), Due::Nothing(at(11)));
        }
        keepalive.on_received(at(11), Some(at(1)));
        assert!(matches!(
            keepalive.evaluate(at(11), None, &OPTIONS),
            Due::Close(CloseReason::LimitExceeded(Limit::UnfinishedMessage))
        ));
    }

    #[test]
    fn the_write_timeout_wins_over_an_unfinished_message() {
        let mut keepalive = Keepalive::new(at(0), None);
        keepalive.on_received(at(1), Some(at(1)));
        assert!(matches!(
            keepalive.evaluate(at(29), Some(at(0)), &OPTIONS),
            Due::Close(CloseReason::LimitExceeded(Limit::UnfinishedMessage))
        ));
        assert_eq!(
            keepalive.evaluate(at(30), Some(at(0)), &OPTIONS),
            Due::Close(CloseReason::TooSlow)
        );
    }

    #[test]
    fn a_connection_ends_when_its_token_expires() {
        let mut keepalive = Keepalive::new(at(0), Some(at(7)));
        assert_eq!(keepalive.evaluate(at(1), None, &OPTIONS), Due::Nothing(at(7)));
        keepalive.on_received(at(7), None);
        assert_eq!(
            keepalive.evaluate(at(7), None, &OPTIONS),
            Due::Close(CloseReason::TokenExpired)
        );
    }

    /// Evaluates at each deadline, a tick late, from `span.start` to `span.end`. Returns the close reason and its time, if there
    /// is one, and the times of the pings.
    fn simulate(
        keepalive: &mut Keepalive,
        span: std::ops::RangeInclusive<u64>,
        stuck_since: impl Fn(u64) -> Option<Mono>,
    ) -> (Option<(CloseReason, u64)>, Vec<u64>) {
        const TICK: u64 = 16;
        let mut now = *span.start();
        let mut pings = Vec::new();
        while now <= *span.end() {
            let next = match keepalive.evaluate(Mono::from_millis(now), stuck_since(now), &OPTIONS) {
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
                proptest::prop_assert_eq!(simulate(&mut keepalive, now..=now + pause, |_| None).0, None, "a sender stays connected");
                now += pause;
                keepalive.on_received(Mono::from_millis(now), None);
            }
            // Data may be unsent for a while; then the socket takes it, and the peer is dead from that moment.
            let (from, until) = stuck.map_or((0, now), |(after, length)| (now + after % 20_000, now + after % 20_000 + length));
            let stuck_since = |when| (from..until).contains(&when).then(|| Mono::from_millis(from));
            let found = simulate(&mut keepalive, now..=now + 200_000, stuck_since).0;
            let Some((CloseReason::PingTimeout, when)) = found else {
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
                let (close_reason, pings) = simulate(&mut keepalive, now..=now + 25_100, |_| None);
                proptest::prop_assert_eq!(close_reason, None);
                proptest::prop_assert_eq!(pings.len(), 1);
                let pinged = pings[0];
                proptest::prop_assert_eq!(simulate(&mut keepalive, pinged..=pinged + delay, |_| None).0, None);
                now = pinged + delay;
                keepalive.on_received(Mono::from_millis(now), None);
            }
        }
    }
}
