//! The sentences for a status's reason and the words for a session's activity, shared by `explain` and the dashboard.

use presence::wire::rest::{Explain, ExplainSession};
use presence::{Reason, Status};

pub(crate) fn reason_text(explain: &Explain) -> &'static str {
    match explain.reason {
        Reason::NoSession => "no session and no grace period",
        Reason::Custom if explain.status == Status::Idle => "custom status is IDLE",
        Reason::Custom => "custom status is DO_NOT_DISTURB",
        Reason::Reported => "a report says DO_NOT_DISTURB",
        Reason::Inactive => "all sessions with known activity are idle",
        Reason::Active if explain.sessions.iter().any(|session| session.last_active.is_some()) => {
            "a session is active and there is no custom status"
        }
        Reason::Active => "connected; no idle report and no custom status",
    }
}

/// The activity that counts for the status. Of a report that is not idle, more is not known: it says ONLINE or
/// DO_NOT_DISTURB, or it says IDLE and is older than the custom status.
pub(crate) const fn activity(session: &ExplainSession) -> &'static str {
    match (session.idle, session.last_active, &session.source) {
        (true, _, _) => "idle",
        (false, _, Some(_)) => "not idle",
        (false, None, None) => "unknown",
        (false, Some(_), None) => "active",
    }
}
