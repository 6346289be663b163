//! Custom statuses and reports: which is the latest, which change is published to whom, and which times it moves.

use presence::wire::record::Viewer;
use presence::{Activity, Audience, CustomStatus, EndReason, SessionId, Setter, Status};

use crate::person::report_input;
use crate::story::{GRACE, IDLE_AFTER, Story, at, wall};

#[test]
fn users_own_custom_status_is_activity_and_an_operators_is_not() {
    let one = SessionId(0);
    for (setter, status, active) in [
        (Setter::Connection(one), Status::Online, wall(100)),
        (Setter::Request, Status::Online, wall(100)),
        (Setter::Operator, Status::Idle, None),
    ] {
        let mut story = Story::new();
        story.connect(0);
        story.away(10, one);
        story.set_custom(100, CustomStatus::Online, setter);
        let seen = active.or(wall(10));
        assert_eq!((story.status(), story.times()), (status, (seen, active)), "{setter:?}");
        if active.is_some() {
            assert_eq!(story.recompute(100 + IDLE_AFTER - 1), None, "{setter:?}");
            assert_eq!(
                story.recompute(100 + IDLE_AFTER).unwrap().to,
                Status::Idle,
                "{setter:?}"
            );
        }
    }
}

#[test]
fn a_custom_status_makes_only_the_connection_active_that_it_came_over() {
    let mut story = Story::new();
    let (desktop, phone) = (story.connect(0), story.connect(0));
    story.away(10, desktop);
    story.activity(10, phone);
    story.away(20, phone);
    assert_eq!(
        story
            .set_custom(30, CustomStatus::Online, Setter::Connection(phone))
            .unwrap()
            .to,
        Status::Online
    );
    assert_eq!(
        story.end(40, phone, EndReason::Closed).unwrap().to,
        Status::Idle,
        "the desktop is as it was"
    );
    let desktop = &story.user.sessions.connections()[0];
    assert_eq!((desktop.activity(), desktop.active()), (Activity::Idle, None));
}

#[test]
fn a_custom_status_makes_no_known_activity_of_one_that_never_reports() {
    let mut story = Story::new();
    let (desktop, phone) = (story.connect(0), story.connect(0));
    story.away(10, desktop);
    assert_eq!(
        story.set_custom(30, CustomStatus::Online, Setter::Connection(phone)),
        None
    );
    assert_eq!((story.status(), story.times().1), (Status::Idle, wall(30)));
}

#[test]
fn a_custom_status_by_request_counts_as_activity_not_as_presence() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.away(10, one);
    story.set_custom(100, CustomStatus::Online, Setter::Request);
    assert_eq!(story.sessions(), 1, "it is none");
    assert_eq!(story.end(200, one, EndReason::Closed).unwrap().to, Status::Offline);
    let back = story.connect(300);
    assert_eq!(
        story.away(310, back).unwrap().to,
        Status::Idle,
        "what was chosen before counts no more"
    );

    story.set_custom(400, CustomStatus::Online, Setter::Request);
    story.user.kick();
    let back = story.connect(410);
    assert_eq!(story.away(420, back).unwrap().to, Status::Idle, "nor after a kick");
}

#[test]
fn a_request_after_an_overdue_grace_period_is_no_activity() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.set_custom(100, CustomStatus::Online, Setter::Request);
    story.end(200, one, EndReason::Lost);
    // The timer is late: the next input comes first.
    let back = story.user.connect(at(200 + GRACE));
    assert_eq!(story.away(201 + GRACE, back).unwrap().to, Status::Idle);
}

#[test]
fn a_custom_status_leaves_the_grace_period_as_it_was() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.away(10, one);
    story.end(20, one, EndReason::Left);
    let back = story.connect(30);
    assert_eq!(
        story.set_custom(40, CustomStatus::Online, Setter::Connection(back)),
        None
    );
    assert_eq!(story.recompute(30 + GRACE).unwrap().to, Status::Online);
}

#[test]
fn last_active_of_a_custom_status_is_when_it_was_asked_for() {
    for setter in [Setter::Request, Setter::Connection(SessionId(0))] {
        let mut story = Story::new();
        let one = story.connect(0);
        story.away(10, one);
        story.user.set_custom(at(2_000), at(100), CustomStatus::Online, setter);
        assert_eq!(story.recompute(2_000).unwrap().to, Status::Online);
        assert_eq!(story.times(), (wall(100), wall(100)), "{setter:?}");
        assert_eq!(
            story.recompute(100 + IDLE_AFTER).unwrap().to,
            Status::Idle,
            "{setter:?}"
        );
    }
}

#[test]
fn a_custom_status_does_not_shorten_what_a_later_activity_began() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.activity(1_000, one);
    story
        .user
        .set_custom(at(2_000), at(500), CustomStatus::Online, Setter::Connection(one));
    assert_eq!(story.recompute(1_000 + IDLE_AFTER - 1), None);
    assert_eq!(story.recompute(1_000 + IDLE_AFTER).unwrap().to, Status::Idle);
    assert_eq!(story.times().1, wall(1_000));
}

