//! How far what was sent has come: bytes that a socket took are not with the peer before it acknowledges them. Pure: the
//! caller samples the socket now and then, and passes what it found.

use presence::Mono;

/// What a connection has sent, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Outgoing {
    /// Since when the socket takes no more bytes; none while nothing waits for it.
    pub(crate) blocked_since: Option<Mono>,
    /// Bytes that the socket took, in all.
    pub(crate) written: u64,
    /// How many of them the peer has not acknowledged.
    pub(crate) unacknowledged: u64,
}

impl Outgoing {
    const fn acknowledged(&self) -> u64 {
        self.written.saturating_sub(self.unacknowledged)
    }
}

/// What successive samples of one connection show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SendProgress {
    sampled_at: Mono,
    /// Bytes that the peer had acknowledged at the last sample.
    acknowledged: u64,
    /// When they were last found to have grown.
    grown_at: Mono,
    /// Since when no sample found everything acknowledged.
    pending_since: Option<Mono>,
}

/// The peer acknowledged something between two samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growth {
    /// How much had been acknowledged at the first of them.
    pub(super) from: u64,
    /// When that was.
    pub(super) since: Mono,
}

impl SendProgress {
    pub(super) const fn new(now: Mono) -> Self {
        Self {
            sampled_at: now,
            acknowledged: 0,
            grown_at: now,
            pending_since: None,
        }
    }

    /// Takes a sample, and compares it with the one before.
    pub(super) fn sample(&mut self, now: Mono, outgoing: &Outgoing) -> Option<Growth> {
        let before = Growth {
            from: self.acknowledged,
            since: self.sampled_at,
        };
        self.sampled_at = now;
        let is_pending = outgoing.blocked_since.is_some() || outgoing.unacknowledged > 0;
        let since = outgoing.blocked_since.unwrap_or(now);
        self.pending_since = is_pending.then(|| self.pending_since.map_or(since, |earlier| earlier.min(since)));
        if outgoing.acknowledged() <= self.acknowledged {
            return None;
        }
        self.acknowledged = outgoing.acknowledged();
        self.grown_at = now;
        Some(before)
    }

    /// Whether the peer has acknowledged the first `written` bytes.
    pub(super) const fn covers(&self, written: u64) -> bool {
        self.acknowledged >= written
    }

    /// When the peer was last found to have acknowledged anything.
    pub(super) const fn grown_at(&self) -> Mono {
        self.grown_at
    }

    /// Since when something lies unsent or unacknowledged without any progress; none if nothing does.
    pub(super) fn stuck_since(&self) -> Option<Mono> {
        self.pending_since.map(|since| since.max(self.grown_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1000)
    }

    fn outgoing(blocked_since: Option<u64>, written: u64, unacknowledged: u64) -> Outgoing {
        Outgoing {
            blocked_since: blocked_since.map(at),
            written,
            unacknowledged,
        }
    }

    #[test]
    fn unacknowledged_bytes_are_stuck_since_they_were_first_seen() {
        let mut progress = SendProgress::new(at(0));
        assert_eq!(progress.sample(at(1), &outgoing(None, 0, 0)), None);
        assert_eq!(progress.stuck_since(), None);
        for second in 5..8 {
            assert_eq!(progress.sample(at(second), &outgoing(None, 9, 9)), None);
            assert_eq!(progress.stuck_since(), Some(at(5)));
        }
    }

    #[test]
    fn an_acknowledgement_starts_the_time_again() {
        let mut progress = SendProgress::new(at(0));
        progress.sample(at(5), &outgoing(None, 9, 9));
        let growth = progress.sample(at(8), &outgoing(None, 9, 2));
        assert_eq!(growth, Some(Growth { from: 0, since: at(5) }));
        assert_eq!((progress.stuck_since(), progress.grown_at()), (Some(at(8)), at(8)));
        assert!(progress.covers(7) && !progress.covers(8));
        progress.sample(at(9), &outgoing(None, 9, 0));
        assert_eq!(progress.stuck_since(), None);
        progress.sample(at(20), &outgoing(None, 10, 1));
        assert_eq!(
            progress.stuck_since(),
            Some(at(20)),
            "what was acknowledged does not count"
        );
    }

    #[test]
    fn a_full_socket_is_stuck_since_it_was_full() {
        let mut progress = SendProgress::new(at(0));
        progress.sample(at(10), &outgoing(Some(7), 5, 5));
        assert_eq!(progress.stuck_since(), Some(at(7)));
        progress.sample(at(11), &outgoing(Some(11), 6, 5));
        assert_eq!(progress.stuck_since(), Some(at(11)));
    }

    #[test]
    fn a_full_socket_is_stuck_though_everything_before_is_acknowledged() {
        let mut progress = SendProgress::new(at(0));
        progress.sample(at(8), &outgoing(None, 5, 0));
        progress.sample(at(12), &outgoing(Some(10), 5, 0));
        assert_eq!(progress.stuck_since(), Some(at(10)));
    }

    #[test]
    fn writing_more_is_no_progress() {
        let mut progress = SendProgress::new(at(0));
        for second in 1..9 {
            assert_eq!(progress.sample(at(second), &outgoing(None, second, second)), None);
        }
        assert_eq!(progress.stuck_since(), Some(at(1)));
    }
}
