//! Why a status is what it is and what will change it next: a view of sessions and profile, not a second logic. Later
//! changes are found by running copies of both through their own deadlines.

use crate::profile::Profile;
use crate::rule::{Reason, decide};
use crate::sessions::{Activity, Sessions};
use crate::time::{Mono, Now};
use crate::user_id::UserId;
use crate::wire::rest::{Explain, ExplainGrace, ExplainNext, ExplainPreference, ExplainSession};

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
    let NodeSessions { node, sessions } = here;
    let decision = profile.decision();
    let open = sessions.connections().iter().map(|connection| ExplainSession {
        session_id: session_name(connection.id),
        node: Some(node.to_owned()),
        since: connection.since,
        last_heard: connection.heard,
        last_active: connection.active,
        idle: connection.activity() == Activity::Idle,
        source: None,
        idle_at: connection.idle_at().map(|at| now.wall_at(at)),
        ends_at: None,
    });
    let reported = profile.reports().iter().map(|report| ExplainSession {
        session_id: format!("report:{}", report.source),
        node: None,
        since: report.since,
        last_heard: report.heard,
        last_active: report.last_active,
        idle: report.counts_after(profile.preference()) && report.activity() == Activity::Idle,
        source: Some(report.source.to_string()),
        idle_at: None,
        ends_at: report.expires.map(|at| now.wall_at(at)),
    });
    let preference = profile.preference();
    Explain {
        now: now.wall,
        user_id: user_id.clone(),
        status: decision.status,
        rule: decision.rule,
        reason: decision.reason,
        sessions: open.chain(reported).collect(),
        grace: sessions.grace().map(|grace| ExplainGrace {
            until: now.wall_at(grace.until),
            idle: grace.activity == Activity::Idle,
        }),
        choice: ExplainPreference {
            custom_status: preference.custom,
            // It lies ahead of a clock that was set back since.
            set_at: preference.set_at.map(|set_at| set_at.min(now.wall)),
            set_by: preference.set_by,
        },
        next: next_changes(now, sessions.clone(), profile.clone()),
    }
}

fn next_changes(now: Now, mut sessions: Sessions, mut profile: Profile) -> Vec<ExplainNext> {
    let mut changes = Vec::new();
    let mut status = profile.decision().status;
    for _ in 0..NEXT_DEADLINES_MAX {
        let Some(deadline) = earlier(sessions.next_deadline(), profile.next_deadline()) else {
            break;
        };
        sessions.on_deadline(deadline);
        profile.on_deadline(deadline);
        let decision = decide(&[sessions.contribution()], profile.reports(), profile.preference());
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
