//! The keepalive of a connection: when it is pinged, and when its timeouts end it (no answer to a ping, a write without
//! progress, an unfinished message, an expired token). Pure except for [`Connection::on_deadline`].

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use presence::{Mono, Reading};

use super::Connection;
use super::close_reason::CloseReason;
use super::frame::Opcode;
use super::send_progress::{Outgoing, SendProgress};
use crate::exceeded_limit::Limit;

/// When connections are pinged, and given up for not answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PingOptions {
    /// A ping is sent after this long without any bytes from the client, with the next batch.
    pub(crate) interval: Duration,
    /// Any bytes must arrive within this after a ping.
    pub(crate) timeout: Duration,
}

/// The intervals and timeouts of every keepalive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeepaliveOptions {
    pub(crate) pings: PingOptions,
    /// How long what was sent may lie without the peer acknowledging any of it.
    pub(crate) write_timeout: Duration,
    /// How long a message may stay unfinished.
    pub(crate) message_timeout: Duration,
}

/// How long an answer may take that was demanded: a phone whose radio sleeps hears of a ping within 2.6 s (the longest paging
/// cycle), and a second more lets one packet be lost and sent again (the least retransmission timer of RFC 6298).
const PROMPT_TIMEOUT: Duration = Duration::from_secs(4);
/// Pings are sent in batches this far apart, so that many connections share a wakeup, for their pings, for the answers, and for the
/// evaluations after a timeout. A quarter of the second that the promise on dead connections allows beyond interval and timeouts.
const PING_BATCH_INTERVAL_MAX: Duration = Duration::from_millis(250);
/// Batches in a ping interval. Of 10,000 connections each has 100 pings on average: about a millisecond of the thread `timers`.
const PING_BATCHES: u32 = 100;

impl PingOptions {
    /// When a ping is due, if nothing arrives after `received`: with the first batch after the ping interval.
    pub(super) fn ping_at(&self, received: Mono) -> Mono {
        let apart = (self.interval / PING_BATCHES).min(PING_BATCH_INTERVAL_MAX);
        let at = received.after(self.interval).as_millis();
        Mono::from_millis(at.next_multiple_of(u64::from(millis(apart).max(1))))
    }

    /// How long an answer may take that was demanded.
    pub(crate) fn prompt_timeout(&self) -> Duration {
        self.timeout.min(PROMPT_TIMEOUT)
    }
}

/// The keepalive state of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// When the last bytes arrived.
    received_at: Mono,
    /// The ping that has not been answered.
    ping: Option<Ping>,
    /// When a ping was last sent because an answer was demanded.
    demanded_at: Option<Mono>,
    progress: SendProgress,
    /// Since when a message is unfinished.
    unfinished_since: Option<Mono>,
    /// When the token expires, as estimated at the last look.
    expires_at: Option<Mono>,
}

/// A ping without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ping {
    /// When the time for the answer began: when the ping was sent, or later, if the peer was not yet through with what was
    /// sent before it.
    since: Mono,
    /// How long the answer may take, in milliseconds: half the size of a `Duration`, of which each connection has one.
    timeout_millis: u32,
    /// The bytes that the socket had taken before it.
    written_before: u64,
}

impl Ping {
    const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_millis as u64)
    }
}

/// Timeouts are far below what fits.
fn millis(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)
}

