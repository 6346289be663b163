//! Sessions that continue lost ones: places in the grace period, and what a new session counts as until it reports activity.

use std::time::Duration;

use presence::{Activity, EndReason, Mono, Predecessor, SessionId, Sessions, Status};

use crate::story::{GRACE, Story, TIMERS, at, wall};

/// A session of an earlier run.
fn earlier(session: u64) -> Predecessor {
    Predecessor::Earlier {
        run: 7,
        session: SessionId(session),
    }
}

const FOR: Duration = Duration::from_millis(GRACE);

/// Two connections of this run, and so many sessions of an earlier one in grace.
fn after_restart(places: u32) -> Sessions {
    let mut sessions = Sessions::default();
    sessions.handle_restore(Mono::from_millis(30_000), Activity::Unknown, places);
    sessions.handle_connect(at(0), SessionId(1), FOR);
    sessions.handle_connect(at(0), SessionId(2), FOR);
    sessions
}

#[test]
fn signing_out_after_a_resumed_loss_is_offline_at_once() {
    let mut story = Story::new();
    let lost = story.connect(0);
    story.end(1_000, lost, EndReason::Lost);
    let back = story.connect(2_000);
    assert!(story.resume(2_000, back, lost));
    assert_eq!(story.user.sessions.grace(), None);
    assert_eq!(story.end(3_000, back, EndReason::Closed).unwrap().to, Status::Offline);
}

#[test]
fn a_resumed_session_that_is_found_lost_later_leaves_no_grace_period() {
    let mut story = Story::new();
    let half_open = story.connect(0);
    let back = story.connect(2_000);
    assert!(story.resume(2_000, back, half_open));
    story.end(3_000, half_open, EndReason::Lost);
    assert_eq!(story.end(3_001, back, EndReason::Closed).unwrap().to, Status::Offline);
}

#[test]
fn a_place_that_is_not_continued_keeps_the_user_present() {
    let mut story = Story::new();
    let (desktop, phone) = (story.connect(0), story.connect(0));
    story.end(1_000, desktop, EndReason::Lost);
    story.end(1_500, phone, EndReason::Lost);
    let back = story.connect(2_000);
    assert!(story.resume(2_000, back, phone));
    assert_eq!(story.end(2_500, back, EndReason::Closed), None);
    assert_eq!(story.recompute(1_500 + GRACE).unwrap().to, Status::Offline);
}

#[test]
fn a_session_is_continued_once() {
    for is_lost in [true, false] {
        let mut story = Story::new();
        let (one, _other) = (story.connect(0), story.connect(0));
        if is_lost {
            story.end(1_000, one, EndReason::Lost);
        }
        let (first, second) = (story.connect(1_100), story.connect(1_200));
        assert!(story.resume(1_100, first, one), "lost: {is_lost}");
        assert!(!story.resume(1_200, second, one), "lost: {is_lost}");
        assert!(!story.resume(1_300, first, one), "lost: {is_lost}");
    }
}

#[test]
fn only_sessions_that_have_or_will_have_a_place_are_continued() {
    let mut story = Story::new();
    let (lost, closed, own) = (story.connect(0), story.connect(0), story.connect(0));
    story.end(500, closed, EndReason::Closed);
    story.end(1_000, lost, EndReason::Lost);
    for of in [closed, own, SessionId(99)] {
        assert!(!story.resume(1_100, own, of), "{of:?}");
    }
    assert_eq!(story.user.sessions.grace().map(presence::GracePeriod::places), Some(1));
    assert!(!story.resume(1_100, closed, lost), "by a session that has ended");
    assert!(!story.resume(1_000 + GRACE, own, lost), "after its end");
    // Its own loss leaves a place all the same.
    story.end(20_000, own, EndReason::Lost);
    assert_eq!(story.recompute(20_000 + GRACE).unwrap().to, Status::Offline);
}

