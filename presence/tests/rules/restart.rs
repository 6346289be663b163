//! What comes back from disk after a restart of the daemon, and what is made of it.

use std::time::Duration;

use presence::profile::Stored;
use presence::{
    Activity, Actor, CustomStatus, DurablePart, Mono, Now, Preference, Profile, Report, Revision, RevisionClock,
    SessionId, Sessions, Source, Status, Version, Wall,
};

const NOW: Now = Now {
    mono: Mono::from_millis(0),
    wall: Wall::from_millis(1_000_000),
};

fn wall(millis: i64) -> Wall {
    Wall::from_millis(millis)
}

fn custom_status(custom: CustomStatus, at: i64, by: Actor) -> Preference {
    Preference {
        custom,
        set_at: Some(wall(at)),
        set_by: Some(by),
        version: Version::new(2),
    }
}

fn stored(status: Status, preference: Preference) -> Stored {
    Stored {
        durable: DurablePart {
            version: Version::new(2),
            preference,
            ..DurablePart::default()
        },
        status,
        since: Some(wall(500_000)),
        last_seen: Some(wall(900_000)),
        last_active: Some(wall(800_000)),
        revision: Revision::new(7),
    }
}

fn report(status: CustomStatus) -> Report {
    Report {
        source: Source::default(),
        status,
        since: wall(1),
        heard: wall(1),
        version: Version::new(1),
        said: Version::new(1),
        last_active: None,
        expires: None,
    }
}

/// Restores a user as the daemon does: the profile, and a grace period with the activity that the stored values tell.
fn take_up(stored: Stored) -> (Sessions, Profile) {
    let mut sessions = Sessions::default();
    let until = NOW.mono.after(Duration::from_secs(30));
    sessions.handle_restore(until, stored.activity_in_grace(), 1);
    (sessions, Profile::restore(stored, NOW.wall))
}

fn recompute(sessions: &Sessions, profile: &mut Profile, now: Now) -> bool {
    let mut clock = RevisionClock::new(1_000, Wall::from_millis(0));
    profile.apply_rule(now.wall, &[sessions.contribution()]);
    profile.publish(|before| clock.next(before, now.wall)).is_some()
}

#[test]
fn a_restart_restores_every_status_without_an_event() {
    let cases = [
        (Status::Online, Preference::default()),
        (Status::Idle, Preference::default()),
        (Status::Idle, custom_status(CustomStatus::Idle, 400_000, Actor::User)),
        (
            Status::DoNotDisturb,
            custom_status(CustomStatus::DoNotDisturb, 400_000, Actor::User),
        ),
        (Status::Idle, custom_status(CustomStatus::Online, 400_000, Actor::User)),
        (
            Status::Idle,
            custom_status(CustomStatus::Online, 600_000, Actor::Operator),
        ),
        // Over another connection, that never reports activity: the idle one stayed so.
        (Status::Idle, custom_status(CustomStatus::Online, 800_000, Actor::User)),
    ];
    for (status, preference) in cases {
        let (sessions, mut profile) = take_up(stored(status, preference));
        assert!(
            !recompute(&sessions, &mut profile, NOW),
            "{status} {preference:?} caused an event"
        );
        assert_eq!(profile.decision().status, status);
        assert_eq!(
            (profile.since(), profile.revision()),
            (Some(wall(500_000)), Revision::new(7))
        );
        assert_eq!(
            (profile.last_seen(), profile.last_active()),
            (Some(wall(900_000)), Some(wall(800_000)))
        );
    }
}

#[test]
fn a_user_who_stays_away_is_offline_with_the_stored_times() {
    let (mut sessions, mut profile) = take_up(stored(Status::Online, Preference::default()));
    recompute(&sessions, &mut profile, NOW);
    let over = Now {
        mono: Mono::from_millis(30_000),
        wall: wall(1_030_000),
    };
    assert_eq!(sessions.next_deadline(), Some(over.mono));
    sessions.on_deadline(over.mono);
    assert!(recompute(&sessions, &mut profile, over));
    assert_eq!(profile.decision().status, Status::Offline);
    assert_eq!(
        (profile.last_seen(), profile.last_active()),
        (Some(wall(900_000)), Some(wall(800_000)))
    );
}

