//! What waits in an outbox, but for the dirty users: bytes that the socket has not taken, and snapshots. Most connections have
//! neither at any one time, and then it takes one pointer.

use std::collections::VecDeque;

use super::delivery_turn::Snapshot;

/// Unsent bytes and snapshots of one connection.
#[derive(Debug, Default)]
pub(super) struct Backlog(Option<Box<Unsent>>);

#[derive(Debug, Default)]
struct Unsent {
    /// Frames that wait for the socket.
    bytes: Vec<u8>,
    /// Snapshots in line.
    snapshots: VecDeque<Snapshot>,
}

impl Backlog {
    /// How many bytes wait for the socket.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |unsent| unsent.bytes.len())
    }

    /// Adds a frame after all that waits.
    pub(super) fn append(&mut self, frame: &[u8]) {
        self.0.get_or_insert_default().bytes.extend_from_slice(frame);
    }

    /// Takes the first bytes that wait.
    pub(super) fn begin_with(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.0.get_or_insert_default().bytes = bytes;
        }
    }

    /// Puts back what the socket did not take, before all that waits.
    pub(super) fn put_back(&mut self, rest: &[u8]) {
        let bytes = &mut self.0.get_or_insert_default().bytes;
        bytes.splice(0..0, rest.iter().copied());
    }

    /// Takes all bytes out.
    pub(super) fn take_unsent(&mut self) -> Vec<u8> {
        let bytes = self.0.as_mut().map(|unsent| std::mem::take(&mut unsent.bytes));
        self.give_back();
        bytes.unwrap_or_default()
    }

    /// How many snapshots wait.
    pub(super) fn snapshots(&self) -> usize {
        self.0.as_ref().map_or(0, |unsent| unsent.snapshots.len())
    }

    /// Puts a snapshot last in line.
    pub(super) fn push_snapshot(&mut self, snapshot: Snapshot) {
        self.0.get_or_insert_default().snapshots.push_back(snapshot);
    }

    /// Puts back a snapshot that is not through yet.
    pub(super) fn put_back_snapshot(&mut self, snapshot: Snapshot) {
        self.0.get_or_insert_default().snapshots.push_front(snapshot);
    }

    /// Takes the first snapshot out.
    pub(super) fn pop_snapshot(&mut self) -> Option<Snapshot> {
        let first = self.0.as_mut()?.snapshots.pop_front();
        self.give_back();
        first
    }

    /// Drops all snapshots.
    pub(super) fn drop_snapshots(&mut self) {
        if let Some(unsent) = &mut self.0 {
            unsent.snapshots = VecDeque::new();
        }
        self.give_back();
    }

    /// Whether it holds memory.
    #[cfg(test)]
    pub(super) fn holds_memory(&self) -> bool {
        self.0.is_some()
    }

    /// Gives the memory back if nothing waits.
    fn give_back(&mut self) {
        let is_empty = |unsent: &Unsent| unsent.bytes.is_empty() && unsent.snapshots.is_empty();
        if self.0.as_deref().is_some_and(is_empty) {
            self.0 = None;
        }
    }
}
