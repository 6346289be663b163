//! How many connections may be open, of all and of each kind: as configured, or in shares of all.

use std::time::Duration;

use crate::limits::Limits;

/// The bounds of a [`super::ConnectionLimit`], in connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionBounds {
    /// Of all kinds.
    pub(crate) max: usize,
    /// How many of them only WebSockets may take.
    pub(crate) kept_for_websockets: usize,
    /// Of one client address.
    pub(crate) per_address: usize,
    /// On which nobody authenticated: beyond, a new one takes the place of the oldest.
    pub(crate) unauthenticated: usize,
    /// How old such a connection is at least when its place is taken.
    pub(crate) unauthenticated_age: Duration,
}

impl ConnectionBounds {
    /// The configured bounds, or shares of `max`: a quarter for one address, so that several must conspire to fill the
    /// daemon, but not less than one user's sessions; a quarter for strangers, whom users' handshakes join for milliseconds; an
    /// eighth kept for WebSockets, so that REST can't fill it.
    pub(crate) fn of(limits: &Limits, max: usize) -> Self {
        Self {
            max,
            kept_for_websockets: limits.kept_for_websockets.unwrap_or(max / 8).min(max.saturating_sub(1)),
            per_address: limits
                .connections_per_address
                .unwrap_or((max / 4).max(limits.sessions_per_user)),
            unauthenticated: limits.unauthenticated_connections.unwrap_or(max / 4),
            // An honest client has sent its head by then.
            unauthenticated_age: limits.handshake_timeout,
        }
    }

    /// No bound but that of all.
    pub(crate) const fn only(max: usize) -> Self {
        Self {
            max,
            kept_for_websockets: 0,
            per_address: max,
            unauthenticated: max,
            unauthenticated_age: Duration::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_that_are_not_configured_are_shares_of_all() {
        let bounds = ConnectionBounds::of(&Limits::default(), 18_000);
        assert_eq!((bounds.kept_for_websockets, bounds.per_address), (2_250, 4_500));
        assert_eq!(
            (bounds.unauthenticated, bounds.unauthenticated_age.as_secs()),
            (4_500, 5)
        );
        let tiny = ConnectionBounds::of(&Limits::default(), 1);
        assert_eq!((tiny.kept_for_websockets, tiny.per_address), (0, 32));
        let limits = Limits {
            kept_for_websockets: Some(100),
            connections_per_address: Some(7),
            unauthenticated_connections: Some(8),
            ..Limits::default()
        };
        let configured = ConnectionBounds::of(&limits, 10);
        assert_eq!((configured.kept_for_websockets, configured.per_address), (9, 7));
        assert_eq!(configured.unauthenticated, 8);
    }
}