#[test]
fn a_refresh_that_says_the_same_is_no_newer_word() {
    let mut story = Story::new();
    story.report(0, Status::DoNotDisturb, Some(60_000));
    story.set_custom(100, CustomStatus::Online, Setter::Operator);
    assert_eq!(story.status(), Status::Online);
    for ttl in [Some(60_000), None, Some(60_000)] {
        assert_eq!(
            story.report(200, Status::DoNotDisturb, ttl),
            None,
            "what the user chose holds"
        );
    }
    assert_eq!(story.recompute(60_199), None, "it is refreshed all the same");
    assert_eq!(
        story.report(60_200, Status::DoNotDisturb, None).unwrap().to,
        Status::DoNotDisturb,
        "opened anew"
    );
}

#[test]
fn a_refresh_that_says_something_else_is_a_newer_word() {
    let mut story = Story::new();
    story.report(0, Status::DoNotDisturb, None);
    story.set_custom(100, CustomStatus::Online, Setter::Request);
    assert_eq!(story.report(200, Status::Online, None), None);
    assert_eq!(
        story.report(300, Status::DoNotDisturb, None).unwrap().to,
        Status::DoNotDisturb
    );
}

#[test]
fn a_custom_status_set_while_offline_changes_only_the_revision() {
    let mut story = Story::new();
    let published = story.set_custom(100, CustomStatus::Idle, Setter::Request).unwrap();
    assert_eq!((published.audience, published.to), (Audience::Inner, Status::Offline));
    let record = story.user.record(Viewer::Public);
    assert_eq!((record.since, record.last_seen, record.last_active), (None, None, None));
    story.connect(200);
    assert_eq!(story.status(), Status::Idle, "the custom status is shown at once");
}

#[test]
fn repeating_the_custom_status_publishes_nothing_but_is_newer() {
    let mut story = Story::new();
    story.connect(0);
    assert_eq!(story.set_custom(10, CustomStatus::Online, Setter::Request), None);
    assert_eq!(
        story.report(20, Status::DoNotDisturb, None).unwrap().to,
        Status::DoNotDisturb
    );
    let published = story.set_custom(30, CustomStatus::Online, Setter::Request).unwrap();
    assert_eq!(
        (published.audience, published.to),
        (Audience::Everyone, Status::Online),
        "the status changes by that"
    );
    assert_eq!(story.set_custom(40, CustomStatus::Online, Setter::Request), None);
    assert_eq!(story.user.profile.preference().set_at, wall(40), "its time moves");
}

#[test]
fn the_later_of_two_writes_in_one_millisecond_wins() {
    let mut story = Story::new();
    for round in 0..3 {
        story.report(50, Status::Idle, None);
        assert_eq!(story.status(), Status::Idle, "round {round}");
        story.report(50, Status::Online, None);
        story.set_custom(50, CustomStatus::Online, Setter::Operator);
        assert_eq!(story.status(), Status::Online, "round {round}");
    }
}

#[test]
fn a_report_ends_by_ttl_or_by_its_source_not_with_a_connection() {
    let mut story = Story::new();
    story.report(0, Status::Online, Some(60_000));
    let one = story.connect(10);
    assert_eq!((story.end(20, one, EndReason::Closed), story.sessions()), (None, 1));
    assert_eq!(story.recompute(59_999), None);
    assert_eq!(
        story.recompute(60_000).unwrap().to,
        Status::Offline,
        "no grace for reports"
    );
    story.report(70_000, Status::Idle, Some(1_000));
    assert_eq!(
        story.report(70_500, Status::Idle, None),
        None,
        "refreshed, now for ever"
    );
    assert_eq!(story.recompute(10_000_000), None);
    assert_eq!(
        story.report(10_000_001, Status::Offline, None).unwrap().to,
        Status::Offline
    );
}

#[test]
fn a_report_moves_last_active_only_if_it_is_activity() {
    let mut story = Story::new();
    story.report(100, Status::Online, None);
    assert_eq!(story.times(), (wall(100), None));
    story
        .user
        .report(at(200), &report_input(0, Status::Offline, None, true));
    story.recompute(200);
    assert_eq!(story.times(), (wall(200), wall(200)));
    story.report(300, Status::Offline, None);
    assert_eq!(
        (story.status(), story.times()),
        (Status::Offline, (wall(300), wall(200)))
    );
}

#[test]
fn a_custom_status_after_an_overdue_grace_period_is_no_activity() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.away(10, one);
    story.end(20, one, EndReason::Lost);
    let before = story.times();
    assert_eq!(
        story
            .set_custom(20 + GRACE, CustomStatus::Online, Setter::Request)
            .unwrap()
            .to,
        Status::Offline
    );
    assert_eq!(story.times(), before);
}
