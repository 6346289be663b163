//! Custom statuses and reports: which is the latest, which change is published to whom, and which times it moves.

use presence::wire::record::Viewer;
use presence::{Actor, Audience, CustomStatus, EndReason, Status};

use crate::person::report_input;
use crate::story::{GRACE, IDLE_AFTER, Story, at, wall};

#[test]
fn users_own_custom_status_is_activity_and_an_operators_is_not() {
    for (by, status, active) in [
        (Actor::User, Status::Online, wall(100)),
        (Actor::Operator, Status::Idle, None),
    ] {
        let mut story = Story::new();
        let one = story.connect(0);
        story.away(10, one);
        story.set_custom(100, CustomStatus::Online, by);
        assert_eq!(
            (story.status(), story.times()),
            (status, (wall(100).filter(|_| by == Actor::User).or(wall(10)), active))
        );
    }
}

#[test]
fn a_custom_status_ends_idleness_from_the_grace_period() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.away(10, one);
    story.end(20, one, EndReason::Left);
    story.connect(30);
    assert_eq!(
        story.set_custom(40, CustomStatus::Online, Actor::User).unwrap().to,
        Status::Online
    );
    assert_eq!(story.recompute(20 + GRACE), None, "not only for the rest of the grace");
    assert_eq!(story.recompute(40 + IDLE_AFTER).unwrap().to, Status::Idle);
}

#[test]
fn a_custom_status_set_while_offline_changes_only_the_revision() {
    let mut story = Story::new();
    let published = story.set_custom(100, CustomStatus::Idle, Actor::User).unwrap();
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
    assert_eq!(story.set_custom(10, CustomStatus::Online, Actor::User), None);
    assert_eq!(
        story.report(20, Status::DoNotDisturb, None).unwrap().to,
        Status::DoNotDisturb
    );
    let published = story.set_custom(30, CustomStatus::Online, Actor::User).unwrap();
    assert_eq!(
        (published.audience, published.to),
        (Audience::Everyone, Status::Online),
        "the status changes by that"
    );
    assert_eq!(story.set_custom(40, CustomStatus::Online, Actor::User), None);
    assert_eq!(story.user.profile.preference().set_at, wall(40), "its time moves");
}

#[test]
fn the_later_of_two_writes_in_one_millisecond_wins() {
    let mut story = Story::new();
    for round in 0..3 {
        story.report(50, Status::Idle, None);
        assert_eq!(story.status(), Status::Idle, "round {round}");
        story.set_custom(50, CustomStatus::Online, Actor::Operator);
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
    let before = story.user.sessions.contribution();
    let timers = story.user.timers;
    story.user.sessions.handle_preference(at(20 + GRACE), &timers);
    let after = story.user.sessions.contribution();
    assert_eq!(
        (after.grace, after.last_seen, after.last_active),
        (None, before.last_seen, before.last_active)
    );
    assert_eq!(story.recompute(20 + GRACE).unwrap().to, Status::Offline);
}
