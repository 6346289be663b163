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
        }
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
    let preference = profile.preference();
    let reported = profile.reports().iter().map(|report| reported(report, preference, now));
    Explain {
        now: now.wall,
        user_id: user_id.clone(),
        status: decision.status,
        rule: decision.rule,
        reason: decision.reason,
        degraded: profile.is_degraded(),
        sessions: open.chain(reported).collect(),
        grace: all_graces(own_grace, others),
        nodes: others.iter().map(OtherSessions::explained).collect(),
        choice: ExplainPreference {
            custom_status: preference.custom,
            // It lies ahead of a clock that was set back since.
            set_at: preference.set_at.map(|set_at| set_at.min(now.wall)),
            set_by: preference.set_by,
            active_until: profile.chosen_until().map(|at| now.wall_at(at)),
        },
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
        let ends = others.iter().filter_map(|other| other.ends).filter(|at| *at > passed);
        let own = earlier(sessions.next_deadline(), profile.next_deadline());
        let Some(deadline) = earlier(own, ends.min()) else {
            break;
        };
        passed = deadline;
        sessions.on_deadline(deadline);
        profile.on_deadline(deadline);
        let left = others.iter().filter(|other| other.ends.is_none_or(|at| at > deadline));
        let left = left.map(|other| other.contribution);
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
