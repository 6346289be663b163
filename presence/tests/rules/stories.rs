//! The sentences of sections 3.1 to 3.4 as short stories, each with the moments at which something is due.

use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{Audience, By, CustomStatus, End, Mono, Now, Published, RevisionClock, SessionId, Status, Timers, Wall};

use crate::person::{Person, report_input};

const ENDS_INTO_GRACE: [End; 3] = [End::Left, End::Lost, End::Dropped];
const GRACE: u64 = 5_000;
const IDLE_AFTER: u64 = 300_000;

fn wall(millis: u64) -> Option<Wall> {
    Some(Wall::from_millis(1_700_000_000_000 + i64::try_from(millis).unwrap()))
}

fn at(millis: u64) -> Now {
    Now {
        mono: Mono::from_millis(millis),
        wall: wall(millis).unwrap(),
    }
}

/// A user in a story; every call says at which millisecond it happens, and counts the events that follow.
struct Story {
    user: Person,
    clock: RevisionClock,
}

impl Story {
    fn new() -> Self {
        let timers = Timers {
            grace: Duration::from_millis(GRACE),
            restart_grace: Duration::from_secs(30),
            idle_after: Duration::from_millis(IDLE_AFTER),
        };
        Self {
            user: Person::new("ann", timers),
            clock: RevisionClock::new(0),
        }
    }

    fn settle(&mut self, millis: u64) -> Option<Published> {
        self.user.settle(at(millis), &mut self.clock)
    }

    fn connect(&mut self, millis: u64) -> SessionId {
        let id = self.user.connect(at(millis));
        self.settle(millis);
        id
    }

    fn activity(&mut self, millis: u64, id: SessionId) -> Option<Published> {
        self.user.activity(at(millis), id);
        self.settle(millis)
    }

    fn away(&mut self, millis: u64, id: SessionId) -> Option<Published> {
        self.user.away(at(millis), id);
        self.settle(millis)
    }

    fn end(&mut self, millis: u64, id: SessionId, end: End) -> Option<Published> {
        self.user.end(at(millis), id, end);
        self.settle(millis)
    }

    fn choose(&mut self, millis: u64, custom: CustomStatus, by: By) -> Option<Published> {
        self.user.choose(at(millis), custom, by);
        self.settle(millis)
    }

    fn report(&mut self, millis: u64, status: Status, ttl_millis: Option<u64>) -> Option<Published> {
        self.user
            .report(at(millis), &report_input(0, status, ttl_millis, false));
        self.settle(millis)
    }

    fn status(&self) -> Status {
        self.user.status()
    }

    fn times(&self) -> (Option<Wall>, Option<Wall>) {
        let record = self.user.record(Viewer::Public);
        (record.last_seen, record.last_active)
    }

    fn sessions(&self) -> u32 {
        self.user.record(Viewer::Internal).sessions.unwrap()
    }
}

#[test]
fn a_second_session_keeps_the_user_present() {
    let mut story = Story::new();
    let (one, other) = (story.connect(0), story.connect(1));
    assert_eq!(story.end(10, one, End::Closed), None);
    assert_eq!(story.status(), Status::Online);
    let told = story.end(20, other, End::Closed).unwrap();
    assert_eq!(
        (told.from, told.to, told.audience),
        (Status::Online, Status::Offline, Audience::Everyone)
    );
}

#[test]
fn a_clean_close_is_offline_at_once_with_the_time_of_the_close() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.end(1_234, one, End::Closed);
    assert_eq!(story.status(), Status::Offline);
    assert_eq!(story.times(), (wall(1_234), wall(1_234)));
    assert_eq!(story.user.record(Viewer::Public).since, wall(1_234));
}

#[test]
fn a_reload_within_the_grace_is_no_event_at_all() {
    for end in ENDS_INTO_GRACE {
        let mut story = Story::new();
        let mut id = story.connect(0);
        for round in 1..=10 {
            assert_eq!(story.end(round * 10_000, id, end), None, "{end:?}");
            id = SessionId(round);
            assert_eq!(story.user.connect(at(round * 10_000 + GRACE - 1)), id);
            assert_eq!(story.settle(round * 10_000 + GRACE - 1), None, "{end:?}");
            assert_eq!(
                story.settle(round * 10_000 + GRACE),
                None,
                "the end of the grace: {end:?}"
            );
        }
    }
}

