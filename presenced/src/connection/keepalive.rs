//! When a connection is pinged, and when it has to go: silence, a write without progress, a message that is never
//! finished, a token that ran out. Pure but for the few lines at the end that act on a [`Connection`].

use std::sync::Arc;
use std::time::Duration;

use presence::{Mono, Now};

use super::Connection;
use super::close_reason::{Abuse, CloseReason};
use super::frame::Opcode;

/// The times a keepalive keepalive_options to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeepaliveOptions {
    /// A ping leaves after this long without any frame.
    pub(crate) ping_interval: Duration,
    /// Its answer, any frame, must come within this.
    pub(crate) ping_timeout: Duration,
    /// For how long a write may make no progress.
    pub(crate) write_timeout: Duration,
    /// For how long a message may stay unfinished.
    pub(crate) message_timeout: Duration,
}

/// What is known of a connection's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// When its last bytes arrived.
    heard: Mono,
    /// When the ping left that has not been answered.
    pinged: Option<Mono>,
    /// Since when a message is unfinished.
    opened: Option<Mono>,
    /// When its token runs out.
    expires: Option<Mono>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing; look again then.
    Nothing(Mono),
    /// A ping; look again then.
    Ping(Mono),
    /// It has to go.
    CloseReason(CloseReason),
}

impl Keepalive {
    pub(crate) const fn new(now: Mono, expires: Option<Mono>) -> Self {
        Self {
            heard: now,
            pinged: None,
            opened: None,
            expires,
        }
    }

    /// Bytes arrived: any answer a ping. `opened` is since when a message is unfinished, if one is.
    pub(crate) const fn note_received(&mut self, now: Mono, opened: Option<Mono>) {
        self.heard = now;
        self.pinged = None;
        self.opened = opened;
    }

    /// Judges. While data lies unsent (`stuck_since`), the slow-reader rule does, and no ping is sent or missed.
    pub(crate) fn judge(&mut self, now: Mono, stuck_since: Option<Mono>, keepalive_options: &KeepaliveOptions) -> Due {
        if self.expires.is_some_and(|at| at <= now) {
            return Due::CloseReason(CloseReason::Expired);
        }
        // Before anything else is judged: whoever does not read is not read from either, so its unfinished message lies in the
        // socket for as long.
        let too_slow = stuck_since.map(|since| since.after(keepalive_options.write_timeout));
        if too_slow.is_some_and(|at| at <= now) {
            return Due::CloseReason(CloseReason::TooSlow);
        }
        let unfinished = self.opened.map(|since| since.after(keepalive_options.message_timeout));
        if unfinished.is_some_and(|at| at <= now) {
            return Due::CloseReason(CloseReason::Abusive(Abuse::Unfinished));
        }
        let sooner = |one: Mono| {
            [Some(one), unfinished, self.expires]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(one)
        };
        if let Some(at) = too_slow {
            // An unanswered ping may lie unsent, so its clock begins anew once data flows again. That moment must not be
            // missed by much: from then on silence is judged again.
            self.pinged = self.pinged.map(|_| now);
            return Due::Nothing(sooner(at.min(now.after(STUCK_LOOKS))));
        }
        if let Some(pinged) = self.pinged {
            let at = pinged.after(keepalive_options.ping_timeout);
            return if at <= now {
                Due::CloseReason(CloseReason::PingTimeout)
            } else {
                Due::Nothing(sooner(at))
            };
        }
        let at = self.heard.after(keepalive_options.ping_interval);
        if at > now {
            return Due::Nothing(sooner(at));
        }
        self.pinged = Some(now);
        Due::Ping(sooner(now.after(keepalive_options.ping_timeout)))
    }
}

/// How long a connection is left alone whose socket holds bytes that nobody has read yet.
const UNREAD_WAITS: Duration = Duration::from_millis(200);
/// How often it is looked whether data still lies unsent.
const STUCK_LOOKS: Duration = Duration::from_secs(1);

