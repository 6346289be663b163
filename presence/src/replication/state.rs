//! The replicated state of one user: what all nodes contribute, the durable part, and the record that follows from them.
//! How it is written is in [`super::state_bytes`], how a new one is made of an old one in [`super::build`].

use crate::durable_part::{DurablePart, Preference};
use crate::replication::names::Incarnation;
use crate::report::Report;
use crate::revision::Revision;
use crate::session_name::SessionName;
use crate::sessions::{Contribution, SessionId};
use crate::status::Status;
use crate::time::Wall;

/// The state of one user as all nodes have it. Times are those of Redis's clock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// What the nodes with sessions of the user contribute, ordered by incarnation.
    pub contributions: Vec<Share>,
    /// Custom status and reports.
    pub durable: SharedPart,
    /// Until when the custom status that the user set by a request counts like an active session.
    pub chosen_until: Option<Wall>,
    /// What an operator did to the user within the last hour.
    pub command: Option<Command>,
    /// Whether it was made without the store's answer.
    pub degraded: bool,
    /// The status that follows by the rule.
    pub status: Status,
    /// When the status began.
    pub since: Option<Wall>,
    /// When the user was last heard.
    pub last_seen: Option<Wall>,
    /// When the user was last active.
    pub last_active: Option<Wall>,
    /// The revision of the last entry that changed what watchers see, if this one does not: records are told at it.
    pub changed: Option<Revision>,
    /// Lost sessions whose places sessions on other nodes have taken, until the node of the place says so: ordered, each once.
    pub continued: Vec<SessionName>,
    /// Fields that a newer version wrote, as they were.
    pub unknown: Vec<u8>,
}

/// What one node contributes. The times of [`Contribution`] are none here: the user has one of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The run of the node.
    pub incarnation: Incarnation,
    /// Its connections and what is in grace.
    pub contribution: Contribution,
    /// When the grace period ends, for people to read: the node itself ends it.
    pub grace_until: Option<Wall>,
    /// How many sessions are in grace.
    pub places: u32,
    /// Those of its sessions that have or would get a place in the grace period and are known by name: what may be continued.
    pub sessions: Vec<SessionId>,
    /// What a newer version wrote, as it was.
    pub unknown: Vec<u8>,
}

impl Share {
    /// Whether the session of that name has or would get a place in the grace period.
    #[must_use]
    pub fn has_place(&self, of: SessionName) -> bool {
        of.run == self.incarnation.run() && self.sessions.contains(&of.session)
    }

    /// How many sessions are in grace, or would be if the node were gone.
    #[must_use]
    pub const fn all_places(&self) -> u32 {
        self.contribution.connections.saturating_add(self.places)
    }
}

/// The durable part as nodes share it: the deadlines of its reports are on Redis's clock, beside it, and none are on the
/// monotonic clock of any node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SharedPart {
    /// Custom status and reports; [`crate::Report::expires`] is none.
    pub part: DurablePart,
    /// When each of the reports ends by itself, in their order.
    pub ends: Vec<Option<Wall>>,
}

impl SharedPart {
    /// Removes the reports, with their ends, that `is_kept` is not true of.
    pub(super) fn retain_reports(&mut self, is_kept: impl Fn(&Report, &Option<Wall>) -> bool) {
        let reports = std::mem::take(&mut self.part.reports).into_vec();
        let all = reports.into_iter().zip(std::mem::take(&mut self.ends));
        let (reports, ends): (Vec<_>, Vec<_>) = all.filter(|(report, end)| is_kept(report, end)).unzip();
        self.part.reports = reports.into_boxed_slice();
        self.ends = ends;
    }
}

/// What an operator did to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// What it was.
    pub kind: CommandKind,
    /// When it was. With the incarnation, tells commands apart: a node gives each command of a user a later time.
    pub at: Wall,
    /// The node that was asked for it.
    pub by: Incarnation,
}

/// The kinds of command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// All sessions were ended.
    Kick,
    /// All sessions were ended, and the user is as one never seen.
    Forget,
}

impl State {
    /// Whether a session, a grace period or a report keeps the user present.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.status != Status::Offline
    }

    /// What this incarnation contributes.
    #[must_use]
    pub fn share_of(&self, incarnation: Incarnation) -> Option<&Share> {
        self.contributions.iter().find(|share| share.incarnation == incarnation)
    }

    /// Whether the session of that name has or would get a place in the grace period.
    #[must_use]
    pub fn has_place(&self, of: SessionName) -> bool {
        self.contributions.iter().any(|share| share.has_place(of))
    }

    /// How many places of that run are taken by sessions on other nodes.
    #[must_use]
    pub fn continued_of(&self, incarnation: Incarnation) -> u32 {
        let of_run = self.continued.iter().filter(|of| of.run == incarnation.run());
        u32::try_from(of_run.count()).unwrap_or(u32::MAX)
    }

    /// The number of connections and reports.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.connections().saturating_add(self.durable.part.reports.len())
    }

    /// Whether all that is left of the user is that it was forgotten: watchers are told that it was removed, and the database
    /// has nothing of it. A custom status that was set since, or a session or report that has been, makes it known again.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        let part = &self.durable.part;
        let is_chosen = part.preference != Preference::default() || !part.reports.is_empty();
        let is_forgotten = self.command.is_some_and(|command| command.kind == CommandKind::Forget);
        let is_unseen = self.since.is_none() && self.last_seen.is_none();
        is_forgotten && !self.is_present() && is_unseen && !is_chosen
    }

    /// The number of connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        let connections = self.contributions.iter().map(|share| share.contribution.connections);
        connections.fold(0_u32, u32::saturating_add) as usize
    }

    /// Whether watchers see something else than before, or somebody who may see more does.
    #[must_use]
    pub fn shows_change_from(&self, before: &Self) -> bool {
        let seen = |state: &Self| {
            let custom = state.durable.part.preference.custom;
            (state.status, state.degraded, custom, state.is_removed())
        };
        seen(self) != seen(before)
    }

    /// The latest time in the record.
    #[must_use]
    pub fn latest_time(&self) -> Option<Wall> {
        let command = self.command.map(|command| command.at);
        self.since.max(self.last_seen).max(self.last_active).max(command)
    }
}
