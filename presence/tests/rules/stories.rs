//! The sentences of sections 3.2 and 3.3 as short stories, each with the moments at which something is due.

use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{Activity, Audience, EndReason, Mono, SessionId, Status};

use crate::story::{GRACE, IDLE_AFTER, Story, at, wall};

const ENDS_INTO_GRACE: [EndReason; 3] = [EndReason::Left, EndReason::Lost, EndReason::Dropped];

#[test]
fn a_second_session_keeps_the_user_present() {
    let mut story = Story::new();
    let (one, other) = (story.connect(0), story.connect(1));
    assert_eq!(story.end(10, one, EndReason::Closed), None);
    assert_eq!(story.status(), Status::Online);
    let published = story.end(20, other, EndReason::Closed).unwrap();
    assert_eq!(
        (published.from, published.to, published.audience),
        (Status::Online, Status::Offline, Audience::Everyone)
    );
}

#[test]
fn a_clean_close_is_offline_at_once_with_the_time_of_the_close() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.end(1_234, one, EndReason::Closed);
    assert_eq!(story.status(), Status::Offline);
    assert_eq!(story.times(), (wall(1_234), wall(1_234)));
    assert_eq!(story.user.record(Viewer::Public).since, wall(1_234));
}

#[test]
fn a_page_reload_within_the_grace_period_is_no_event() {
    for end in ENDS_INTO_GRACE {
        let mut story = Story::new();
        let mut id = story.connect(0);
        for round in 1..=10 {
            assert_eq!(story.end(round * 10_000, id, end), None, "{end:?}");
            id = SessionId(round);
            assert_eq!(story.user.connect(at(round * 10_000 + GRACE - 1)), id);
            assert_eq!(story.recompute(round * 10_000 + GRACE - 1), None, "{end:?}");
            assert_eq!(
                story.recompute(round * 10_000 + GRACE),
                None,
                "the end of the grace: {end:?}"
            );
        }
    }
}

#[test]
fn the_grace_period_lasts_to_the_millisecond() {
    for end in ENDS_INTO_GRACE {
        let mut story = Story::new();
        let one = story.connect(0);
        story.end(100, one, end);
        assert_eq!(story.sessions(), 0, "a grace is no session");
        assert_eq!(story.recompute(100 + GRACE - 1), None);
        assert_eq!(story.user.next_deadline(), Some(Mono::from_millis(100 + GRACE)));
        assert_eq!(story.recompute(100 + GRACE).unwrap().to, Status::Offline, "{end:?}");
        assert_eq!(story.user.next_deadline(), None);
    }
}

#[test]
fn a_lost_connection_shows_the_times_of_its_last_frame_and_message() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.user.message(at(7_000), one);
    story.user.heard(at(25_000), one);
    story.end(60_000, one, EndReason::Lost);
    story.recompute(60_000 + GRACE);
    assert_eq!(
        (story.status(), story.times()),
        (Status::Offline, (wall(25_000), wall(7_000)))
    );
}

#[test]
fn a_lost_connection_shows_its_last_reported_activity() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.activity(2_000, one);
    story.user.heard(at(25_000), one);
    story.end(60_000, one, EndReason::Lost);
    story.recompute(60_000 + GRACE);
    assert_eq!(story.times(), (wall(25_000), wall(2_000)));
}

#[test]
fn an_end_by_server_or_operator_is_no_activity() {
    for end in [EndReason::Dropped, EndReason::Kicked] {
        let mut story = Story::new();
        let one = story.connect(0);
        story.user.heard(at(25_000), one);
        story.end(30_000, one, end);
        story.recompute(30_000 + GRACE);
        assert_eq!(
            (story.status(), story.times()),
            (Status::Offline, (wall(25_000), None)),
            "{end:?}"
        );
    }
}

#[test]
fn a_late_close_of_an_old_connection_ends_only_that_one() {
    let mut story = Story::new();
    let old = story.connect(0);
    story.connect(10);
    assert_eq!(story.end(20, old, EndReason::Lost), None);
    for (millis, end) in [(30, EndReason::Closed), (40, EndReason::Left), (50, EndReason::Kicked)] {
        assert_eq!(story.end(millis, old, end), None, "once more, and too late");
    }
    assert_eq!((story.status(), story.sessions()), (Status::Online, 1));
    assert_eq!(story.times().0, wall(10), "it is no frame of the user");
}

#[test]
fn a_grace_period_ends_at_the_latest_deadline_of_its_sessions() {
    let mut story = Story::new();
    let ids = [story.connect(0), story.connect(0), story.connect(0)];
    story.end(1_000, ids[0], EndReason::Lost);
    story.end(3_000, ids[1], EndReason::Left);
    assert_eq!(story.end(4_000, ids[2], EndReason::Closed), None, "still in grace");
    assert_eq!(story.recompute(1_000 + GRACE), None);
    assert_eq!(story.recompute(3_000 + GRACE).unwrap().to, Status::Offline);
}

