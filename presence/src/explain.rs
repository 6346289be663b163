//! Why a status is what it is and what will change it next: a view of sessions and profile, not a second logic. Later
//! changes are found by running copies of both through their own deadlines.

use crate::durable_part::Preference;
use crate::profile::Profile;
use crate::report::Report;
use crate::rule::Reason;
use crate::sessions::{Activity, Contribution, Sessions};
use crate::status::CustomStatus;
use crate::time::{Mono, Now, Wall};
use crate::user_id::UserId;
use crate::wire::rest::{
    Explain, ExplainGrace, ExplainNext, ExplainNode, ExplainPreference, ExplainSession, ReportCounts,
};

/// How many deadlines are searched for changes of the status: one for each session a user can have (32 connections and 32
/// reports by default, with room for raised limits), and the grace period.
const NEXT_DEADLINES_MAX: usize = 128;

/// The sessions of one user on one node.
#[derive(Debug, Clone, Copy)]
pub struct NodeSessions<'a> {
    /// The name of the node.
    pub node: &'a str,
    /// The user's sessions there.
    pub sessions: &'a Sessions,
    /// What other nodes contribute; none on a node alone.
    pub others: &'a [OtherSessions],
}

/// What another run of a node contributes to a user.
#[derive(Debug, Clone)]
pub struct OtherSessions {
    /// The name of the node.
    pub node: String,
    /// What the user's sessions there add up to.
    pub contribution: Contribution,
    /// When all of it ceases to count: the node is gone, and its sessions are in grace.
    pub ends: Option<Mono>,
    /// Until when what is in grace counts, if that is known.
    pub grace_until: Option<Wall>,
    /// How many sessions are in grace.
    pub places: u32,
    /// Its connections, one by one.
    pub told: SessionAnswer,
}

/// What a node told of its connections of a user when it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SessionAnswer {
    /// It was not asked: it has no connection of the user, or is gone.
    #[default]
    NotAsked,
    /// Its connections, oldest first.
    Listed(Vec<ExplainSession>),
    /// Why it did not tell.
    Failed(String),
}

impl OtherSessions {
    fn grace(&self) -> Option<ExplainGrace> {
        let grace = self.contribution.grace?;
        Some(ExplainGrace {
            until: self.grace_until?,
            idle: grace == Activity::Idle,
            sessions: Some(self.places),
        })
    }

    fn explained(&self) -> ExplainNode {
        ExplainNode {
            node: self.node.clone(),
            connections: self.contribution.connections,
            idle: self.contribution.activity() == Activity::Idle,
            grace: self.grace(),
            error: match &self.told {
                SessionAnswer::Failed(error) => Some(error.clone()),
                SessionAnswer::NotAsked | SessionAnswer::Listed(_) => None,
            },
        }
    }

    /// Its connections, as far as it told them.
    fn listed(&self) -> &[ExplainSession] {
        match &self.told {
            SessionAnswer::Listed(sessions) => sessions,
            SessionAnswer::NotAsked | SessionAnswer::Failed(_) => &[],
        }
    }

    /// When it contributes something else by itself for the next time after `passed`.
    fn next_deadline(&self, now: Now, passed: Mono) -> Option<Mono> {
        let timers = self.listed().iter().flat_map(|one| [one.idle_at, one.inherited_until]);
        let timers = timers.chain([self.grace_until]).flatten().map(|at| mono_at(now, at));
        timers.chain(self.ends).filter(|at| *at > passed).min()
    }

    /// What it contributes at that moment if nothing else happens; none if that is over.
    fn contribution_at(&self, now: Now, moment: Mono) -> Option<Contribution> {
        if self.ends.is_some_and(|at| at <= moment) {
            return None;
        }
        let mut contribution = self.contribution;
        if self.grace_until.is_some_and(|at| mono_at(now, at) <= moment) {
            contribution.grace = None;
        }
        if let SessionAnswer::Listed(sessions) = &self.told {
            contribution.connections = u32::try_from(sessions.len()).unwrap_or(u32::MAX);
            let activities = sessions.iter().map(|session| activity_at(session, now, moment));
            contribution.open_activity = activities.fold(Activity::Unknown, Activity::and);
        }
        Some(contribution)
    }
}

fn mono_at(now: Now, at: Wall) -> Mono {
    now.mono.after(at.since(now.wall))
}

/// The activity of a connection of another node at that moment, if nothing else happens.
fn activity_at(session: &ExplainSession, now: Now, moment: Mono) -> Activity {
    let is_over = |at: Option<Wall>| at.is_some_and(|at| mono_at(now, at) <= moment);
    match session.activity.unwrap_or_default() {
        _ if is_over(session.inherited_until) => Activity::Unknown,
        Activity::Active if is_over(session.idle_at) => Activity::Idle,
        activity => activity,
    }
}

