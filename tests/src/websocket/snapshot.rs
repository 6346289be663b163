//! What a client is told when it begins to watch.

use presence::wire::record::{Record, Update};

/// A snapshot, joined from its frames.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The cursor to resume from.
    pub cursor: String,
    /// Whether only changes since the given cursor are listed.
    pub resumed: bool,
    /// The records and removals of all frames.
    pub users: Vec<Update>,
    /// The number of frames.
    pub frames: usize,
}

impl Snapshot {
    /// The record of this user. Fails the test if there is none.
    pub fn record(&self, user: &str) -> Record {
        match self.users.iter().find(|update| update.user_id().as_str() == user) {
            Some(Update::Record(record)) => record.clone(),
            other => panic!("{user}: {other:?}"),
        }
    }
}