#[test]
fn a_loss_without_a_grace_period_is_continued_by_none() {
    let mut story = Story::new();
    story.user.timers.grace = Duration::ZERO;
    let (lost, other) = (story.connect(0), story.connect(0));
    story.end(1_000, lost, EndReason::Lost);
    assert!(!story.resume(1_000, other, lost));
}

#[test]
fn an_active_session_that_is_resumed_causes_no_event() {
    let mut story = Story::new();
    let (desktop, phone) = (story.connect(0), story.connect(0));
    story.away(100, desktop);
    story.activity(100, phone);
    story.end(1_000, phone, EndReason::Lost);
    story.user.connect(at(2_000));
    let back = SessionId(2);
    assert!(story.user.resume(at(2_000), back, phone));
    assert_eq!(story.recompute(2_000), None, "the desktop alone is idle");
    assert_eq!(story.recompute(2_000 + GRACE - 1), None);
    assert_eq!(
        story.recompute(2_000 + GRACE).unwrap().to,
        Status::Idle,
        "it has reported nothing"
    );
}

#[test]
fn a_first_report_ends_what_was_inherited() {
    let mut story = Story::new();
    let phone = story.connect(0);
    story.activity(100, phone);
    story.end(1_000, phone, EndReason::Lost);
    let back = story.connect(2_000);
    story.resume(2_000, back, phone);
    assert_eq!(story.away(2_001, back).unwrap().to, Status::Idle);

    let mut story = Story::new();
    let phone = story.connect(0);
    story.away(100, phone);
    story.end(1_000, phone, EndReason::Lost);
    let back = story.connect(2_000);
    story.resume(2_000, back, phone);
    assert_eq!(story.status(), Status::Idle);
    assert_eq!(story.activity(2_001, back).unwrap().to, Status::Online);
    assert_eq!(story.recompute(2_000 + GRACE), None);
}

#[test]
fn sessions_of_an_earlier_run_take_the_places_that_were_stored() {
    let mut sessions = after_restart(2);
    assert!(sessions.handle_resume(at(0), SessionId(1), earlier(5), FOR));
    assert!(!sessions.handle_resume(at(0), SessionId(2), earlier(5), FOR), "twice");
    assert!(sessions.grace().is_some());
    assert!(sessions.handle_resume(at(0), SessionId(2), earlier(6), FOR));
    assert!(sessions.grace().is_none());
    assert!(
        !sessions.handle_resume(at(0), SessionId(2), earlier(7), FOR),
        "more than were stored"
    );
}

#[test]
fn a_session_of_an_earlier_run_takes_no_place_of_this_one() {
    let mut sessions = after_restart(1);
    sessions.handle_end(at(10), SessionId(2), EndReason::Lost, FOR);
    assert!(sessions.handle_resume(at(20), SessionId(1), earlier(2), FOR));
    assert_eq!(sessions.grace().map(presence::GracePeriod::places), Some(1));
    assert!(!sessions.handle_resume(at(20), SessionId(1), earlier(3), FOR));
    assert!(sessions.handle_resume(at(20), SessionId(1), Predecessor::Here(SessionId(2)), FOR));
    assert!(sessions.grace().is_none());
}

#[test]
fn places_are_those_that_a_crash_would_lose() {
    let mut sessions = after_restart(3);
    assert_eq!(sessions.places(), 5);
    sessions.handle_resume(at(0), SessionId(1), Predecessor::Here(SessionId(2)), FOR);
    assert_eq!(sessions.places(), 4, "it is not counted twice");
    sessions.handle_end(at(10), SessionId(1), EndReason::Lost, FOR);
    assert_eq!(sessions.places(), 4);
    sessions.handle_end(at(10), SessionId(2), EndReason::Closed, FOR);
    assert_eq!(sessions.places(), 4);
    let mut alone = after_restart(0);
    alone.handle_resume(at(0), SessionId(1), Predecessor::Here(SessionId(2)), FOR);
    alone.handle_end(at(10), SessionId(1), EndReason::Closed, FOR);
    assert_eq!(alone.places(), 1, "it may be alive");
    sessions.handle_kick();
    assert_eq!(sessions.places(), 0);
    sessions.handle_restore(Mono::from_millis(30_000), Activity::Idle, 0);
    assert!(sessions.grace().is_none(), "without places there is none");
}