#[test]
fn a_grace_period_joins_the_activity_of_all_lost_sessions() {
    for order in [[0, 1], [1, 0]] {
        let mut story = Story::new();
        let ids = [story.connect(0), story.connect(0)];
        story.activity(10, ids[0]);
        story.away(20, ids[1]);
        for (millis, which) in [(30, order[0]), (40, order[1])] {
            story.end(millis, ids[which], EndReason::Lost);
        }
        assert_eq!(story.status(), Status::Online, "one of them was active");
        let grace = story.user.sessions.grace().unwrap();
        assert_eq!(grace.until, Mono::from_millis(40 + GRACE));
    }
}

#[test]
fn a_shorter_grace_period_does_not_shorten_a_longer_one() {
    let mut story = Story::new();
    let ids = [story.connect(0), story.connect(0)];
    story
        .user
        .sessions
        .handle_end(at(0), ids[0], EndReason::Dropped, Duration::from_secs(30));
    story.end(10, ids[1], EndReason::Lost);
    assert_eq!(story.recompute(29_999), None);
    assert_eq!(story.recompute(30_000).unwrap().to, Status::Offline);
}

#[test]
fn without_a_grace_period_a_lost_user_is_offline_at_once() {
    let mut story = Story::new();
    story.user.timers.grace = Duration::ZERO;
    let one = story.connect(0);
    assert_eq!(story.end(10, one, EndReason::Lost).unwrap().to, Status::Offline);

    // Nor does it join a grace period that was left from before.
    let timers = story.user.timers;
    story
        .user
        .sessions
        .handle_restore(at(20).mono.after(timers.restart_grace), Activity::Idle, 1);
    let other = story.connect(20);
    story.activity(20, other);
    story.end(30, other, EndReason::Lost);
    assert_eq!(story.status(), Status::Idle);
}

#[test]
fn leaving_a_page_is_activity_of_the_user() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.end(7_000, one, EndReason::Left);
    story.recompute(7_000 + GRACE);
    assert_eq!(
        (story.status(), story.times()),
        (Status::Offline, (wall(7_000), wall(7_000)))
    );
}

#[test]
fn a_kick_ends_connections_reports_and_grace_period() {
    let mut story = Story::new();
    let lost = story.connect(0);
    story.connect(0);
    story.report(0, Status::Online, None);
    story.end(10, lost, EndReason::Lost);
    assert_eq!(story.user.kick(), 2);
    assert_eq!(story.recompute(20).unwrap().to, Status::Offline);
    assert_eq!(story.user.kick(), 0);
}

#[test]
fn a_session_after_an_idle_grace_period_begins_idle() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.away(10, one);
    assert_eq!(story.status(), Status::Idle);
    story.end(20, one, EndReason::Left);
    story.connect(30);
    assert_eq!(story.recompute(20 + GRACE), None, "idle before, in and after the grace");
    assert_eq!(story.recompute(30 + GRACE - 1), None);
    assert_eq!(story.user.next_deadline(), Some(Mono::from_millis(30 + GRACE)));
    let published = story.recompute(30 + GRACE).unwrap();
    assert_eq!(published.to, Status::Online, "one that never reports is not held idle");
    assert_eq!(story.user.next_deadline(), None);
}

#[test]
fn a_session_after_an_overdue_grace_period_begins_unknown() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.away(10, one);
    story.end(20, one, EndReason::Left);
    story.user.connect(at(20 + GRACE));
    assert_eq!(story.recompute(20 + GRACE).unwrap().to, Status::Online);
}

#[test]
fn a_connection_is_idle_to_the_millisecond_after_idle_after() {
    let mut story = Story::new();
    let one = story.connect(0);
    assert_eq!(story.user.next_deadline(), None, "who never reports is never idle");
    story.activity(1_000, one);
    story.activity(31_000, one);
    assert_eq!(story.recompute(31_000 + IDLE_AFTER - 1), None);
    let published = story.recompute(31_000 + IDLE_AFTER).unwrap();
    assert_eq!((published.to, published.reason.as_str()), (Status::Idle, "inactive"));
    assert_eq!(story.times().1, wall(31_000), "growing idle is no activity");
}

#[test]
fn one_active_device_is_enough_and_unknown_ones_do_not_count() {
    let mut story = Story::new();
    let (one, other) = (story.connect(0), story.connect(0));
    story.connect(0);
    assert_eq!(
        story.away(10, one).unwrap().to,
        Status::Idle,
        "the others never reported activity"
    );
    assert_eq!(story.activity(20, other).unwrap().to, Status::Online);
    assert_eq!(story.end(30, other, EndReason::Closed).unwrap().to, Status::Idle);
    assert_eq!(story.end(40, one, EndReason::Closed).unwrap().to, Status::Online);
}

#[test]
fn a_jump_of_the_wall_clock_ends_no_session() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.activity(0, one);
    let mut leapt = at(10);
    leapt.wall = leapt.wall.after(Duration::from_secs(86_400 * 365));
    assert_eq!(story.user.recompute(leapt, &mut story.clock), None);
}
