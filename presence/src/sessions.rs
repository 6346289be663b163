//! The first half: the sessions of one user on this node, and the one contribution they add up to.
//!
//! Connections begin, send frames, report activity and end; lost ones count on as one grace period. The resulting status,
//! custom statuses, reports and revisions belong to the other half, [`crate::profile`].
//!
//! Deadlines that have passed take effect before the input that follows them, however late the timer is: the effect of an
//! input depends on its time, never on whether the timer ran first.

use std::time::Duration;

use crate::grace_period::GracePeriod;
use crate::time::{Mono, Now, Wall};

/// The number of one connection, unique within one run of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// What is known of the activity of a session, or of several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The client closed with code 1000 or without a code: no grace period.
    Closed,
    /// The client closed with another code (1001 is a page reload): grace period, but it is activity of the user.
    Left,
    /// No close frame: a reset, or no answer to a ping. Grace period, with the times of the last frame.
    Lost,
    /// The server closed it with a code that asks to reconnect: grace period, and last active does not move.
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

    /// Whether the client ended it with a close frame, which is activity of the user.
    #[must_use]
    pub const fn is_by_client(self) -> bool {
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

/// One WebSocket connection of the user on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The connection's number.
    pub id: SessionId,
    /// When it began.
    pub since: Wall,
    /// When its last frame arrived.
    pub heard: Wall,
    /// When it last reported activity.
    pub active: Option<Wall>,
    state: ActivityState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ActivityState {
    /// Has not reported activity.
    Unknown,
    /// Reported some; idle from `until` on.
    Active { until: Mono },
    /// Reported that the user went away, or has reported nothing for too long, or began while an idle session was in grace.
    /// In the last case its activity counts as known: a custom status makes it active, and its loss is no activity.
    Idle,
}

impl Connection {
    /// What is known of its activity.
    #[must_use]
    pub const fn activity(&self) -> Activity {
        match self.state {
            ActivityState::Unknown => Activity::Unknown,
            ActivityState::Active { .. } => Activity::Active,
            ActivityState::Idle => Activity::Idle,
        }
    }

    fn set_active(&mut self, now: Now, until: Mono) {
        self.state = ActivityState::Active { until };
        self.active = self.active.max(Some(now.wall));
    }

    /// When it will count as idle unless it reports activity.
    pub(crate) const fn idle_at(&self) -> Option<Mono> {
        match self.state {
            ActivityState::Active { until } => Some(until),
            ActivityState::Unknown | ActivityState::Idle => None,
        }
    }
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
    grace: Option<GracePeriod>,
    last_seen: Option<Wall>,
    last_active: Option<Wall>,
}

impl Sessions {
    /// A connection began. If the grace period is idle, it is idle until it first reports activity.
    pub fn handle_connect(&mut self, now: Now, id: SessionId) {
        self.on_deadline(now.mono);
        let begins_idle = self.grace.is_some_and(|grace| grace.activity == Activity::Idle);
        let state = if begins_idle {
            ActivityState::Idle
        } else {
            ActivityState::Unknown
        };
        // Most users have one connection, and a vector that grows by itself begins with room for four.
        if self.connections.len() == self.connections.capacity() {
            self.connections.reserve_exact(self.connections.len().max(1));
        }
        self.connections.push(Connection {
            id,
            since: now.wall,
            heard: now.wall,
            active: None,
            state,
        });
        self.last_seen = self.last_seen.max(Some(now.wall));
    }

    /// A frame of any kind arrived.
    pub fn handle_heard(&mut self, now: Now, id: SessionId) {
        if let Some(connection) = self.find(id) {
            connection.heard = connection.heard.max(now.wall);
            self.last_seen = self.last_seen.max(Some(now.wall));
        }
    }

    /// The client reported activity.
    pub fn handle_activity(&mut self, now: Now, id: SessionId, timers: &Timers) {
        let until = now.mono.after(timers.idle_after);
        if let Some(connection) = self.find(id) {
            connection.heard = connection.heard.max(now.wall);
            connection.set_active(now, until);
            self.touch(now);
        }
    }

    /// The client reported that the user went away: its activity is known, and idle.
    pub fn handle_away(&mut self, id: SessionId) {
        if let Some(connection) = self.find(id) {
            connection.state = ActivityState::Idle;
        }
    }

    /// The user set a custom status: activity of each connection that has reported any, and of the grace period. Not to be
    /// called for an operator's, which is no activity.
    pub fn handle_preference(&mut self, now: Now, timers: &Timers) {
        self.on_deadline(now.mono);
        let until = now.mono.after(timers.idle_after);
        for connection in self
            .connections
            .iter_mut()
            .filter(|one| one.activity() != Activity::Unknown)
        {
            connection.set_active(now, until);
        }
        if let Some(grace) = &mut self.grace {
            grace.activity = Activity::Active;
        }
        if self.is_present() {
            self.touch(now);
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
        if end.is_by_client() {
            self.touch(now);
        } else if end == EndReason::Lost && gone.activity() == Activity::Unknown {
            // It never reported activity: its last frame is the last known activity.
            self.last_active = self.last_active.max(Some(gone.heard));
        }
        if end.enters_grace() && !grace.is_zero() {
            self.enter_grace(now.mono.after(grace), gone.activity());
        }
        true
    }

    /// Sessions of the previous run of the daemon are in grace.
    pub fn handle_restore(&mut self, until: Mono, activity: Activity) {
        self.enter_grace(until, activity);
    }

    /// An operator ends all connections and the grace period. Returns how many connections there were.
    pub fn handle_kick(&mut self) -> usize {
        self.grace = None;
        std::mem::take(&mut self.connections).len()
    }

    /// Applies the deadlines up to `now`.
    pub fn on_deadline(&mut self, now: Mono) {
        for connection in &mut self.connections {
            if connection.idle_at().is_some_and(|at| at <= now) {
                connection.state = ActivityState::Idle;
            }
        }
        if self.grace.is_some_and(|grace| grace.until <= now) {
            self.grace = None;
        }
    }

    /// The next moment at which [`Self::on_deadline`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let idle = self.connections.iter().filter_map(Connection::idle_at).min();
        [idle, self.grace.map(|grace| grace.until)].into_iter().flatten().min()
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
            grace: self.grace.map(|grace| grace.activity),
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
    pub const fn grace(&self) -> Option<GracePeriod> {
        self.grace
    }

    fn find(&mut self, id: SessionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|one| one.id == id)
    }

    fn enter_grace(&mut self, until: Mono, activity: Activity) {
        let lost = GracePeriod { until, activity };
        self.grace = Some(self.grace.map_or(lost, |grace| grace.and(lost)));
    }

    fn touch(&mut self, now: Now) {
        self.last_active = self.last_active.max(Some(now.wall));
        self.last_seen = self.last_seen.max(Some(now.wall));
    }
}
