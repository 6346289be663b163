//! A node that is alone: its contribution is all there is, and its own clock gives the revisions.

use std::sync::Arc;

use parking_lot::Mutex;
use presence::{NodeName, Revision, RevisionClock, Wall};

/// Gives the revisions of a node that is alone.
pub(crate) struct Alone {
    node: NodeName,
    /// The node as a list of one, to be shared by rows of the store: most users have one session.
    own_nodes: Arc<[NodeName]>,
    revisions: Mutex<RevisionClock>,
    /// At or above every revision published before this run, if the previous run did not stop cleanly.
    floor: Revision,
}

impl Alone {
    /// `stored_ceiling` and `was_clean` are what the previous run left.
    pub(crate) fn new(node: &str, stored_ceiling: u64, was_clean: bool) -> Self {
        let floor = if was_clean {
            Revision::NEVER
        } else {
            Revision::new(stored_ceiling)
        };
        let node = NodeName::new(node);
        Self {
            own_nodes: Arc::from([node.clone()]),
            node,
            revisions: Mutex::new(RevisionClock::new(stored_ceiling)),
            floor,
        }
    }

    /// The node's name.
    pub(crate) fn node(&self) -> &str {
        self.node.as_str()
    }

    pub(crate) fn node_name(&self) -> &NodeName {
        &self.node
    }

    /// This node, so many times.
    pub(crate) fn own_nodes(&self, times: u32) -> Arc<[NodeName]> {
        match times {
            0 => Arc::default(),
            1 => Arc::clone(&self.own_nodes),
            times => (0..times).map(|_| self.node.clone()).collect(),
        }
    }

    /// The revision at which to show what was stored: after a crash above everything published before it,
    /// because the last changes may not have reached the disk, and clients drop records older than those they have.
    pub(crate) fn restored(&self, stored: Revision) -> Revision {
        if stored == Revision::NEVER {
            stored
        } else {
            stored.max(self.floor)
        }
    }

    /// The revision after `before`.
    pub(crate) fn next_revision(&self, before: Revision, wall: Wall) -> Revision {
        self.revisions.lock().next(before, wall)
    }

    /// The ceiling to store now.
    pub(crate) fn wanted_ceiling(&self, wall: Wall) -> u64 {
        self.revisions.lock().wanted_ceiling(wall)
    }

    /// A ceiling is on disk.
    pub(crate) fn raise_ceiling(&self, stored: u64) {
        self.revisions.lock().raise(stored);
    }
}
