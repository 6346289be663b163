//! `explain` is a view of the two halves: it shows the rule that decides, and the changes that will follow.

use std::time::Duration;

use presence::explain::explain;
use presence::wire::rest::Explain;
use presence::{
    Activity, CustomStatus, EndReason, IdleCause, Mono, Now, RevisionClock, Setter, Status, Timers, UserId, Wall,
};

use crate::person::{Person, report_input};

fn at(millis: u64) -> Now {
    Now {
        mono: Mono::from_millis(millis),
        wall: Wall::from_millis(i64::try_from(millis).unwrap()),
    }
}

fn ann() -> Person {
    let timers = Timers {
        grace: Duration::from_secs(5),
        restart_grace: Duration::from_secs(30),
        idle_after: Duration::from_secs(300),
    };
    Person::new("ann", timers)
}

fn explained(user: &mut Person, millis: u64) -> Explain {
    user.recompute(at(millis), &mut RevisionClock::new(0, Wall::from_millis(0)));
    explain(&user.id, at(millis), user.here(), &user.profile, |id| {
        format!("s{}", id.0)
    })
}

#[test]
fn a_user_never_seen_is_explained_by_the_first_rule() {
    let ann = ann();
    let explanation = explain(&ann.id, at(0), ann.here(), &ann.profile, |_| String::new());
    let json = serde_json::to_string(&explanation).unwrap();
    assert_eq!(
        json,
        r#"{"now":"1970-01-01T00:00:00.000Z","userId":"ann","status":"OFFLINE","rule":1,"reason":"no_session","#
            .to_owned()
            + r#""sessions":[],"grace":null,"choice":{"customStatus":"ONLINE","setAt":null,"setBy":null},"next":[]}"#
    );
}

#[test]
fn every_field_is_there_as_the_contract_names_it() {
    let mut ann = ann();
    let (one, lost) = (ann.connect(at(0)), ann.connect(at(0)));
    ann.activity(at(1_000), one);
    ann.away(at(1_500), lost);
    ann.end(at(2_000), lost, EndReason::Lost);
    ann.report(at(3_000), &report_input(0, Status::Idle, Some(60_000), true));
    ann.set_custom(at(2_500), at(2_500), CustomStatus::Online, Setter::Operator);
    let json = serde_json::to_value(explained(&mut ann, 4_000)).unwrap();
    let time = |millis: i64| Wall::from_millis(millis).to_string();
    let expected = serde_json::json!({
        "now": time(4_000), "userId": "ann", "status": "ONLINE", "rule": 5, "reason": "active",
        "sessions": [
            {"sessionId": "s0", "node": "n1", "since": time(0), "lastHeard": time(1_000), "lastActive": time(1_000), "idle": false,
             "activity": "active", "idleAt": time(301_000)},
            {"sessionId": "report:gateway-0", "node": null, "since": time(3_000), "lastHeard": time(3_000),
             "lastActive": time(3_000), "idle": false, "activity": "unknown", "source": "gateway-0", "reported": "IDLE",
             "counts": "older_than_custom_status", "endsAt": time(63_000)},
        ],
        "grace": {"until": time(7_000), "idle": true, "sessions": 1},
        "choice": {"customStatus": "ONLINE", "setAt": time(2_500), "setBy": "operator"},
        "next": [{"at": time(301_000), "why": "IDLE: all sessions with known activity are idle by then"}],
    });
    assert_eq!(json, expected);
}

