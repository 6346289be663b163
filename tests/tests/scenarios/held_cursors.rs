//! Observers that leave and come back to any node with the cursor they had: they are told all they missed, or everything anew.

use std::collections::BTreeMap;

use presence::wire::record::{Record, Update};
use presence::{Revision, Status, Wall};
use presence_tests::Daemon;
use presence_tests::websocket::Snapshot;
use serde_json::json;

/// What an observer had of everybody when it left.
pub(crate) struct HeldCursor {
    node: &'static str,
    cursor: String,
    shown: BTreeMap<String, Shown>,
}

/// What an observer shows of a user.
#[derive(Debug, Clone, Copy)]
struct Shown {
    revision: Revision,
    status: Status,
    since: Option<Wall>,
}

impl HeldCursor {
    /// An observer of this node reads everything and leaves.
    pub(crate) async fn take(name: &'static str, node: &Daemon) -> Self {
        let Snapshot { cursor, users, .. } = node.observer().await.snapshot(json!({"type": "watchAll"})).await;
        let mut held = Self {
            node: name,
            cursor,
            shown: BTreeMap::new(),
        };
        held.read(&users);
        held
    }

    /// The observer comes back to this node: it is told alone what is new or everything, as `resumes` says, and shows then what
    /// the node says of each of these users.
    pub(crate) async fn leads_to_the_truth(&self, (name, node): (&str, &Daemon), truth: &[Record], resumes: bool) {
        let request = json!({"type": "watchAll", "since": self.cursor});
        let Snapshot { resumed, users, .. } = node.observer().await.snapshot(request).await;
        assert_eq!(resumed, resumes, "a cursor of {} on {name}", self.node);
        let mut shows = Self {
            node: self.node,
            cursor: String::new(),
            shown: BTreeMap::new(),
        };
        if resumed {
            shows.shown.clone_from(&self.shown);
        }
        shows.read(&users);
        for record in truth {
            let had = self.shown.get(record.user_id.as_str());
            let shown = shows.shown.get(record.user_id.as_str()).copied();
            // Who is away is in no complete snapshot.
            let is_true = match record.status {
                Status::Offline => shown.is_none_or(|shown| shown.status == Status::Offline),
                // A revision that changed nothing of it may not have been told.
                status => shown.is_some_and(|shown| (shown.status, shown.since) == (status, record.since)),
            };
            assert!(
                is_true,
                "a cursor of {} resumed on {name}: {resumed}; {had:?} became {shown:?}, but {record:?}",
                self.node
            );
        }
    }

    /// Older revisions lose.
    fn read(&mut self, updates: &[Update]) {
        for update in updates {
            let (status, since) = match update {
                Update::Record(record) => (record.status, record.since),
                Update::Removed(_) => (Status::Offline, None),
            };
            let told = Shown {
                revision: update.revision(),
                status,
                since,
            };
            let shown = self.shown.entry(update.user_id().as_str().to_owned()).or_insert(told);
            if told.revision >= shown.revision {
                *shown = told;
            }
        }
    }
}
