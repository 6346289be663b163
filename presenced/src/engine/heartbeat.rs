//! The heartbeat of the node: when it was last alive, below which ceiling its revisions lie, and whether it stopped cleanly.

use std::time::Duration;

use presence::Revision;

use super::Engine;
use crate::store::{Heartbeat, StoreError};

/// How often the heartbeat is written, from which the next run computes the downtime.
pub(super) const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// What a heartbeat says of the end of this run.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(super) enum RunEnd {
    /// It has not ended, or not everything that was published is known to be on disk.
    Running,
    /// Everything that was published is on disk.
    Clean,
}

impl Engine {
    pub(super) async fn save_heartbeat(&self, end: RunEnd) -> Result<(), StoreError> {
        let wall = self.clock.record_time(None);
        let ceiling = self.cluster.wanted_ceiling(wall);
        let heartbeat = Heartbeat {
            wall,
            ceiling,
            clean: end == RunEnd::Clean,
            history: (end == RunEnd::Clean).then(|| self.publisher.history(Revision::new(ceiling))),
        };
        let store = &self.persistence.store;
        let is_told = store.tell_alive(heartbeat).await;
        let saved = store.save_heartbeat(self.cluster.node_name(), heartbeat).await;
        if is_told || saved.is_ok() {
            self.cluster.raise_ceiling(ceiling);
        }
        saved
    }
}
