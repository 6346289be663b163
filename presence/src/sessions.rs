//! The first half: the sessions of one user on this node, and the one contribution they add up to.
//!
//! Connections begin, send frames, report activity and end; lost ones count on as one grace period. The resulting status,
//! custom statuses, reports and revisions belong to the other half, [`crate::profile`].
//!
//! Deadlines that have passed take effect before the input that follows them, however late the timer is: the effect of an
//! input depends on its time, never on whether the timer ran first.

mod places;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::grace_period::GracePeriod;
use crate::time::{Mono, Now, Wall};

/// The number of one connection, unique within one run of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What is known of the activity of a session, or of several together. On the wire: the variant in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// No activity was ever reported.
    #[default]
    Unknown,
    /// Known, and idle.
    Idle,
    /// Known, and active.
    Active,
}

impl Activity {
    /// Several together are idle if the activity of at least one is known and all of those are idle.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, activity) | (activity, Self::Unknown) => activity,
            (Self::Idle, Self::Idle) => Self::Idle,
            (Self::Active, _) | (_, Self::Active) => Self::Active,
        }
    }
}

/// Why a connection counts as idle. On the wire: the variant in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum IdleCause {
    /// The client said that the user went away.
    Said,
    /// The client has reported no activity for too long.
    Silent,
    /// It has reported nothing yet and counts as the lost sessions did.
    Inherited,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The client closed with code 1000 or without a code: no grace period, and it is activity of the user.
    Closed,
    /// The client closed with 1001 (a page reload): grace period, but it is activity of the user.
    Left,
    /// A reset, no answer to a ping, or a program that closed with any other code: grace period, with the times of the last
    /// frame and message.
    Lost,
    /// The server closed it: grace period, and last active does not move.
    Dropped,
    /// An operator ended it: no grace period, and last active does not move.
    Kicked,
}

impl EndReason {
    /// Whether a session that ended so is in grace.
    #[must_use]
    pub const fn enters_grace(self) -> bool {
        matches!(self, Self::Left | Self::Lost | Self::Dropped)
    }

    /// Whether the user ended it, which is activity.
    #[must_use]
    pub const fn is_by_user(self) -> bool {
        matches!(self, Self::Closed | Self::Left)
    }
}

/// The durations that the rules use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// For how long a lost session still counts.
    pub grace: Duration,
    /// For how long sessions still count after a restart of the daemon.
    pub restart_grace: Duration,
    /// After how long without a report of activity a connection that made one is idle.
    pub idle_after: Duration,
}

/// What the connections of one user on one node add up to: the unit of replication between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contribution {
    /// The number of open connections.
    pub connections: u32,
    /// The activity of the open connections together.
    pub open_activity: Activity,
    /// The activity of the grace period, if there is one.
    pub grace: Option<Activity>,
    /// When this node last heard from the user.
    pub last_seen: Option<Wall>,
    /// When the user was last active on this node.
    pub last_active: Option<Wall>,
}

impl Contribution {
    /// Whether it keeps the user present.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        self.connections > 0 || self.grace.is_some()
    }

    /// The same after the node that has the connections is gone.
    #[must_use]
    pub fn in_grace(&self) -> Self {
        Self {
            connections: 0,
            open_activity: Activity::Unknown,
            grace: Some(self.activity()),
            ..*self
        }
    }

    /// The activity of connections and grace period together.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.open_activity.and(self.grace.unwrap_or_default())
    }
}

/// The sessions of one user on this node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sessions {
    connections: Vec<Connection>,
    /// Boxed, because hardly any user has one.
    grace: Option<Box<GracePeriod>>,
    last_seen: Option<Wall>,
    last_active: Option<Wall>,
}

impl Sessions {
    /// A connection began. If the grace period is idle, it counts as idle until it first reports activity, at most for
    /// `grace`.
    pub fn handle_connect(&mut self, now: Now, id: SessionId, grace: Duration) {
        self.handle_connect_beside(now, id, Activity::Unknown, grace);
    }

    /// The same, beside what is in grace on other nodes: idle is what is in grace if all of it is.
    pub fn handle_connect_beside(&mut self, now: Now, id: SessionId, elsewhere: Activity, grace: Duration) {
        self.on_deadline(now.mono);
        let mut connection = Connection::new(now, id);
        if self.grace_activity().and(elsewhere) == Activity::Idle && !grace.is_zero() {
            connection.inherit(Activity::Idle, now.mono.after(grace));
        }
        // Most users have one connection, and a vector that grows by itself begins with room for four.
        if self.connections.len() == self.connections.capacity() {
            self.connections.reserve_exact(self.connections.len().max(1));
        }
        self.connections.push(connection);
        self.last_seen = self.last_seen.max(Some(now.wall));
    }

    /// A frame of any kind arrived.
    pub fn handle_heard(&mut self, now: Now, id: SessionId) {
        if let Some(connection) = self.find(id) {
            connection.heard = connection.heard.max(now.wall);
            self.last_seen = self.last_seen.max(Some(now.wall));
        }
    }