#[test]
fn a_session_shows_only_the_timers_that_it_has() {
    let mut ann = ann();
    let (silent, active, away) = (ann.connect(at(0)), ann.connect(at(0)), ann.connect(at(0)));
    ann.activity(at(1_000), active);
    ann.activity(at(1_000), away);
    ann.away(at(2_000), away);
    ann.report(at(0), &report_input(0, Status::Online, None, false));
    ann.report(at(0), &report_input(1, Status::Online, Some(10_000), false));
    let timers = |explanation: &Explain| -> Vec<_> {
        let millis = |at: Option<Wall>| at.map(Wall::as_millis);
        let sessions = explanation.sessions.iter();
        sessions.map(|one| (millis(one.idle_at), millis(one.ends_at))).collect()
    };
    let nothing = (None, None);
    let explanation = explained(&mut ann, 3_000);
    assert_eq!(
        timers(&explanation),
        [nothing, (Some(301_000), None), nothing, nothing, (None, Some(10_000))]
    );
    ann.activity(at(4_000), active);
    ann.activity(at(4_000), silent);
    let explanation = explained(&mut ann, 5_000);
    assert_eq!(
        timers(&explanation)[..3],
        [(Some(304_000), None), (Some(304_000), None), nothing],
        "each activity begins it anew"
    );
    let explanation = explained(&mut ann, 304_000);
    assert_eq!(timers(&explanation), [nothing; 4], "they are over");
}

#[test]
fn an_idle_connection_shows_whether_it_said_so_and_since_when() {
    let mut ann = ann();
    let (unknown, silent, away) = (ann.connect(at(0)), ann.connect(at(0)), ann.connect(at(0)));
    ann.activity(at(1_000), silent);
    ann.away(at(2_000), away);
    // Saying so again is nothing new.
    ann.away(at(9_000), away);
    let idleness = |explanation: Explain| -> Vec<_> {
        let sessions = explanation.sessions.into_iter();
        sessions
            .map(|one| (one.idle, one.idle_cause, one.idle_since.map(Wall::as_millis)))
            .collect()
    };
    let not_idle = (false, None, None);
    let said = |since| (true, Some(IdleCause::Said), Some(since));
    let was_silent = (true, Some(IdleCause::Silent), Some(1_000));
    assert_eq!(idleness(explained(&mut ann, 10_000)), [not_idle, not_idle, said(2_000)]);
    assert_eq!(
        idleness(explained(&mut ann, 301_000)),
        [not_idle, was_silent, said(2_000)]
    );
    ann.away(at(302_000), silent);
    ann.activity(at(302_000), away);
    assert_eq!(
        idleness(explained(&mut ann, 303_000)),
        [not_idle, said(302_000), not_idle]
    );
    ann.away(at(303_000), away);
    ann.end(at(304_000), away, EndReason::Lost);
    ann.end(at(304_000), silent, EndReason::Lost);
    ann.end(at(304_000), unknown, EndReason::Lost);
    ann.connect(at(305_000));
    assert_eq!(
        idleness(explained(&mut ann, 305_000)),
        [(true, Some(IdleCause::Inherited), None)]
    );
}

#[test]
fn an_explanation_without_session_timers_is_read() {
    let mut ann = ann();
    let id = ann.connect(at(0));
    ann.activity(at(0), id);
    let explanation = explained(&mut ann, 1_000);
    let mut json = serde_json::to_value(&explanation).unwrap();
    let session = json["sessions"][0].as_object_mut().unwrap();
    assert!(session.remove("idleAt").is_some());
    let read: Explain = serde_json::from_value(json).unwrap();
    assert_eq!(read.sessions[0].idle_at, None);
}

#[test]
fn all_changes_by_deadlines_are_listed_in_order() {
    let mut ann = ann();
    ann.report(at(0), &report_input(0, Status::DoNotDisturb, Some(10_000), false));
    let one = ann.connect(at(0));
    ann.activity(at(0), one);
    let idle = explained(&mut ann, 1_000);
    let next: Vec<(i64, &str)> = idle
        .next
        .iter()
        .map(|one| (one.at.as_millis(), one.why.split(':').next().unwrap()))
        .collect();
    assert_eq!(next, [(10_000, "ONLINE"), (300_000, "IDLE")]);
    ann.end(at(2_000), one, EndReason::Left);
    let lost = explained(&mut ann, 2_000);
    let next: Vec<(i64, &str)> = lost
        .next
        .iter()
        .map(|one| (one.at.as_millis(), one.why.split(':').next().unwrap()))
        .collect();
    assert_eq!(
        next,
        [(10_000, "OFFLINE")],
        "the end of the grace alone changes nothing"
    );
}