#[test]
fn the_grace_lasts_to_the_millisecond() {
    for end in ENDS_INTO_GRACE {
        let mut story = Story::new();
        let one = story.connect(0);
        story.end(100, one, end);
        assert_eq!(story.sessions(), 0, "a grace is no session");
        assert_eq!(story.settle(100 + GRACE - 1), None);
        assert_eq!(story.user.next_deadline(), Some(Mono::from_millis(100 + GRACE)));
        assert_eq!(story.settle(100 + GRACE).unwrap().to, Status::Offline, "{end:?}");
        assert_eq!(story.user.next_deadline(), None);
    }
}

#[test]
fn a_lost_connection_shows_the_time_it_was_last_heard_not_the_time_it_was_missed() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.user.heard(at(25_000), one);
    story.end(60_000, one, End::Lost);
    story.settle(60_000 + GRACE);
    assert_eq!(
        (story.status(), story.times()),
        (Status::Offline, (wall(25_000), wall(25_000)))
    );
}

#[test]
fn a_lost_connection_that_reported_activity_shows_the_time_of_that() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.activity(2_000, one);
    story.user.heard(at(25_000), one);
    story.end(60_000, one, End::Lost);
    story.settle(60_000 + GRACE);
    assert_eq!(story.times(), (wall(25_000), wall(2_000)));
}

#[test]
fn what_the_server_or_the_operator_ends_is_nobodys_activity() {
    for end in [End::Dropped, End::Kicked] {
        let mut story = Story::new();
        let one = story.connect(0);
        story.user.heard(at(25_000), one);
        story.end(30_000, one, end);
        story.settle(30_000 + GRACE);
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
    assert_eq!(story.end(20, old, End::Lost), None);
    for (millis, end) in [(30, End::Closed), (40, End::Left), (50, End::Kicked)] {
        assert_eq!(story.end(millis, old, end), None, "once more, and too late");
    }
    assert_eq!((story.status(), story.sessions()), (Status::Online, 1));
    assert_eq!(story.times().0, wall(10), "nobody was heard by that");
}

#[test]
fn a_grace_ends_at_the_latest_deadline_and_no_clean_close_ends_it_early() {
    let mut story = Story::new();
    let ids = [story.connect(0), story.connect(0), story.connect(0)];
    story.end(1_000, ids[0], End::Lost);
    story.end(3_000, ids[1], End::Left);
    assert_eq!(story.end(4_000, ids[2], End::Closed), None, "still in grace");
    assert_eq!(story.settle(1_000 + GRACE), None);
    assert_eq!(story.settle(3_000 + GRACE).unwrap().to, Status::Offline);
}

#[test]
fn a_kick_ends_connections_reports_and_grace_now() {
    let mut story = Story::new();
    let lost = story.connect(0);
    story.connect(0);
    story.report(0, Status::Online, None);
    story.end(10, lost, End::Lost);
    assert_eq!(story.user.kick(), 2);
    assert_eq!(story.settle(20).unwrap().to, Status::Offline);
    assert_eq!(story.user.kick(), 0);
}

#[test]
fn what_comes_back_from_an_idle_grace_is_idle_until_its_first_activity() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.away(10, one);
    assert_eq!(story.status(), Status::Idle);
    story.end(20, one, End::Left);
    let back = story.connect(30);
    assert_eq!(story.settle(20 + GRACE), None, "idle before, in and after the grace");
    assert_eq!(story.status(), Status::Idle);
    assert_eq!(story.activity(20_000, back).unwrap().to, Status::Online);
}

#[test]
fn what_comes_back_too_late_starts_anew_even_if_the_timer_is_late_too() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.away(10, one);
    story.end(20, one, End::Left);
    story.user.connect(at(20 + GRACE));
    assert_eq!(story.settle(20 + GRACE).unwrap().to, Status::Online);
}

#[test]
fn idleness_comes_to_the_millisecond_after_the_last_activity() {
    let mut story = Story::new();
    let one = story.connect(0);
    assert_eq!(story.user.next_deadline(), None, "who never reports is never idle");
    story.activity(1_000, one);
    story.activity(31_000, one);
    assert_eq!(story.settle(31_000 + IDLE_AFTER - 1), None);
    let told = story.settle(31_000 + IDLE_AFTER).unwrap();
    assert_eq!((told.to, told.reason.as_str()), (Status::Idle, "inactive"));
    assert_eq!(story.times().1, wall(31_000), "growing idle is no activity");
}

#[test]
fn one_active_device_is_enough_and_silent_ones_abstain() {
    let mut story = Story::new();
    let (one, other) = (story.connect(0), story.connect(0));
    story.connect(0);
    assert_eq!(
        story.away(10, one).unwrap().to,
        Status::Idle,
        "the others never spoke of activity"
    );
    assert_eq!(story.activity(20, other).unwrap().to, Status::Online);
    assert_eq!(story.end(30, other, End::Closed).unwrap().to, Status::Idle);
    assert_eq!(story.end(40, one, End::Closed).unwrap().to, Status::Online);
}

