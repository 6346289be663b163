//! Why a user is shown so, in words: the same wherever it is told.

use presence::Reason;
use presence::wire::rest::{Explain, ExplainSession};

/// The rule that decided, as a clause.
pub(crate) fn because(explain: &Explain) -> &'static str {
    match explain.reason {
        Reason::NoSession => "there is no session, and no lost one still counts",
        Reason::Custom => "that is the custom status, and a session or its grace is there",
        Reason::Reported => "a report of an outside gateway says so",
        Reason::Inactive => "every session that speaks of activity is idle",
        Reason::Active if explain.sessions.iter().any(|session| session.last_active.is_some()) => {
            "a session is active and nothing speaks against it"
        }
        Reason::Active => "a session or its grace is there and nothing speaks against it",
    }
}

/// What a session says of its user.
pub(crate) const fn says(session: &ExplainSession) -> &'static str {
    match (session.idle, session.last_active, &session.source) {
        (true, _, _) => "idle",
        (false, _, Some(_)) => "present",
        (false, None, None) => "nothing",
        (false, Some(_), None) => "active",
    }
}
