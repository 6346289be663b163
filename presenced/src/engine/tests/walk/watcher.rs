//! A client that watches, as `docs/protocol.md` tells it to: it keeps the highest revision of each user, drops what is older,
//! takes what has revision 0, and outlives its connections and the daemon's runs.

use std::collections::{BTreeMap, BTreeSet};

use presence::wire::record::Update;
use presence::wire::server_message::ServerMessage;
use presence::{Cursor, CustomStatus, EndReason, Revision, Status, UserId};

use super::super::fixture::user;
use super::super::stepped_engine::{Stepped, SteppedClient};
use super::snapshots::{Awaited, CursorPoint};

/// What a watcher knows of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) revision: Revision,
    pub(super) status: Status,
    pub(super) is_degraded: bool,
    pub(super) custom: CustomStatus,
}

pub(super) struct WalkWatcher {
    /// What it asks for at each connection; everyone, if it is an observer.
    pub(super) scope: Scope,
    client: Option<SteppedClient>,
    known: BTreeMap<String, Known>,
    /// The last revision that this connection was sent of each user.
    sent: BTreeMap<String, Revision>,
    /// The last cursor, and where it was given.
    cursor: Option<(Cursor, CursorPoint)>,
    /// What the snapshot that was asked for should be.
    awaited: Option<Awaited>,
    /// The users of the snapshot that is being received.
    listing: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Named(&'static [&'static str]),
    Everyone,
}

impl WalkWatcher {
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            scope,
            client: None,
            known: BTreeMap::new(),
            sent: BTreeMap::new(),
            cursor: None,
            awaited: None,
            listing: BTreeSet::new(),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.is_some()
    }

    /// The cursor that it has, and where it was given.
    pub(super) fn cursor(&self) -> Option<(Cursor, CursorPoint)> {
        self.cursor
    }

    /// Connects and watches, from its cursor if `resumes`. False if the store does not let it.
    pub(super) async fn connect(&mut self, daemon: &Stepped, resumes: bool, awaited: Awaited) -> bool {
        let since = self.cursor.map(|(cursor, _)| cursor).filter(|_| resumes);
        let client = daemon.observe();
        let conn = &client.conn;
        let is_watching = match self.scope {
            Scope::Everyone => {
                daemon.engine.watch_all(conn, None, since).await;
                true
            }
            Scope::Named(names) => {
                let users: Vec<UserId> = names.iter().map(|name| user(name)).collect();
                daemon.engine.watch(conn, None, users, since).await.is_ok()
            }
        };
        if !is_watching {
            daemon.disconnect(&client, EndReason::Lost);
            return false;
        }
        self.sent.clear();
        self.listing.clear();
        self.awaited = Some(awaited);
        self.client = Some(client);
        true
    }

    pub(super) fn disconnect(&mut self, daemon: &Stepped) {
        if let Some(client) = self.client.take() {
            daemon.disconnect(&client, EndReason::Lost);
        }
    }

    /// The daemon is gone.
    pub(super) fn lose_connection(&mut self) {
        self.client = None;
    }

    /// Reads everything that was sent.
    pub(super) fn read(&mut self, here: CursorPoint) {
        let messages = self.client.as_ref().map_or_else(Vec::new, SteppedClient::messages);
        for message in messages {
            match message {
                ServerMessage::Presence { cursor, users, now } => {
                    users.into_iter().for_each(|update| self.take(update, now, false));
                    self.cursor = Some((cursor.parse().expect("a cursor"), here));
                }
                ServerMessage::Snapshot {
                    cursor,
                    users,
                    resumed,
                    done,
                    now,
                    ..
                } => {
                    let listed: Vec<String> = users.iter().map(|update| update.user_id().to_string()).collect();
                    users.into_iter().for_each(|update| self.take(update, now, resumed));
                    if done {
                        let awaited = self.awaited.take().expect("one snapshot was asked for");
                        awaited.check(resumed, &listed);
                        self.end_snapshot(resumed);
                        self.cursor = Some((cursor.parse().expect("a cursor"), here));
                    }
                }
                _ => {}
            }
        }
    }

    fn take(&mut self, update: Update, now: presence::Wall, is_resumed: bool) {
        let name = update.user_id().to_string();
        let revision = update.revision();
        let sent = self.sent.insert(name.clone(), revision);
        assert!(
            revision == Revision::NEVER || sent.is_none_or(|sent| sent < revision || is_resumed && sent == revision),
            "{name}: revision {revision:?} was sent after {sent:?}"
        );
        let known = match update {
            Update::Record(record) => {
                for time in [record.since, record.last_seen, record.last_active]
                    .into_iter()
                    .flatten()
                {
                    assert!(time <= now, "{name}: {time} is told at {now}");
                }
                Known {
                    revision,
                    status: record.status,
                    is_degraded: record.degraded,
                    custom: record.custom_status.expect("observers are told"),
                }
            }
            Update::Removed(_) => Known {
                revision,
                status: Status::Offline,
                is_degraded: false,
                custom: CustomStatus::default(),
            },
        };
        self.listing.insert(name.clone());
        let before = self.known.get(&name);
        assert!(
            before.is_none_or(|before| before.revision <= revision),
            "{name}: {revision:?} is below {before:?}, which was told"
        );
        if revision == Revision::NEVER || before.is_none_or(|before| before.revision < revision) {
            self.known.insert(name, known);
        }
    }

    /// In a complete snapshot of everyone, users that are not listed are OFFLINE.
    fn end_snapshot(&mut self, resumed: bool) {
        if !resumed && self.scope == Scope::Everyone {
            for (name, known) in &mut self.known {
                if !self.listing.contains(name) {
                    known.status = Status::Offline;
                    known.is_degraded = false;
                }
            }
        }
        self.listing.clear();
    }

    /// What it shows of a user.
    pub(super) fn shows(&self, name: &str) -> Option<Known> {
        let is_watched = match self.scope {
            Scope::Everyone => true,
            Scope::Named(names) => names.contains(&name),
        };
        let never_heard_of = Known {
            revision: Revision::NEVER,
            status: Status::Offline,
            is_degraded: false,
            custom: CustomStatus::default(),
        };
        is_watched.then(|| self.known.get(name).copied().unwrap_or(never_heard_of))
    }

    /// Revisions that it was told.
    pub(super) fn told(&self) -> impl Iterator<Item = (&str, Revision)> {
        self.known.iter().map(|(name, known)| (name.as_str(), known.revision))
    }
}
