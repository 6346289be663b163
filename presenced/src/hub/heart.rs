//! When a connection is pinged, and when it has not answered. STUB.

use std::sync::Arc;

use presence::{Mono, Now};

use super::conn::Conn;

impl Conn {
    /// The wheel came to this connection's deadline: pings, or condemns. When to look again. Never blocks.
    pub(crate) fn on_deadline(self: &Arc<Self>, _now: Now) -> Option<Mono> {
        None
    }
}
