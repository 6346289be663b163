//! What a profile tells of itself: whether anything must be published, its deadlines, and its times, which no late input moves
//! back.

use std::time::Duration;

use presence::profile::Stored;
use presence::{
    Adopted, Audience, Contribution, CustomStatus, Decision, DurablePart, Mono, Now, Preference, Profile, Published,
    Report, ReportInput, Revision, SessionId, Sessions, Setter, Source, Status, Timers, Version, Wall,
};

const TIMERS: Timers = Timers {
    grace: Duration::ZERO,
    restart_grace: Duration::ZERO,
    idle_after: Duration::from_secs(300),
};

fn wall(millis: i64) -> Option<Wall> {
    Some(Wall::from_millis(millis))
}

fn publish(profile: &mut Profile) -> Option<Published> {
    profile.publish(|before| Revision::new(before.get() + 1))
}

#[test]
fn a_change_is_pending_until_it_is_published() {
    let mut profile = Profile::default();
    assert!(!profile.is_publication_pending());
    let connected = Contribution {
        connections: 1,
        ..Contribution::default()
    };
    profile.apply_rule(Wall::from_millis(1), &[connected]);
    assert!(profile.is_publication_pending());
    publish(&mut profile).unwrap();
    assert!(!profile.is_publication_pending());
}

#[test]
fn a_change_for_everyone_is_not_narrowed_by_a_later_one() {
    let mut profile = Profile::default();
    let connected = Contribution {
        connections: 1,
        ..Contribution::default()
    };
    profile.apply_rule(Wall::from_millis(1), &[connected]);
    profile.force_publish();
    assert_eq!(publish(&mut profile).unwrap().audience, Audience::Everyone);
}

#[test]
fn a_forced_publication_is_a_new_revision_for_the_users_own() {
    let mut profile = Profile::default();
    assert_eq!((publish(&mut profile), profile.revision()), (None, Revision::NEVER));
    profile.force_publish();
    let published = publish(&mut profile).unwrap();
    assert_eq!(
        (published.audience, profile.revision()),
        (Audience::Inner, Revision::new(1))
    );
    assert_eq!(publish(&mut profile), None, "once");
}

#[test]
fn the_times_of_a_contribution_move_forward_without_an_event() {
    let mut profile = Profile::default();
    for ((seen, active), expected) in [
        ((20, 10), (20, 10)),
        ((15, 5), (20, 10)),
        ((30, 12), (30, 12)),
        ((31, 40), (40, 40)),
    ] {
        profile.note_times(&Contribution {
            last_seen: wall(seen),
            last_active: wall(active),
            ..Contribution::default()
        });
        assert_eq!(
            (profile.last_seen(), profile.last_active()),
            (wall(expected.0), wall(expected.1)),
            "{seen} {active}"
        );
    }
    assert!(!profile.is_publication_pending());
}

#[test]
fn a_user_was_seen_when_active_at_the_latest() {
    let mut profile = Profile::default();
    let active_later = Contribution {
        last_seen: wall(10),
        last_active: wall(20),
        ..Contribution::default()
    };
    profile.apply_rule(Wall::from_millis(30), &[active_later]);
    assert_eq!((profile.last_seen(), profile.last_active()), (wall(20), wall(20)));
}

#[test]
fn the_next_deadline_is_the_earlier_of_a_reports_and_a_custom_statuss() {
    let (early, late) = (Mono::from_millis(60_000), Mono::from_millis(0).after(TIMERS.idle_after));
    let mut profile = Profile::default();
    assert_eq!(profile.next_deadline(), None);
    let now = Now {
        mono: Mono::from_millis(0),
        wall: Wall::from_millis(1),
    };
    profile.handle_custom_status(now, Setter::Request, &TIMERS);
    assert_eq!(profile.next_deadline(), Some(late));
    let mut durable = stored_with_latest(0).durable;
    durable.version = Version::new(1);
    durable.reports[0].expires = Some(early);
    profile.handle_durable(durable, now.wall);
    assert_eq!(profile.next_deadline(), Some(early));
    profile.on_deadline(early);
    assert_eq!(profile.next_deadline(), Some(late));
    profile.handle_kick();
    assert_eq!((profile.chosen_until(), profile.next_deadline()), (None, None));
}

