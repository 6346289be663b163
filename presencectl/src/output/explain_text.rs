//! The sentences for a status's reason and the words for a session's activity, shared by `explain` and the dashboard.

use presence::wire::rest::{Explain, ExplainSession, ReportCounts};
use presence::{Activity, IdleCause, Reason, Status, Wall};

pub(crate) fn reason_text(explain: &Explain) -> &'static str {
    match explain.reason {
        Reason::NoSession => "no session and no grace period",
        Reason::Custom if explain.status == Status::Idle => "custom status is IDLE",
        Reason::Custom => "custom status is DO_NOT_DISTURB",
        Reason::Reported => "a report says DO_NOT_DISTURB",
        Reason::Inactive => "all sessions with known activity are idle",
        Reason::Active if explain.sessions.iter().any(is_active) => "a session is active and there is no custom status",
        Reason::Active if explain.choice.active_until.is_some() => {
            "the user set the custom status a short while ago, which counts like an active session"
        }
        Reason::Active => "connected; no idle report and no custom status",
    }
}

/// The activity that counts for the status. Of a report that is not idle, more is not known: it says ONLINE or
/// DO_NOT_DISTURB, or it says IDLE and does not count.
pub(crate) fn activity(session: &ExplainSession) -> &'static str {
    match (session.activity, session.idle, &session.source) {
        (_, true, _) => "idle",
        (_, false, Some(_)) => "not idle",
        _ if is_active(session) => "active",
        _ => "unknown",
    }
}

/// Daemons from before the field told no more than when activity was last reported.
fn is_active(session: &ExplainSession) -> bool {
    match session.activity {
        Some(activity) => activity == Activity::Active,
        None => session.last_active.is_some() && !session.idle,
    }
}

/// What a report says and whether that counts; none for a connection.
pub(crate) fn report_text(session: &ExplainSession) -> Option<String> {
    let (says, counts) = (session.reported?, session.counts?);
    let outcome = match counts {
        ReportCounts::Yes => "which counts",
        ReportCounts::OlderThanCustomStatus => "which does not count: the custom status is newer",
        ReportCounts::CustomStatusFirst => "which does not count: the custom status decides first",
    };
    Some(format!("says {says}, {outcome}"))
}

/// Why a connection counts as idle, and since when; none of others, and of daemons from before the field.
pub(crate) fn idle_text(session: &ExplainSession, moment: impl Fn(Wall) -> String) -> Option<String> {
    let since = |at: Option<Wall>| at.map(&moment);
    Some(match (session.idle_cause?, since(session.idle_since)) {
        (IdleCause::Said, Some(since)) => format!("said at {since} that the user is away"),
        (IdleCause::Said, None) => "said that the user is away".to_owned(),
        (IdleCause::Silent, Some(since)) => {
            format!("is idle because it is silent: the last activity it reported was at {since}")
        }
        (IdleCause::Silent, None) => "is idle because it is silent".to_owned(),
        (IdleCause::Inherited, _) => "counts as idle like the lost sessions, until it reports activity".to_owned(),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use presence::CustomStatus;

    use super::*;

    /// A connection that was opened at this time, and of which nothing else is known.
    pub(crate) fn connection(name: &str, since: Wall) -> ExplainSession {
        ExplainSession {
            session_id: name.into(),
            node: None,
            since,
            last_heard: since,
            last_active: None,
            idle: false,
            activity: Some(Activity::Unknown),
            source: None,
            reported: None,
            counts: None,
            idle_at: None,
            idle_cause: None,
            idle_since: None,
            inherited_until: None,
            ends_at: None,
        }
    }

    #[test]
    fn the_activity_of_a_connection_is_what_it_counts_with() {
        let once = Some(Wall::from_millis(0));
        for (known, last_active, idle, expected) in [
            (Some(Activity::Unknown), None, false, "unknown"),
            (Some(Activity::Active), None, false, "active"),
            (Some(Activity::Active), once, false, "active"),
            (Some(Activity::Idle), once, true, "idle"),
            (None, None, false, "unknown"),
            (None, once, false, "active"),
            (None, once, true, "idle"),
        ] {
            let session = ExplainSession {
                activity: known,
                last_active,
                idle,
                ..connection("s1", Wall::from_millis(0))
            };
            assert_eq!(activity(&session), expected);
        }
    }

    #[test]
    fn a_report_is_told_with_what_it_says_and_whether_it_counts() {
        for (counts, expected) in [
            (ReportCounts::Yes, "says IDLE, which counts"),
            (
                ReportCounts::OlderThanCustomStatus,
                "says IDLE, which does not count: the custom status is newer",
            ),
            (
                ReportCounts::CustomStatusFirst,
                "says IDLE, which does not count: the custom status decides first",
            ),
        ] {
            let report = ExplainSession {
                source: Some("app".into()),
                reported: Some(CustomStatus::Idle),
                counts: Some(counts),
                ..connection("s1", Wall::from_millis(0))
            };
            assert_eq!(report_text(&report).as_deref(), Some(expected));
            assert_eq!(activity(&report), "not idle");
        }
        assert_eq!(report_text(&connection("s1", Wall::from_millis(0))), None);
    }

    #[test]
    fn an_idle_connection_tells_whether_it_said_so_or_is_silent() {
        let moment = |at: Wall| at.as_millis().to_string();
        let text = |idle_cause, idle_since: Option<i64>| {
            let idle = ExplainSession {
                idle_cause,
                idle_since: idle_since.map(Wall::from_millis),
                ..connection("s1", Wall::from_millis(0))
            };
            idle_text(&idle, moment).unwrap_or_default()
        };
        assert_eq!(text(None, None), "");
        assert_eq!(text(Some(IdleCause::Said), Some(7)), "said at 7 that the user is away");
        assert_eq!(
            text(Some(IdleCause::Silent), Some(7)),
            "is idle because it is silent: the last activity it reported was at 7"
        );
        assert_eq!(text(Some(IdleCause::Said), None), "said that the user is away");
        assert_eq!(text(Some(IdleCause::Silent), None), "is idle because it is silent");
        assert!(text(Some(IdleCause::Inherited), None).starts_with("counts as idle like the lost sessions"));
    }
}