impl Connection {
    /// The wheel came to this connection's deadline: it is pinged, or condemned. When to look again. Never blocks.
    pub(crate) fn on_deadline(self: &Arc<Self>, now: Now) -> Option<Mono> {
        if self.close_reason().is_some() {
            return None;
        }
        let stuck_since = self.blocked_since();
        let due = self
            .keepalive
            .lock()
            .judge(now.mono, stuck_since, self.keepalive_options());
        match due {
            Due::Nothing(next) => Some(next),
            Due::Ping(next) => {
                self.send_control(Opcode::Ping, b"");
                // Stuck already, so it did not leave now.
                Some(match self.blocked_since() {
                    Some(_) => next.min(now.mono.after(STUCK_LOOKS)),
                    None => next,
                })
            }
            // Nobody is judged whose word lies in the socket: the task may be late, or waiting for the store.
            Due::CloseReason(CloseReason::PingTimeout | CloseReason::Abusive(_)) if self.socket.has_unread() => {
                Some(now.mono.after(UNREAD_WAITS))
            }
            Due::CloseReason(close_reason) => {
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
    fn a_silent_connection_is_pinged_and_then_lost() {
        let mut keepalive = Keepalive::new(at(0), None);
        assert_eq!(keepalive.judge(at(24), None, &OPTIONS), Due::Nothing(at(25)));
        assert_eq!(keepalive.judge(at(25), None, &OPTIONS), Due::Ping(at(35)));
        assert_eq!(keepalive.judge(at(34), None, &OPTIONS), Due::Nothing(at(35)));
        assert_eq!(
            keepalive.judge(at(35), None, &OPTIONS),
            Due::CloseReason(CloseReason::PingTimeout)
        );
    }

    #[test]
    fn any_frame_answers_a_ping() {
        let mut keepalive = Keepalive::new(at(0), None);
        keepalive.judge(at(25), None, &OPTIONS);
        keepalive.note_received(at(30), None);
        assert_eq!(keepalive.judge(at(35), None, &OPTIONS), Due::Nothing(at(55)));
    }

    #[test]
    fn the_answer_is_due_from_when_the_ping_left() {
        let mut keepalive = Keepalive::new(at(0), None);
        assert_eq!(keepalive.judge(at(31), None, &OPTIONS), Due::Ping(at(41)));
        assert_eq!(keepalive.judge(at(40), None, &OPTIONS), Due::Nothing(at(41)));
    }

    #[test]
    fn while_data_lies_unsent_the_slow_reader_rule_judges() {
        let mut keepalive = Keepalive::new(at(0), None);
        keepalive.judge(at(25), None, &OPTIONS);
        assert_eq!(keepalive.judge(at(40), Some(at(20)), &OPTIONS), Due::Nothing(at(41)));
        assert_eq!(
            keepalive.judge(at(50), Some(at(20)), &OPTIONS),
            Due::CloseReason(CloseReason::TooSlow)
        );
        let mut keepalive = Keepalive::new(at(0), None);
        keepalive.judge(at(25), None, &OPTIONS);
        keepalive.judge(at(40), Some(at(20)), &OPTIONS);
        assert_eq!(
            keepalive.judge(at(41), None, &OPTIONS),
            Due::Nothing(at(50)),
            "the ping's clock began anew at 40"
        );
    }

    #[test]
    fn a_message_may_not_stay_unfinished_whatever_arrives_in_between() {
        let mut keepalive = Keepalive::new(at(0), None);
        for second in 1..10 {
            keepalive.note_received(at(second), Some(at(1)));
            assert_eq!(keepalive.judge(at(second), None, &OPTIONS), Due::Nothing(at(11)));
        }
        keepalive.note_received(at(11), Some(at(1)));
        assert!(matches!(
            keepalive.judge(at(11), None, &OPTIONS),
            Due::CloseReason(CloseReason::Abusive(_))
        ));
    }

    #[test]
    fn whoever_does_not_read_is_too_slow_in_the_middle_of_a_message_as_well() {
        let mut keepalive = Keepalive::new(at(0), None);
        keepalive.note_received(at(1), Some(at(1)));
        assert!(matches!(
            keepalive.judge(at(29), Some(at(0)), &OPTIONS),
            Due::CloseReason(CloseReason::Abusive(_))
        ));
        assert_eq!(
            keepalive.judge(at(30), Some(at(0)), &OPTIONS),
            Due::CloseReason(CloseReason::TooSlow)
        );
    }

    #[test]
    fn a_connection_ends_when_its_token_does() {
        let mut keepalive = Keepalive::new(at(0), Some(at(7)));
        assert_eq!(keepalive.judge(at(1), None, &OPTIONS), Due::Nothing(at(7)));
        keepalive.note_received(at(7), None);
        assert_eq!(
            keepalive.judge(at(7), None, &OPTIONS),
            Due::CloseReason(CloseReason::Expired)
        );
    }

    /// Looks whenever it was told to look, and a tick late, until `end`. The close_reason, if one is passed, and when; and the
    /// pings that left.
    fn watch(
        keepalive: &mut Keepalive,
        (mut now, end): (u64, u64),
        stuck_since: impl Fn(u64) -> Option<Mono>,
    ) -> (Option<(CloseReason, u64)>, Vec<u64>) {
        const TICK: u64 = 16;
        let mut pings = Vec::new();
        while now <= end {
            let next = match keepalive.judge(Mono::from_millis(now), stuck_since(now), &OPTIONS) {
                Due::Nothing(next) => next,
                Due::Ping(next) => {
                    pings.push(now);
                    next
                }
                Due::CloseReason(close_reason) => return (Some((close_reason, now)), pings),
            };
            assert!(next.as_millis() > now, "a keepalive that never rests");
            now = next.as_millis() + TICK;
        }
        (None, pings)
    }

    proptest::proptest! {
        #[test]
        fn a_silent_death_is_found_in_time_whenever_it_comes(
            hears in proptest::collection::vec(1_u64..24_000, 0..20),
            stuck in proptest::option::of((0_u64..60_000, 1_u64..29_000)),
        ) {
            let mut keepalive = Keepalive::new(at(0), None);
            let mut now = 0;
            for pause in hears {
                proptest::prop_assert_eq!(watch(&mut keepalive, (now, now + pause), |_| None).0, None, "who speaks stays");
                now += pause;
                keepalive.note_received(Mono::from_millis(now), None);
            }
            // Data may lie unsent for a while; then the socket takes it, and the peer is dead from that moment.
            let (from, until) = stuck.map_or((0, now), |(after, length)| (now + after % 20_000, now + after % 20_000 + length));
            let stuck_since = |when| (from..until).contains(&when).then(|| Mono::from_millis(from));
            let found = watch(&mut keepalive, (now, now + 200_000), stuck_since).0;
            let Some((CloseReason::PingTimeout, when)) = found else {
                return Err(proptest::test_runner::TestCaseError::fail(format!("{found:?}")));
            };
            // Interval and timeout; or, where a ping is due already when the socket takes what lay unsent, a look and the
            // timeout. And the second that the promise allows.
            let latest = (now + 35_000).max(until + 11_000) + 1_000;
            proptest::prop_assert!(when <= latest, "{} > {}", when, latest);
            proptest::prop_assert!(when >= now + 35_000, "not before its time");
        }

        #[test]
        fn whoever_answers_each_ping_stays(delays in proptest::collection::vec(0_u64..9_900, 1..30)) {
            let mut keepalive = Keepalive::new(at(0), None);
            let mut now = 0;
            for delay in delays {
                let (close_reason, pings) = watch(&mut keepalive, (now, now + 25_100), |_| None);
                proptest::prop_assert_eq!(close_reason, None);
                proptest::prop_assert_eq!(pings.len(), 1);
                let pinged = pings[0];
                proptest::prop_assert_eq!(watch(&mut keepalive, (pinged, pinged + delay), |_| None).0, None);
                now = pinged + delay;
                keepalive.note_received(Mono::from_millis(now), None);
            }
        }
    }
}