#[test]
fn a_grace_period_names_so_many_sessions_and_counts_the_rest() {
    let mut sessions = Sessions::default();
    for id in 0..100 {
        sessions.handle_connect(at(id), SessionId(id), FOR);
        sessions.handle_end(at(id), SessionId(id), EndReason::Lost, FOR);
    }
    sessions.handle_connect(at(100), SessionId(100), FOR);
    assert_eq!(sessions.places(), 101);
    let mut resume = |id| sessions.handle_resume(at(100), SessionId(100), Predecessor::Here(SessionId(id)), FOR);
    assert!(!resume(35), "only counted");
    assert!(resume(36) && resume(99));
    assert_eq!(sessions.places(), 99);
    assert!(
        !sessions.handle_resume(at(100), SessionId(100), earlier(5), FOR),
        "none of an earlier run is in grace"
    );
    assert_eq!(sessions.places(), 99);
}

#[test]
fn places_of_an_earlier_run_are_apart_from_those_that_are_only_counted() {
    let mut sessions = after_restart(1);
    for id in 3..103 {
        sessions.handle_connect(at(id), SessionId(id), FOR);
        sessions.handle_end(at(id), SessionId(id), EndReason::Lost, FOR);
    }
    assert!(sessions.handle_resume(at(103), SessionId(1), earlier(5), FOR));
    assert!(!sessions.handle_resume(at(103), SessionId(2), earlier(6), FOR));
    assert_eq!(sessions.grace().map(presence::GracePeriod::places), Some(100));
}

#[test]
fn a_session_that_continues_none_after_all_counts_as_nothing_by_that() {
    let mut story = Story::new();
    let (tablet, phone) = (story.connect(0), story.connect(0));
    story.away(100, tablet);
    story.activity(100, phone);
    story.end(1_000, phone, EndReason::Lost);
    let back = story.connect(2_000);
    assert!(story.resume(2_000, back, phone));
    assert_eq!(story.recompute(2_000), None);
    story.user.sessions.handle_not_continued(back);
    assert_eq!(story.recompute(2_001).unwrap().to, Status::Idle);
    story.activity(2_002, back);
    story.user.sessions.handle_not_continued(back);
    assert_eq!(story.status(), Status::Online, "what it reported stays");
}

#[test]
fn a_session_is_idle_beside_graces_here_and_elsewhere_that_all_are() {
    use Activity::{Active, Idle, Unknown};
    for (here, elsewhere, counts_as) in [
        (Some(Idle), Idle, Idle),
        (Some(Unknown), Idle, Idle),
        (Some(Idle), Unknown, Idle),
        (None, Idle, Idle),
        (Some(Active), Idle, Unknown),
        (Some(Idle), Active, Unknown),
        (None, Active, Unknown),
        (None, Unknown, Unknown),
    ] {
        let mut sessions = Sessions::default();
        let until = Mono::from_millis(30_000);
        sessions.handle_restore(until, here.unwrap_or_default(), here.map_or(0, |_| 1));
        sessions.handle_connect_beside(at(0), SessionId(1), elsewhere, FOR);
        assert_eq!(
            sessions.contribution().open_activity,
            counts_as,
            "{here:?} beside {elsewhere:?}"
        );
        sessions.on_deadline(at(GRACE).mono);
        assert_eq!(sessions.contribution().open_activity, Unknown);
    }
}

#[test]
fn a_program_that_closes_to_reconnect_is_not_the_user() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.activity(100, one);
    story.away(200, one);
    story.user.heard(at(50_000), one);
    story.end(50_000, one, EndReason::Lost);
    assert_eq!(story.times(), (wall(50_000), wall(100)));
}