/// What is to be done when an answer is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demanded {
    /// The peer is alive as far as anyone can tell, or what it does not read decides.
    Nothing,
    /// A ping, and then an evaluation at this time.
    Ping(Mono),
    /// An evaluation at this time: the ping was sent before.
    Await(Mono),
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
            ping: None,
            demanded_at: None,
            progress: SendProgress::new(now),
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
        self.ping = None;
        self.unfinished_since = unfinished_since;
    }

    /// The socket is full: what the peer acknowledges from now on is to be told from what it had before.
    pub(crate) fn on_blocked(&mut self, now: Mono, outgoing: &Outgoing) {
        self.sample(now, outgoing);
    }

    /// Evaluates the timeouts. While what was sent lies unacknowledged, the write timeout applies. The answer to a ping is
    /// waited for from when the peer was through with what had been sent before.
    pub(crate) fn evaluate(&mut self, now: Mono, outgoing: &Outgoing, options: &KeepaliveOptions) -> Due {
        self.sample(now, outgoing);
        if self.expires_at.is_some_and(|at| at <= now) {
            return Due::Close(CloseReason::TokenExpired);
        }
        // Before the unfinished message: a client that does not read is not read from either, so the rest of its message
        // stays in the socket for as long.
        let too_slow = self.too_slow_at(outgoing, options);
        if too_slow.is_some_and(|at| at <= now) {
            return Due::Close(CloseReason::TooSlow);
        }
        let unfinished = self.unfinished_since.map(|since| since.after(options.message_timeout));
        if unfinished.is_some_and(|at| at <= now) {
            return Due::Close(CloseReason::LimitExceeded(Limit::UnfinishedMessage));
        }
        let others = [too_slow, unfinished, self.expires_at];
        let earliest = |other: Mono| others.into_iter().flatten().fold(other, Mono::min);
        if outgoing.blocked_since.is_some() {
            // An unanswered ping may be unsent, so its timeout restarts once the socket takes data again. That moment must
            // not be missed by much: from then on the ping timeout applies again.
            self.ping = self.ping.map(|ping| Ping { since: now, ..ping });
            return Due::Nothing(earliest(now.after(UNSENT_CHECK_INTERVAL)));
        }
        if let Some(ping) = self.ping {
            let at = ping.since.after(ping.timeout());
            if at <= now {
                return Due::Close(CloseReason::PingTimeout);
            }
            let is_through = self.progress.covers(ping.written_before);
            let next = if is_through {
                at
            } else {
                at.min(now.after(UNSENT_CHECK_INTERVAL))
            };
            return Due::Nothing(earliest(next));
        }
        let at = options.pings.ping_at(self.received_at);
        if at > now {
            return Due::Nothing(earliest(at));
        }
        Due::Ping(earliest(self.begin_ping(now, options.pings.timeout, outgoing)))
    }

    /// Asks for a sign of life at once, however lately there was one; for the answer the usual time is given.
    pub(crate) fn probe(&mut self, now: Mono, outgoing: &Outgoing, options: &KeepaliveOptions) -> Demanded {
        self.sample(now, outgoing);
        if outgoing.blocked_since.is_some() || self.ping.is_some() {
            return Demanded::Nothing;
        }
        Demanded::Ping(self.begin_ping(now, options.pings.timeout, outgoing))
    }

    /// An answer is demanded: a ping without one must be answered within the prompt timeout, and a peer that was not heard for
    /// as long is pinged, once in a ping interval: more often tells nothing new of those that answer. What was heard within the
    /// prompt timeout is the answer.
    pub(crate) fn demand_answer(&mut self, now: Mono, outgoing: &Outgoing, options: &KeepaliveOptions) -> Demanded {
        let timeout = options.pings.prompt_timeout();
        self.sample(now, outgoing);
        if outgoing.blocked_since.is_some() {
            return Demanded::Nothing;
        }
        if let Some(ping) = &mut self.ping {
            ping.timeout_millis = millis(timeout);
            return Demanded::Await(ping.since.after(timeout));
        }
        let was_demanded = self
            .demanded_at
            .is_some_and(|at| now < at.after(options.pings.interval));
        if was_demanded || now < self.received_at.after(timeout) {
            return Demanded::Nothing;
        }
        self.demanded_at = Some(now);
        Demanded::Ping(self.begin_ping(now, timeout, outgoing))
    }

    /// Takes note of what the peer has acknowledged. While it is not through with what was sent before a ping, the time for the
    /// answer has not begun.
    fn sample(&mut self, now: Mono, outgoing: &Outgoing) {
        let growth = self.progress.sample(now, outgoing);
        if let Some((ping, growth)) = self.ping.as_mut().zip(growth)
            && growth.from < ping.written_before
        {
            ping.since = ping.since.max(growth.since);
        }
    }

    /// A ping is sent. When to evaluate again.
    fn begin_ping(&mut self, now: Mono, timeout: Duration, outgoing: &Outgoing) -> Mono {
        self.ping = Some(Ping {
            since: now,
            timeout_millis: millis(timeout),
            written_before: outgoing.written,
        });
        let is_through = self.progress.covers(outgoing.written);
        now.after(if is_through {
            timeout
        } else {
            timeout.min(UNSENT_CHECK_INTERVAL)
        })
    }

    /// When the peer is too slow, unless it acknowledges something until then.
    fn too_slow_at(&self, outgoing: &Outgoing, options: &KeepaliveOptions) -> Option<Mono> {
        let stuck = self.progress.stuck_since()?.after(options.write_timeout);
        // A full socket takes no ping, so a peer that neither sends nor acknowledges is given up when an unanswered ping would
        // be.
        let heard = self.received_at.max(self.progress.grown_at());
        let silent = heard.after(options.pings.interval).after(options.pings.timeout);
        Some(if outgoing.blocked_since.is_some() {
            stuck.min(silent)
        } else {
            stuck
        })
    }
}