#[test]
fn a_load_moves_no_time_back_and_leaves_the_status_its_beginning() {
    let mut profile = Profile::fallback(CustomStatus::Online);
    let connected = Contribution {
        connections: 1,
        last_seen: wall(150),
        last_active: wall(150),
        ..Contribution::default()
    };
    profile.apply_rule(Wall::from_millis(150), &[connected]);
    publish(&mut profile).unwrap();
    let times = |profile: &Profile| (profile.since(), profile.last_seen(), profile.last_active());
    profile.handle_load(stored_with_latest(3), Wall::from_millis(1_000));
    assert_eq!(profile.revision(), Revision::new(1), "above what is stored");
    assert_eq!(
        times(&profile),
        (wall(150), wall(150), wall(150)),
        "all are from before"
    );
    profile.handle_load(stored_with_latest(1), Wall::from_millis(1_000));
    assert_eq!(times(&profile), (wall(150), wall(200), wall(150)));
    profile.handle_load(stored_with_latest(2), Wall::from_millis(1_000));
    assert_eq!(times(&profile), (wall(150), wall(200), wall(200)));
}

#[test]
fn times_that_a_node_tells_alone_are_still_to_be_logged() {
    let adopted = |is_logged| Adopted {
        durable: DurablePart::default(),
        decision: Profile::default().decision(),
        since: wall(100),
        last_seen: wall(150),
        last_active: wall(150),
        degraded: false,
        chosen_until: None,
        revision: Revision::new(7),
        is_logged,
    };
    let (mut profile, now) = (Profile::default(), Wall::from_millis(200));
    profile.note_activity(Wall::from_millis(150));
    profile.adopt(adopted(false), now);
    assert!(profile.has_unlogged_times());
    profile.adopt(adopted(true), now);
    assert!(!profile.has_unlogged_times());
    profile.adopt(adopted(false), now);
    assert!(!profile.has_unlogged_times(), "nothing moved here");
}

#[test]
fn a_part_that_the_log_lacks_is_told_with_the_entry_that_has_it() {
    let adopted = |custom, version, revision| Adopted {
        durable: DurablePart {
            preference: Preference {
                custom,
                version: Version::new(version),
                ..Preference::default()
            },
            version: Version::new(version),
            ..DurablePart::default()
        },
        decision: Decision {
            status: Status::Online,
            ..Profile::default().decision()
        },
        since: wall(100),
        last_seen: wall(100),
        last_active: None,
        degraded: false,
        chosen_until: None,
        revision: Revision::new(revision),
        is_logged: true,
    };
    let mut profile = Profile::default();
    let now = Wall::from_millis(200);
    assert!(profile.adopt(adopted(CustomStatus::Online, 1, 7), now).is_some());
    profile.handle_durable(adopted(CustomStatus::Idle, 2, 0).durable, now);
    let unseen = profile.adopt(adopted(CustomStatus::Online, 1, 7), now);
    assert_eq!(unseen, None, "an entry that changes nothing that is seen");
    let told = profile.adopt(adopted(CustomStatus::Idle, 2, 8), now);
    assert_eq!(told.map(|told| told.audience), Some(Audience::Inner));
    assert_eq!(profile.adopt(adopted(CustomStatus::Idle, 2, 8), now), None);
}

#[test]
fn a_degraded_profile_is_told_once_though_the_store_answers_first() {
    let adopted = |degraded, revision| Adopted {
        durable: DurablePart::default(),
        decision: Decision {
            status: Status::Online,
            ..Profile::default().decision()
        },
        since: wall(100),
        last_seen: wall(100),
        last_active: None,
        degraded,
        chosen_until: None,
        revision: Revision::new(revision),
        is_logged: true,
    };
    let mut profile = Profile::default();
    let now = Wall::from_millis(200);
    assert!(profile.adopt(adopted(true, 7), now).is_some());
    profile.handle_load(stored_with_latest(0), now);
    let again = profile.adopt(adopted(true, 7), now);
    assert_eq!(again, None, "the log knows of no answer");
    assert!(profile.is_degraded(), "as every node tells it");
    let told = profile.adopt(adopted(false, 8), now);
    assert_eq!(told.map(|told| told.audience), Some(Audience::Everyone));
}

