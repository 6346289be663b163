//! A node that is alone: its contribution is all there is, and its own clock gives the revisions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use presence::{NodeName, Revision, RevisionClock, Wall};

/// Gives the revisions of a node that is alone.
pub(crate) struct Alone {
    node: NodeName,
    /// The node as a list of one, to be shared by rows of the store: most users have one session.
    own_nodes: Arc<[NodeName]>,
    revisions: Mutex<RevisionClock>,
    /// At or above every revision told before this run.
    floor: Revision,
    /// Below this nobody is told who has not changed in this run: at or above every revision told of a user that nothing is
    /// stored of, who was forgotten, or lost in a crash. 0 in the first run, until somebody is forgotten.
    absent: AtomicU64,
}

impl Alone {
    /// `stored_ceiling` is what the previous run left, if there was one; `wall` is the time of the start.
    pub(crate) fn new(node: &str, stored_ceiling: Option<u64>, wall: Wall) -> Self {
        let node = NodeName::new(node);
        let revisions = RevisionClock::new(stored_ceiling.unwrap_or(0), wall);
        let floor = revisions.last();
        let absent = stored_ceiling.map_or(Revision::NEVER, |_| floor);
        Self {
            own_nodes: Arc::from([node.clone()]),
            node,
            revisions: Mutex::new(revisions),
            floor,
            absent: AtomicU64::new(absent.get()),
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

    /// The revision at which to tell a record that last changed at `changed`. Clients drop what is older than what they
    /// have, so nothing is told below what any run before told of the user: the last changes of a run may not have reached
    /// the disk, and the disk itself may be a backup. What is stored of a user may become known only after the user was told
    /// as one that nothing is stored of.
    pub(crate) fn told(&self, changed: Revision) -> Revision {
        let absent = Revision::new(self.absent.load(Ordering::SeqCst));
        if changed == Revision::NEVER {
            absent
        } else {
            changed.max(self.floor).max(absent)
        }
    }

    /// At or above every revision told before this run, below every one given in it.
    pub(crate) fn floor(&self) -> Revision {
        self.floor
    }

    /// A user was removed at this revision: it is not told below that, though nothing is stored of it.
    pub(crate) fn note_removal(&self, revision: Revision) {
        self.absent.fetch_max(revision.get(), Ordering::SeqCst);
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