#[test]
fn a_user_who_was_idle_stays_idle_while_in_grace() {
    let (mut sessions, mut profile) = take_up(stored(Status::Idle, Preference::default()));
    recompute(&sessions, &mut profile, NOW);
    sessions.handle_connect(NOW, SessionId(1), Duration::from_secs(5));
    assert!(!recompute(&sessions, &mut profile, NOW), "coming back is no event");
    sessions.on_deadline(Mono::from_millis(29_999));
    assert!(!recompute(&sessions, &mut profile, NOW));
    assert_eq!(profile.decision().status, Status::Idle);
    // One that never reports activity is not held idle by what was.
    sessions.on_deadline(Mono::from_millis(30_000));
    assert!(recompute(&sessions, &mut profile, NOW));
    assert_eq!(profile.decision().status, Status::Online);
}

#[test]
fn a_custom_status_stored_before_its_status_is_shown() {
    // It was activity too, which is not on disk yet: last active is from before.
    let preference = custom_status(CustomStatus::Online, 850_000, Actor::User);
    assert_eq!(stored(Status::Idle, preference).activity_in_grace(), Activity::Active);
    let (sessions, mut profile) = take_up(stored(Status::Idle, preference));
    assert!(recompute(&sessions, &mut profile, NOW));
    assert_eq!(profile.decision().status, Status::Online);
}

#[test]
fn a_custom_status_set_while_away_does_not_end_a_later_idleness() {
    // It moved no time; then the user came, and went idle without a word of activity.
    let mut later_idle = stored(Status::Idle, custom_status(CustomStatus::Online, 850_000, Actor::User));
    for since in [850_000, 870_000] {
        later_idle.since = Some(wall(since));
        assert_eq!(later_idle.activity_in_grace(), Activity::Idle, "{since}");
    }
}

#[test]
fn a_restart_holds_no_user_idle_by_a_guess() {
    // A report alone explains the status: the connections may never have reported activity.
    let mut by_report = stored(Status::Idle, Preference::default());
    by_report.durable.reports = [report(CustomStatus::Idle)].into();
    assert_eq!(by_report.activity_in_grace(), Activity::Unknown);
    let by_custom_status = stored(Status::Idle, custom_status(CustomStatus::Idle, 1, Actor::User));
    assert_eq!(by_custom_status.activity_in_grace(), Activity::Unknown);
    assert_eq!(
        stored(Status::DoNotDisturb, Preference::default()).activity_in_grace(),
        Activity::Unknown
    );
    assert_eq!(
        stored(Status::Offline, Preference::default()).activity_in_grace(),
        Activity::Unknown
    );
    // So it does if a custom status was set in between: the report is newer, and the status may be older than both.
    by_report.durable.preference = custom_status(CustomStatus::Online, 600_000, Actor::User);
    by_report.durable.reports[0].said = Version::new(3);
    assert_eq!(by_report.activity_in_grace(), Activity::Unknown);
    // A report older than the custom status explains nothing: then it was a connection.
    let mut older_report = stored(Status::Idle, custom_status(CustomStatus::Online, 400_000, Actor::User));
    older_report.durable.reports = [report(CustomStatus::Idle)].into();
    assert_eq!(older_report.activity_in_grace(), Activity::Idle);
    // With an idle report and yet ONLINE, somebody was active.
    let mut active = stored(Status::Online, Preference::default());
    active.durable.reports = [report(CustomStatus::Idle)].into();
    assert_eq!(active.activity_in_grace(), Activity::Active);
}

#[test]
fn stored_times_from_the_future_are_taken_as_now() {
    let ahead = wall(9_000_000);
    let mut from_ahead = stored(
        Status::Online,
        custom_status(CustomStatus::Online, 9_000_000, Actor::User),
    );
    from_ahead.since = Some(ahead);
    from_ahead.last_seen = Some(ahead);
    from_ahead.last_active = Some(wall(9_500_000));
    from_ahead.durable.reports = [Report {
        since: ahead,
        heard: ahead,
        last_active: Some(ahead),
        version: Version::new(3),
        said: Version::new(3),
        ..report(CustomStatus::Idle)
    }]
    .into();
    let profile = Profile::restore(from_ahead, NOW.wall);
    let now = Some(NOW.wall);
    assert_eq!(
        (profile.since(), profile.last_seen(), profile.last_active()),
        (now, now, now)
    );
    let taken = &profile.reports()[0];
    assert_eq!(
        (Some(taken.since), Some(taken.heard), taken.last_active),
        (now, now, now)
    );
    assert!(
        taken.counts_after(profile.preference()),
        "the version decides, not the times"
    );
}

#[test]
fn a_stored_last_seen_before_last_active_is_raised() {
    let mut odd = stored(Status::Offline, Preference::default());
    odd.last_seen = Some(wall(100));
    let profile = Profile::restore(odd, NOW.wall);
    assert_eq!(
        (profile.last_seen(), profile.last_active()),
        (Some(wall(800_000)), Some(wall(800_000)))
    );
}