/// Explains one user. `session_name` returns the public name of a connection.
#[must_use]
pub fn explain(
    user_id: &UserId,
    now: Now,
    here: NodeSessions<'_>,
    profile: &Profile,
    session_name: impl Fn(crate::SessionId) -> String,
) -> Explain {
    let NodeSessions { node, sessions, others } = here;
    let decision = profile.decision();
    let open = sessions.connections().iter().map(|connection| ExplainSession {
        session_id: session_name(connection.id),
        node: Some(node.to_owned()),
        since: connection.since,
        last_heard: connection.heard,
        last_active: connection.active(),
        idle: connection.activity() == Activity::Idle,
        activity: Some(connection.activity()),
        source: None,
        reported: None,
        counts: None,
        idle_cause: connection.idleness(now).map(|(cause, _)| cause),
        idle_since: connection.idleness(now).and_then(|(_, since)| since),
        idle_at: connection.idle_at().map(|at| now.wall_at(at)),
        inherited_until: connection.inherited_until().map(|at| now.wall_at(at)),
        ends_at: None,
    });
    let own_grace = sessions.grace().map(|grace| ExplainGrace {
        until: now.wall_at(grace.until),
        idle: grace.activity == Activity::Idle,
        sessions: Some(grace.places()),
    });
    let mut open: Vec<ExplainSession> = open
        .chain(others.iter().flat_map(OtherSessions::listed).cloned())
        .collect();
    open.sort_by_key(|session| session.since);
    // Another node's clock may be ahead.
    let times = open
        .iter()
        .flat_map(|one| [Some(one.since), Some(one.last_heard), one.last_active, one.idle_since]);
    let latest = times.flatten().max().map_or(now.wall, |latest| latest.max(now.wall));
    let preference = profile.preference();
    let reported = profile.reports().iter().map(|report| reported(report, preference, now));
    Explain {
        now: latest,
        user_id: user_id.clone(),
        status: decision.status,
        rule: decision.rule,
        reason: decision.reason,
        degraded: profile.is_degraded(),
        sessions: open.into_iter().chain(reported).collect(),
        grace: all_graces(own_grace, others),
        nodes: others.iter().map(OtherSessions::explained).collect(),
        choice: ExplainPreference {
            custom_status: preference.custom,
            // It lies ahead of a clock that was set back since.
            set_at: preference.set_at.map(|set_at| set_at.min(now.wall)),
            set_by: preference.set_by,
            active_until: profile.chosen_until().map(|at| now.wall_at(at)),
        },
        // Whoever answers knows.
        tokens_revoked_before: None,
        next: next_changes(now, sessions.clone(), profile.clone(), others),
    }
}

/// The grace periods on all nodes as one.
fn all_graces(own: Option<ExplainGrace>, others: &[OtherSessions]) -> Option<ExplainGrace> {
    let graces = own.into_iter().chain(others.iter().filter_map(OtherSessions::grace));
    graces.reduce(|one, other| ExplainGrace {
        until: one.until.max(other.until),
        idle: one.idle && other.idle,
        sessions: Some(one.sessions.unwrap_or(0).saturating_add(other.sessions.unwrap_or(0))),
    })
}

/// A report as a session of its user.
fn reported(report: &Report, preference: &Preference, now: Now) -> ExplainSession {
    let counts = counts(report, preference);
    let activity = match counts {
        ReportCounts::OlderThanCustomStatus => Activity::Unknown,
        ReportCounts::Yes | ReportCounts::CustomStatusFirst => report.activity(),
    };
    ExplainSession {
        session_id: format!("report:{}", report.source),
        node: None,
        since: report.since,
        last_heard: report.heard,
        last_active: report.last_active,
        idle: activity == Activity::Idle,
        activity: Some(activity),
        source: Some(report.source.to_string()),
        reported: Some(report.status),
        counts: Some(counts),
        idle_at: None,
        idle_cause: None,
        idle_since: None,
        inherited_until: None,
        ends_at: report.expires.map(|at| now.wall_at(at)),
    }
}

/// Whether a report takes part, or why not.
fn counts(report: &Report, preference: &Preference) -> ReportCounts {
    if !report.counts_after(preference) {
        return ReportCounts::OlderThanCustomStatus;
    }
    let yields = match preference.custom {
        CustomStatus::Online => false,
        CustomStatus::Idle => report.status != CustomStatus::DoNotDisturb,
        CustomStatus::DoNotDisturb => true,
    };
    if yields {
        ReportCounts::CustomStatusFirst
    } else {
        ReportCounts::Yes
    }
}

fn next_changes(now: Now, mut sessions: Sessions, mut profile: Profile, others: &[OtherSessions]) -> Vec<ExplainNext> {
    let mut changes = Vec::new();
    let mut passed = now.mono;
    let mut status = profile.decision().status;
    for _ in 0..NEXT_DEADLINES_MAX {
        let elsewhere = others.iter().filter_map(|other| other.next_deadline(now, passed)).min();
        let own = earlier(sessions.next_deadline(), profile.next_deadline());
        let Some(deadline) = earlier(own, elsewhere) else {
            break;
        };
        passed = deadline;
        sessions.on_deadline(deadline);
        profile.on_deadline(deadline);
        let left = others.iter().filter_map(|other| other.contribution_at(now, deadline));
        let all: Vec<Contribution> = std::iter::once(sessions.contribution()).chain(left).collect();
        let decision = profile.decide(&all);
        if decision.status != status {
            status = decision.status;
            changes.push(ExplainNext {
                at: now.wall_at(deadline),
                why: why(decision.reason, status.as_str()),
            });
        }
    }
    changes
}

fn earlier(one: Option<Mono>, other: Option<Mono>) -> Option<Mono> {
    [one, other].into_iter().flatten().min()
}

fn why(reason: Reason, status: &str) -> String {
    let cause = match reason {
        Reason::NoSession => "the last session or grace period ends",
        Reason::Custom => "the custom status alone decides",
        Reason::Reported => "a report decides",
        Reason::Inactive => "all sessions with known activity are idle by then",
        Reason::Active => "connected, and no idle report or custom status is left",
    };
    format!("{status}: {cause}")
}
