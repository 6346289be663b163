//! Everything in memory about one user: both halves of the rules, who watches, and what of it is on disk.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::HashSet;
use presence::{Mono, Profile, Revision, SessionId, Sessions, Status, UserId, Wall};

use crate::connection::Connection;

/// A connection in a set, told apart by its session.
#[derive(Clone)]
pub(crate) struct Watcher(pub(crate) Arc<Connection>);

impl PartialEq for Watcher {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for Watcher {}

impl Hash for Watcher {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

impl hashbrown::Equivalent<Watcher> for SessionId {
    fn equivalent(&self, watcher: &Watcher) -> bool {
        *self == watcher.0.id()
    }
}

/// How far a user's status is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum OnDisk {
    /// As it is in memory.
    #[default]
    Current,
    /// It waits to be written.
    Queued,
    /// A write is under way, with what it was then.
    Writing,
    /// A write is under way, and it has changed since.
    WritingBehind,
}

/// One user in memory.
pub(crate) struct Entry {
    /// Who.
    pub(crate) user: UserId,
    /// The sessions on this node.
    pub(crate) sessions: Sessions,
    /// All else the record is made of.
    pub(crate) profile: Profile,
    /// The user's own connections.
    pub(crate) conns: Vec<Arc<Connection>>,
    /// Who watches by name.
    pub(crate) watchers: HashSet<Watcher>,
    /// The node's count of changes when this one last changed, or was loaded.
    pub(crate) changed: u64,
    /// How many calls and outboxes rely on the entry staying in its slot.
    pub(crate) pins: u32,
    /// A report is being refreshed on disk: until that is known, no report ends by itself.
    pub(crate) is_refreshing: bool,
    /// How many writes of it were late and have not been followed up: the disk may know of reports that are not here.
    pub(crate) late: u32,
    /// The revision at which the user was forgotten, if nothing came since.
    pub(crate) forgotten: Option<Revision>,
    /// Under which status it stands in the shard's order of present users.
    pub(crate) listed: Option<Status>,
    /// Whether it counts as being in grace with nothing else.
    pub(crate) is_only_grace: bool,
    /// Whether a connection or a grace was there when the rule was last applied; the disk must know.
    pub(crate) is_connected: bool,
    /// The earliest deadline the wheel is armed for.
    pub(crate) armed: Option<Mono>,
    /// How far it is on disk.
    pub(crate) on_disk: OnDisk,
    /// When last seen should be written again while nothing else is.
    pub(crate) times_due: Wall,
}

impl Entry {
    pub(crate) fn new(user: UserId, profile: Profile, changed: u64) -> Self {
        Self {
            user,
            sessions: Sessions::default(),
            profile,
            conns: Vec::new(),
            watchers: HashSet::new(),
            changed,
            pins: 0,
            is_refreshing: false,
            late: 0,
            forgotten: None,
            listed: None,
            is_only_grace: false,
            is_connected: false,
            armed: None,
            on_disk: OnDisk::Current,
            times_due: Wall::from_millis(0),
        }
    }

    /// Whether a connection, a grace or a report keeps the user present.
    pub(crate) fn is_present(&self) -> bool {
        self.sessions.is_present() || !self.profile.reports().is_empty()
    }

    /// Whether nothing needs it in memory.
    pub(crate) fn is_idle(&self) -> bool {
        self.pins == 0
            && self.watchers.is_empty()
            && self.conns.is_empty()
            && self.on_disk == OnDisk::Current
            && !self.profile.is_degraded()
            && !self.is_present()
    }

    /// Whether `conn` is told of this user.
    pub(crate) fn is_told(&self, conn: &Connection) -> bool {
        conn.user().is_none_or(|own| *own == self.user) || self.watchers.contains(&conn.id())
    }
}