#[test]
fn the_users_own_choice_is_activity_and_an_operators_is_not() {
    for (by, status, active) in [
        (By::User, Status::Online, wall(100)),
        (By::Operator, Status::Idle, None),
    ] {
        let mut story = Story::new();
        let one = story.connect(0);
        story.away(10, one);
        story.choose(100, CustomStatus::Online, by);
        assert_eq!(
            (story.status(), story.times()),
            (status, (wall(100).filter(|_| by == By::User).or(wall(10)), active))
        );
    }
}

#[test]
fn a_choice_wakes_what_took_over_from_an_idle_grace_for_good() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.away(10, one);
    story.end(20, one, End::Left);
    story.connect(30);
    assert_eq!(
        story.choose(40, CustomStatus::Online, By::User).unwrap().to,
        Status::Online
    );
    assert_eq!(story.settle(20 + GRACE), None, "not only for the rest of the grace");
    assert_eq!(story.settle(40 + IDLE_AFTER).unwrap().to, Status::Idle);
}

#[test]
fn a_choice_made_while_offline_changes_nothing_but_the_revision() {
    let mut story = Story::new();
    let told = story.choose(100, CustomStatus::Idle, By::User).unwrap();
    assert_eq!((told.audience, told.to), (Audience::Inner, Status::Offline));
    let record = story.user.record(Viewer::Public);
    assert_eq!((record.since, record.last_seen, record.last_active), (None, None, None));
    story.connect(200);
    assert_eq!(story.status(), Status::Idle, "shown as chosen at once");
}

#[test]
fn choosing_what_already_holds_tells_nobody_but_is_the_latest_word() {
    let mut story = Story::new();
    story.connect(0);
    assert_eq!(story.choose(10, CustomStatus::Online, By::User), None);
    assert_eq!(
        story.report(20, Status::DoNotDisturb, None).unwrap().to,
        Status::DoNotDisturb
    );
    let told = story.choose(30, CustomStatus::Online, By::User).unwrap();
    assert_eq!(
        (told.audience, told.to),
        (Audience::Everyone, Status::Online),
        "the status changes by that"
    );
    assert_eq!(story.choose(40, CustomStatus::Online, By::User), None);
    assert_eq!(
        story.user.profile.choice().set_at,
        wall(40),
        "the time of the choice moves"
    );
}

#[test]
fn within_one_millisecond_the_latest_word_wins_as_well() {
    let mut story = Story::new();
    for round in 0..3 {
        story.report(50, Status::Idle, None);
        assert_eq!(story.status(), Status::Idle, "round {round}");
        story.choose(50, CustomStatus::Online, By::Operator);
        assert_eq!(story.status(), Status::Online, "round {round}");
    }
}

#[test]
fn a_report_ends_with_its_ttl_with_its_source_and_not_with_a_connection() {
    let mut story = Story::new();
    story.report(0, Status::Online, Some(60_000));
    let one = story.connect(10);
    assert_eq!((story.end(20, one, End::Closed), story.sessions()), (None, 1));
    assert_eq!(story.settle(59_999), None);
    assert_eq!(
        story.settle(60_000).unwrap().to,
        Status::Offline,
        "no grace for reports"
    );
    story.report(70_000, Status::Idle, Some(1_000));
    assert_eq!(
        story.report(70_500, Status::Idle, None),
        None,
        "refreshed, now for ever"
    );
    assert_eq!(story.settle(10_000_000), None);
    assert_eq!(
        story.report(10_000_001, Status::Offline, None).unwrap().to,
        Status::Offline
    );
}

#[test]
fn a_report_moves_last_seen_and_only_if_it_says_so_last_active() {
    let mut story = Story::new();
    story.report(100, Status::Online, None);
    assert_eq!(story.times(), (wall(100), None));
    story
        .user
        .report(at(200), &report_input(0, Status::Offline, None, true));
    story.settle(200);
    assert_eq!(story.times(), (wall(200), wall(200)));
    story.report(300, Status::Offline, None);
    assert_eq!(
        (story.status(), story.times()),
        (Status::Offline, (wall(300), wall(200)))
    );
}

#[test]
fn a_jump_of_the_wall_clock_expires_nobody() {
    let mut story = Story::new();
    let one = story.connect(0);
    story.activity(0, one);
    let mut leapt = at(10);
    leapt.wall = leapt.wall.after(Duration::from_secs(86_400 * 365));
    assert_eq!(story.user.settle(leapt, &mut story.clock), None);
}