#[test]
fn a_refused_session_gives_the_place_back_that_it_took() {
    let (lost, back, next) = (SessionId(1), SessionId(2), SessionId(3));
    for (reported, is_idle) in [
        (Activity::Active, false),
        (Activity::Idle, true),
        (Activity::Unknown, false),
    ] {
        let mut sessions = Sessions::default();
        sessions.handle_connect(at(0), lost, FOR);
        match reported {
            Activity::Active => sessions.handle_activity(at(1), lost, Duration::ZERO, &TIMERS),
            Activity::Idle => sessions.handle_away(at(1), lost, None),
            Activity::Unknown => {}
        }
        sessions.handle_end(at(1_000), lost, EndReason::Lost, FOR);
        sessions.handle_connect(at(2_000), back, FOR);
        assert!(sessions.handle_resume(at(2_000), back, Predecessor::Here(lost), FOR));
        assert_eq!(sessions.grace(), None);
        sessions.handle_place_back(at(2_100), back, lost, Mono::from_millis(1_000 + GRACE));
        sessions.handle_end(at(2_100), back, EndReason::Kicked, FOR);
        let grace = sessions.grace().expect("a place");
        assert_eq!((grace.activity == Activity::Idle, grace.places()), (is_idle, 1));
        assert_eq!(grace.until, Mono::from_millis(1_000 + GRACE), "as before");
        sessions.handle_connect(at(3_000), next, FOR);
        assert!(
            sessions.handle_resume(at(3_000), next, Predecessor::Here(lost), FOR),
            "it may come back"
        );
        assert_eq!(sessions.contribution().activity(), reported, "as what was lost");
    }
}

#[test]
fn a_session_gives_back_the_place_of_one_that_is_not_found_lost() {
    let (half_open, back) = (SessionId(1), SessionId(2));
    let mut sessions = Sessions::default();
    sessions.handle_connect(at(0), half_open, FOR);
    sessions.handle_connect(at(1_000), back, FOR);
    assert!(sessions.handle_resume(at(1_000), back, Predecessor::Here(half_open), FOR));
    sessions.handle_place_back(at(1_100), back, half_open, Mono::from_millis(1_100 + GRACE));
    assert_eq!(sessions.grace(), None);
    sessions.handle_end(at(1_100), back, EndReason::Kicked, FOR);
    sessions.handle_end(at(2_000), half_open, EndReason::Lost, FOR);
    assert_eq!(sessions.grace().map(presence::GracePeriod::places), Some(1));
}

#[test]
fn a_place_whose_time_is_over_is_not_given_back() {
    let (lost, back) = (SessionId(1), SessionId(2));
    let mut sessions = Sessions::default();
    sessions.handle_connect(at(0), lost, FOR);
    sessions.handle_end(at(1_000), lost, EndReason::Lost, FOR);
    sessions.handle_connect(at(2_000), back, FOR);
    assert!(sessions.handle_resume(at(2_000), back, Predecessor::Here(lost), FOR));
    let until = 1_000 + GRACE;
    sessions.handle_place_back(at(until), back, lost, Mono::from_millis(until));
    assert_eq!(sessions.grace(), None);
}

#[test]
fn a_session_has_a_place_until_the_grace_period_is_over() {
    let (lost, open) = (SessionId(1), SessionId(2));
    let mut sessions = Sessions::default();
    assert_eq!(sessions.place_until(lost), None);
    sessions.handle_connect(at(0), lost, FOR);
    sessions.handle_connect(at(0), open, FOR);
    sessions.handle_end(at(1_000), lost, EndReason::Lost, FOR);
    assert_eq!(sessions.place_until(lost), Some(Mono::from_millis(1_000 + GRACE)));
    assert_eq!(sessions.place_until(open), None, "not found lost");
}