#[test]
fn all_deadlines_that_a_user_can_have_are_searched() {
    let mut ann = ann();
    for index in 0..32_u64 {
        let id = ann.connect(at(0));
        ann.activity(at(index), id);
    }
    for index in 0..32_u8 {
        ann.report(
            at(0),
            &report_input(index, Status::Idle, Some(400_000 + u64::from(index)), false),
        );
    }
    let explanation = explained(&mut ann, 100);
    let next: Vec<i64> = explanation.next.iter().map(|one| one.at.as_millis()).collect();
    assert_eq!(next, [300_031], "the last one to grow idle");
}

#[test]
fn each_report_says_what_it_reports_and_whether_it_counts() {
    let mut ann = ann();
    ann.report(at(0), &report_input(0, Status::Idle, None, false));
    ann.set_custom(at(10), at(10), CustomStatus::Online, Setter::Request);
    ann.report(at(20), &report_input(1, Status::DoNotDisturb, None, false));
    let said = |ann: &mut Person| -> Vec<_> {
        let sessions = explained(ann, 30).sessions;
        sessions
            .into_iter()
            .map(|one| (one.reported.unwrap(), one.counts.unwrap(), one.activity.unwrap()))
            .collect()
    };
    use presence::wire::rest::ReportCounts::{CustomStatusFirst, OlderThanCustomStatus, Yes};
    let (idle, dnd) = (CustomStatus::Idle, CustomStatus::DoNotDisturb);
    assert_eq!(
        said(&mut ann),
        [
            (idle, OlderThanCustomStatus, Activity::Unknown),
            (dnd, Yes, Activity::Unknown)
        ]
    );
    for custom in [CustomStatus::Online, idle, dnd] {
        ann.set_custom(at(20), at(20), custom, Setter::Request);
        ann.report(at(20), &report_input(0, Status::Offline, None, false));
        ann.report(at(20), &report_input(0, Status::Idle, None, false));
        ann.report(at(20), &report_input(1, Status::Offline, None, false));
        ann.report(at(20), &report_input(1, Status::DoNotDisturb, None, false));
        let counts = match custom {
            CustomStatus::Online => [Yes, Yes],
            CustomStatus::Idle => [CustomStatusFirst, Yes],
            CustomStatus::DoNotDisturb => [CustomStatusFirst, CustomStatusFirst],
        };
        assert_eq!(
            said(&mut ann),
            [(idle, counts[0], Activity::Idle), (dnd, counts[1], Activity::Unknown)]
        );
    }
}

#[test]
fn an_activity_chosen_or_inherited_is_shown_with_its_end() {
    let mut ann = ann();
    let (desktop, phone) = (ann.connect(at(0)), ann.connect(at(0)));
    ann.away(at(10), desktop);
    ann.end(at(1_000), phone, EndReason::Lost);
    ann.end(at(1_000), desktop, EndReason::Lost);
    ann.connect(at(2_000));
    let explanation = explained(&mut ann, 3_000);
    let session = &explanation.sessions[0];
    assert_eq!((session.activity, session.idle), (Some(Activity::Idle), true));
    assert_eq!(session.inherited_until.map(Wall::as_millis), Some(7_000));
    assert_eq!(explanation.grace.unwrap().sessions, Some(2));
    assert_eq!(explanation.next[0].at.as_millis(), 7_000);
    ann.set_custom(at(4_000), at(4_000), CustomStatus::Online, Setter::Request);
    let explanation = explained(&mut ann, 4_000);
    assert_eq!(explanation.choice.active_until.map(Wall::as_millis), Some(304_000));
    assert_eq!(explained(&mut ann, 304_000).choice.active_until, None);
}

#[test]
fn a_custom_status_set_in_the_future_is_shown_as_now() {
    let mut ann = ann();
    ann.set_custom(at(9_000_000), at(9_000_000), CustomStatus::Idle, Setter::Request);
    let explanation = explain(&UserId::new("ann").unwrap(), at(5), ann.here(), &ann.profile, |_| {
        String::new()
    });
    assert_eq!(explanation.choice.set_at, Some(Wall::from_millis(5)));
}