    /// A message arrived that tells of the user: any but a ping.
    pub fn handle_message(&mut self, now: Now, id: SessionId) {
        if let Some(connection) = self.find(id) {
            connection.note_message(now.wall);
        }
    }

    /// The client reported activity, which was so long ago. If that is too long, it is idle already.
    pub fn handle_activity(&mut self, now: Now, id: SessionId, ago: Duration, timers: &Timers) {
        let until = now.mono.after(timers.idle_after.saturating_sub(ago));
        if let Some(connection) = self.find(id) {
            let at = now.wall.before(ago);
            connection.heard = connection.heard.max(now.wall);
            connection.set_active(at, until);
            connection.on_deadline(now.mono);
            self.last_active = self.last_active.max(Some(at));
            self.last_seen = self.last_seen.max(Some(now.wall));
        }
    }

    /// The client reported that the user went away: its activity is known, and idle. The last was so long ago, if it says when.
    pub fn handle_away(&mut self, now: Now, id: SessionId, ago: Option<Duration>) {
        if let Some(connection) = self.find(id) {
            let last = ago.map(|ago| now.wall.before(ago));
            connection.set_away(now.mono, last);
            self.last_active = self.last_active.max(last);
        }
    }

    /// The user set a custom status over connection `id` at `taken`: activity of that connection, if it has reported any.
    pub fn handle_preference(&mut self, taken: Now, id: SessionId, timers: &Timers) {
        let until = taken.mono.after(timers.idle_after);
        if let Some(connection) = self.find(id).filter(|one| one.has_reported()) {
            connection.set_active(taken.wall, until);
        }
    }

    /// A connection ended. Returns whether it was open; if not, nothing changes.
    pub fn handle_end(&mut self, now: Now, id: SessionId, end: EndReason, grace: Duration) -> bool {
        self.on_deadline(now.mono);
        let Some(index) = self.connections.iter().position(|one| one.id == id) else {
            return false;
        };
        let gone = self.connections.remove(index);
        if self.connections.is_empty() {
            self.connections = Vec::new();
        }
        if end.is_by_user() {
            self.touch(now);
        } else if end == EndReason::Lost {
            // Of one that never reported activity, the last message is the last that is known of the user.
            self.last_active = self.last_active.max(gone.message());
        }
        if end.enters_grace() && !gone.is_continued && !grace.is_zero() {
            let until = now.mono.after(grace);
            self.enter_grace(GracePeriod::of_session(until, gone.activity(), id));
        }
        true
    }

    /// So many sessions of the previous run of the daemon are in grace.
    pub fn handle_restore(&mut self, until: Mono, activity: Activity, places: u32) {
        if places > 0 {
            self.enter_grace(GracePeriod::of_earlier(until, activity, places));
        }
    }

    /// An operator ends all connections and the grace period. Returns how many connections there were.
    pub fn handle_kick(&mut self) -> usize {
        self.grace = None;
        std::mem::take(&mut self.connections).len()
    }

    /// Applies the deadlines up to `now`.
    pub fn on_deadline(&mut self, now: Mono) {
        for connection in &mut self.connections {
            connection.on_deadline(now);
        }
        if self.grace.as_ref().is_some_and(|grace| grace.until <= now) {
            self.grace = None;
        }
    }

    /// The next moment at which [`Self::on_deadline`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let connections = self.connections.iter().filter_map(Connection::next_deadline).min();
        let grace = self.grace.as_ref().map(|grace| grace.until);
        [connections, grace].into_iter().flatten().min()
    }

    /// What the sessions add up to.
    #[must_use]
    pub fn contribution(&self) -> Contribution {
        Contribution {
            connections: u32::try_from(self.connections.len()).unwrap_or(u32::MAX),
            open_activity: self
                .connections
                .iter()
                .map(Connection::activity)
                .fold(Activity::Unknown, Activity::and),
            grace: self.grace.as_ref().map(|grace| grace.activity),
            last_seen: self.last_seen,
            last_active: self.last_active,
        }
    }

    /// Whether a connection or a grace period keeps the user present.
    #[must_use]
    pub fn is_present(&self) -> bool {
        !self.connections.is_empty() || self.grace.is_some()
    }

    /// The open connections, oldest first.
    #[must_use]
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// The grace period, if there is one.
    #[must_use]
    pub fn grace(&self) -> Option<&GracePeriod> {
        self.grace.as_deref()
    }

    fn find(&mut self, id: SessionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|one| one.id == id)
    }

    fn grace_activity(&self) -> Activity {
        self.grace.as_ref().map_or(Activity::Unknown, |grace| grace.activity)
    }

    fn enter_grace(&mut self, lost: GracePeriod) {
        self.grace = Some(Box::new(match self.grace.take() {
            Some(grace) => grace.and(lost),
            None => lost,
        }));
    }

    fn touch(&mut self, now: Now) {
        self.last_active = self.last_active.max(Some(now.wall));
        self.last_seen = self.last_seen.max(Some(now.wall));
    }
}