/// How long a timeout is put off while the socket holds bytes that are not read yet.
const UNREAD_DELAY: Duration = Duration::from_millis(200);
/// How often a connection is evaluated whose socket is full, or whose ping lies behind other data.
pub(super) const UNSENT_CHECK_INTERVAL: Duration = Duration::from_secs(1);

impl Connection {
    /// Another session waits for the place of this one: its peer must answer soon, if nothing was heard of it lately. Whether it
    /// may be about to end. Never blocks.
    pub(crate) fn demand_answer(self: &Arc<Self>, now: Mono) -> bool {
        if self.close_reason().is_some() {
            return true;
        }
        let outgoing = self.outgoing();
        let demanded = self
            .timing
            .lock()
            .keepalive
            .demand_answer(now, &outgoing, &self.keepalive_options(now));
        match demanded {
            Demanded::Nothing => return false,
            Demanded::Ping(at) => {
                self.send_control(Opcode::Ping, b"");
                self.arm(at);
            }
            Demanded::Await(at) => self.arm(at),
        }
        true
    }

    /// The peer must show that it is alive, however lately it was heard. Never blocks.
    pub(crate) fn probe(self: &Arc<Self>, now: Mono) {
        if self.close_reason().is_some() {
            return;
        }
        let outgoing = self.outgoing();
        let probed = self
            .timing
            .lock()
            .keepalive
            .probe(now, &outgoing, &self.keepalive_options(now));
        if let Demanded::Ping(at) = probed {
            self.send_control(Opcode::Ping, b"");
            self.arm(at);
        }
    }

    /// The connection's deadline in the timing wheel: sends a ping, or closes. Returns the next deadline. Never blocks.
    pub(crate) fn on_deadline(self: &Arc<Self>, now: Reading) -> Option<Mono> {
        if self.close_reason().is_some() {
            return None;
        }
        if self.is_revoked() {
            self.close_with(CloseReason::CredentialRevoked);
            return None;
        }
        let outgoing = self.outgoing();
        let expires = self.token_deadline(now);
        let mut timing = self.timing.lock();
        timing.keepalive.set_expiry(expires);
        let due = timing
            .keepalive
            .evaluate(now.mono, &outgoing, &self.keepalive_options(now.mono));
        drop(timing);
        match due {
            Due::Nothing(next) => Some(next),
            Due::Ping(next) => {
                // If the socket is full, the ping is not sent yet, and the wheel is armed for an earlier look.
                self.send_control(Opcode::Ping, b"");
                Some(next)
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