#[test]
fn the_first_report_to_end_is_the_next_deadline() {
    let mut durable = stored_with_latest(0).durable;
    durable.version = Version::new(2);
    let ends = |source: &str, millis| Report {
        source: source.parse().unwrap(),
        expires: Some(Mono::from_millis(millis)),
        ..durable.reports[0].clone()
    };
    let reports = [ends("a", 20), ends("b", 10), ends("c", 30)];
    durable.reports = reports.into();
    let mut profile = Profile::default();
    profile.handle_durable(durable, Wall::from_millis(1_000));
    for expected in [Some(10), Some(20), Some(30), None].map(|at| at.map(Mono::from_millis)) {
        assert_eq!(
            (profile.report_deadline(), profile.next_deadline()),
            (expected, expected)
        );
        profile.on_deadline(expected.unwrap_or_default());
    }
}

#[test]
fn a_late_activity_of_a_session_moves_no_time_back() {
    let at = |millis| Now {
        mono: Mono::from_millis(0),
        wall: Wall::from_millis(millis),
    };
    let mut sessions = Sessions::default();
    sessions.handle_connect(at(50), SessionId(1), Duration::ZERO);
    for millis in [200, 100] {
        sessions.handle_activity(at(millis), SessionId(1), Duration::ZERO, &TIMERS);
        let contribution = sessions.contribution();
        assert_eq!(
            (contribution.last_seen, contribution.last_active),
            (wall(200), wall(200))
        );
    }
}

#[test]
fn a_late_input_moves_no_time_back() {
    let input = ReportInput {
        source: Source::default(),
        status: Status::Idle,
        ttl: None,
        update_last_active: true,
    };
    let moves: [fn(&mut Profile, Now, &ReportInput); 3] = [
        |profile, at, input| profile.note_report(at.wall, input),
        |profile, at, _| profile.note_activity(at.wall),
        |profile, at, _| profile.handle_custom_status(at, Setter::Request, &TIMERS),
    ];
    for move_times in moves {
        let mut profile = Profile::default();
        for millis in [200, 100] {
            let at = Now {
                mono: Mono::from_millis(millis),
                wall: Wall::from_millis(i64::try_from(millis).unwrap()),
            };
            move_times(&mut profile, at, &input);
            assert_eq!((profile.last_seen(), profile.last_active()), (wall(200), wall(200)));
            let until = Mono::from_millis(200).after(TIMERS.idle_after);
            assert!(profile.chosen_until().is_none_or(|chosen| chosen == until));
        }
    }
}

/// What is stored of a user, with a different time in each place: the latest one in this place of seven.
fn stored_with_latest(place: i64) -> Stored {
    let at = |which: i64| Wall::from_millis(if which == place { 200 } else { 100 + which });
    let mut stored = Stored {
        since: Some(at(0)),
        last_seen: Some(at(1)),
        last_active: Some(at(2)),
        ..Stored::default()
    };
    stored.durable.preference.set_at = Some(at(3));
    stored.durable.reports = [Report {
        source: Source::default(),
        status: CustomStatus::Idle,
        since: at(4),
        heard: at(5),
        version: Version::new(1),
        said: Version::new(1),
        last_active: Some(at(6)),
        expires: None,
    }]
    .into();
    stored
}

#[test]
fn the_latest_stored_time_is_any_of_those_stored() {
    assert_eq!(Stored::default().latest_time(), None);
    for place in 0..7 {
        assert_eq!(stored_with_latest(place).latest_time(), wall(200), "{place}");
    }
}

#[test]
fn the_latest_time_of_a_profile_is_any_of_those_it_tells() {
    assert_eq!(Profile::default().latest_time(), None);
    for place in 0..4 {
        let profile = Profile::restore(stored_with_latest(place), Wall::from_millis(1_000));
        assert_eq!(profile.latest_time(), wall(200), "{place}");
    }
}
