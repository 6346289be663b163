//! Reports of activity that say how long ago it was, as a client makes them after a reconnect.

use std::time::Duration;

use presence::{EndReason, Status};

use crate::story::{GRACE, IDLE_AFTER, Story, at, wall};

const CONNECTED: u64 = 1_000_000;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn past_activity_counts_from_when_it_was() {
    let mut story = Story::new();
    let one = story.connect(CONNECTED);
    story.user.past_activity(at(CONNECTED), one, millis(100_000));
    assert_eq!(story.recompute(CONNECTED), None);
    assert_eq!(story.times(), (wall(CONNECTED), wall(CONNECTED - 100_000)));
    let due = CONNECTED - 100_000 + IDLE_AFTER;
    assert_eq!(story.recompute(due - 1), None);
    assert_eq!(story.recompute(due).unwrap().to, Status::Idle);
    assert_eq!(story.times().1, wall(CONNECTED - 100_000));
}

#[test]
fn activity_that_is_too_long_ago_is_idle_at_once() {
    for ago in [millis(IDLE_AFTER), millis(IDLE_AFTER + 1), Duration::MAX] {
        let mut story = Story::new();
        let one = story.connect(CONNECTED);
        story.user.past_activity(at(CONNECTED), one, ago);
        assert_eq!(story.recompute(CONNECTED).unwrap().to, Status::Idle, "{ago:?}");
        assert_eq!(story.user.next_deadline(), None, "{ago:?}");
    }
}

#[test]
fn a_user_that_went_away_was_active_when_the_client_says() {
    let mut story = Story::new();
    let one = story.connect(CONNECTED);
    story.user.away_since(at(CONNECTED), one, Some(millis(40_000)));
    assert_eq!(story.recompute(CONNECTED).unwrap().to, Status::Idle);
    assert_eq!(story.times(), (wall(CONNECTED), wall(CONNECTED - 40_000)));
    // Again, with a later one.
    story.user.away_since(at(CONNECTED + 5_000), one, Some(millis(10_000)));
    assert_eq!(story.recompute(CONNECTED + 5_000), None);
    assert_eq!(story.times().1, wall(CONNECTED - 5_000));
}

#[test]
fn past_activity_never_moves_last_active_back() {
    let mut story = Story::new();
    let one = story.connect(CONNECTED);
    story.activity(CONNECTED + 50_000, one);
    for later in [60_000, 70_000] {
        story.user.past_activity(at(CONNECTED + later), one, millis(200_000));
        assert_eq!(story.recompute(CONNECTED + later), None);
        assert_eq!(story.times().1, wall(CONNECTED + 50_000));
    }
    let due = CONNECTED + 50_000 + IDLE_AFTER;
    assert_eq!(story.recompute(due - 1), None, "nor when it is idle");
    story.user.away_since(at(due - 1), one, Some(millis(IDLE_AFTER)));
    assert_eq!(story.recompute(due - 1).unwrap().to, Status::Idle);
    assert_eq!(story.times().1, wall(CONNECTED + 50_000));
}

#[test]
fn an_idle_user_who_reconnects_with_past_activity_stays_idle() {
    let mut story = Story::new();
    let one = story.connect(CONNECTED);
    story.activity(CONNECTED, one);
    let lost = CONNECTED + IDLE_AFTER + 1_000;
    assert_eq!(story.recompute(lost).unwrap().to, Status::Idle);
    story.end(lost, one, EndReason::Lost);
    let back = lost + GRACE - 1;
    let other = story.connect(back);
    story.user.past_activity(at(back), other, millis(back - CONNECTED));
    assert_eq!(story.recompute(back), None);
    assert_eq!(story.recompute(back + GRACE), None);
    assert_eq!((story.status(), story.times().1), (Status::Idle, wall(CONNECTED)));
}
