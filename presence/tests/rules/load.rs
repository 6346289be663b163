//! A profile made without the store's answer, and what happens when the answer comes.

use std::time::Duration;

use presence::profile::Stored;
use presence::wire::record::Viewer;
use presence::{
    Actor, Audience, CustomStatus, DurablePart, Freshness, Mono, Now, Preference, Profile, Published, Report,
    ReportInput, Revision, RevisionClock, SessionId, Sessions, Source, Status, UserId, Version, Wall,
};

fn at(millis: u64) -> Now {
    Now {
        mono: Mono::from_millis(millis),
        wall: wall(1_000_000 + i64::try_from(millis).unwrap()),
    }
}

fn wall(millis: i64) -> Wall {
    Wall::from_millis(millis)
}

/// The durable part after a custom status was set by the write of this version, with these reports.
fn durable(custom: CustomStatus, version: u64, reports: &[Report]) -> DurablePart {
    let newest = reports.iter().map(|report| report.version).max();
    DurablePart {
        version: newest.unwrap_or_default().max(Version::new(version)),
        preference: Preference {
            custom,
            // As clocks are: no help.
            set_at: Some(wall(1_000_000 - i64::try_from(version).unwrap())),
            set_by: Some(Actor::User),
            version: Version::new(version),
        },
        reports: reports.into(),
    }
}

fn report(source: &str, status: CustomStatus, version: u64) -> Report {
    Report {
        source: source.parse::<Source>().unwrap(),
        status,
        since: wall(10),
        heard: wall(10),
        version: Version::new(version),
        said: Version::new(version),
        last_active: None,
        expires: None,
    }
}

struct Connected {
    sessions: Sessions,
    profile: Profile,
    clock: RevisionClock,
}

impl Connected {
    /// A user who connected while the store was silent.
    fn without_the_store() -> Self {
        let mut one = Self {
            sessions: Sessions::default(),
            profile: Profile::fallback(CustomStatus::Online),
            clock: RevisionClock::new(0, Wall::from_millis(0)),
        };
        one.sessions.handle_connect(at(0), SessionId(1), Duration::ZERO);
        let published = one.recompute(0).unwrap();
        assert_eq!((published.audience, published.to), (Audience::Everyone, Status::Online));
        one
    }

    fn recompute(&mut self, millis: u64) -> Option<Published> {
        let clock = &mut self.clock;
        let wall = at(millis).wall;
        self.profile.apply_rule(wall, &[self.sessions.contribution()]);
        self.profile.publish(|before| clock.next(before, wall))
    }

    fn is_degraded_on_the_wire(&self) -> bool {
        let id = UserId::new("u").unwrap();
        let record = self.profile.record(&id, &[], Viewer::Public, Freshness::Current);
        serde_json::to_string(&record).unwrap().contains("\"degraded\":true")
    }
}

#[test]
fn a_profile_made_without_the_store_is_online_and_degraded() {
    let one = Connected::without_the_store();
    assert_eq!(one.profile.decision().status, Status::Online);
    assert!(one.profile.is_degraded() && one.is_degraded_on_the_wire());
}

#[test]
fn a_late_answer_of_the_store_is_shown_and_published() {
    let mut one = Connected::without_the_store();
    let stored = Stored {
        durable: durable(CustomStatus::DoNotDisturb, 5, &[]),
        last_active: Some(wall(7)),
        last_seen: Some(wall(8)),
        revision: Revision::new(1 << 52),
        ..Stored::default()
    };
    one.profile.handle_load(stored, at(10).wall);
    let published = one.recompute(10).unwrap();
    assert_eq!(
        (published.audience, published.to),
        (Audience::Everyone, Status::DoNotDisturb)
    );
    assert!(!one.is_degraded_on_the_wire());
    assert!(
        one.profile.revision() > Revision::new(1 << 52),
        "above everything published before"
    );
    assert_eq!(
        (one.profile.last_seen(), one.profile.last_active()),
        (Some(at(0).wall), Some(wall(7)))
    );
}

#[test]
fn the_end_of_degraded_is_published_if_nothing_else_changes() {
    let mut one = Connected::without_the_store();
    one.profile.handle_load(Stored::default(), at(10).wall);
    let published = one.recompute(10).unwrap();
    assert_eq!(
        (published.audience, published.from, published.to),
        (Audience::Everyone, Status::Online, Status::Online)
    );
    assert_eq!(one.profile.since(), Some(at(0).wall), "the status holds since it did");
    assert_eq!(one.recompute(11), None, "once");
}

#[test]
fn a_lower_stored_version_does_not_replace_the_custom_status() {
    let mut one = Connected::without_the_store();
    one.profile
        .handle_durable(durable(CustomStatus::Idle, 6, &[]), at(5).wall);
    one.recompute(5);
    let stored = Stored {
        durable: durable(CustomStatus::DoNotDisturb, 5, &[]),
        ..Stored::default()
    };
    one.profile.handle_load(stored, at(10).wall);
    one.recompute(10);
    assert_eq!(one.profile.decision().status, Status::Idle);
    one.profile
        .handle_durable(durable(CustomStatus::DoNotDisturb, 5, &[]), at(11).wall);
    assert_eq!(one.recompute(11), None, "an older version changes nothing");
    assert_eq!(one.profile.preference().custom, CustomStatus::Idle);
}

#[test]
fn the_durable_part_of_the_highest_version_replaces_all_reports() {
    let (idle, online) = (CustomStatus::Idle, CustomStatus::Online);
    let held = |one: &Connected| -> Vec<_> {
        let reports = one.profile.reports().iter();
        reports
            .map(|one| (one.source.to_string(), one.status, one.version.get()))
            .collect()
    };
    let mut one = Connected::without_the_store();
    let before = durable(online, 1, &[report("a", idle, 20), report("over", idle, 21)]);
    one.profile.handle_durable(before.clone(), at(1).wall);
    let newer = durable(
        online,
        1,
        &[report("a", idle, 20), report("b", online, 30), report("c", online, 22)],
    );
    one.profile.handle_load(
        Stored {
            durable: newer,
            ..Stored::default()
        },
        at(10).wall,
    );
    let expected = [
        ("a".to_owned(), idle, 20),
        ("b".to_owned(), online, 30),
        ("c".to_owned(), online, 22),
    ];
    assert_eq!(held(&one), expected);
    one.profile.handle_durable(before, at(11).wall);
    assert_eq!(held(&one), expected, "an older part brings nothing back");
}

#[test]
fn a_known_report_keeps_its_deadline_when_the_wall_clock_jumps() {
    let until = |millis| Report {
        expires: Some(Mono::from_millis(millis)),
        ..report("a", CustomStatus::Idle, 1)
    };
    let mut one = Connected::without_the_store();
    one.profile
        .handle_durable(durable(CustomStatus::Online, 0, &[until(60_000)]), at(1).wall);
    // The same report as computed from the stored wall time after a jump; the custom status alone is new.
    one.profile
        .handle_durable(durable(CustomStatus::Online, 2, &[until(3_660_000)]), at(2).wall);
    assert_eq!(one.profile.next_deadline(), Some(Mono::from_millis(60_000)));
    let refreshed = Report {
        version: Version::new(3),
        ..until(90_000)
    };
    one.profile
        .handle_durable(durable(CustomStatus::Online, 2, &[refreshed]), at(3).wall);
    assert_eq!(one.profile.next_deadline(), Some(Mono::from_millis(90_000)));
}

#[test]
fn an_expired_report_stays_ended_while_the_store_has_it() {
    let short = Report {
        expires: Some(Mono::from_millis(1_000)),
        ..report("a", CustomStatus::Idle, 1)
    };
    let mut one = Connected::without_the_store();
    one.profile.handle_durable(
        durable(CustomStatus::Online, 0, std::slice::from_ref(&short)),
        at(1).wall,
    );
    one.profile.on_deadline(Mono::from_millis(1_000));
    assert!(one.profile.reports().is_empty());
    // The wall clock went back meanwhile, so the stored time lies ahead again.
    let revived = Report {
        expires: Some(Mono::from_millis(5_000)),
        ..short
    };
    one.profile.handle_durable(
        durable(CustomStatus::Idle, 2, std::slice::from_ref(&revived)),
        at(1_001).wall,
    );
    assert!(one.profile.reports().is_empty());
    let refreshed = Report {
        version: Version::new(3),
        ..revived
    };
    one.profile
        .handle_durable(durable(CustomStatus::Idle, 2, &[refreshed]), at(1_002).wall);
    assert_eq!(one.profile.reports().len(), 1, "refreshed, it holds again");
}

#[test]
fn only_times_that_lie_ahead_are_to_be_written_back() {
    let seen = |millis| Stored {
        last_seen: Some(at(millis).wall),
        ..Stored::default()
    };
    for (millis, is_clamped) in [(9, false), (10, false), (11, true)] {
        let mut profile = Profile::restore(seen(millis), at(10).wall);
        assert_eq!(profile.is_clamped(), is_clamped, "{millis}");
        profile.handle_load(seen(12), at(12).wall);
        assert_eq!(profile.is_clamped(), is_clamped, "{millis}, and a load that is right");
        profile.handle_load(seen(14), at(13).wall);
        assert!(profile.is_clamped(), "{millis}, and a load of a time ahead");
    }
}

#[test]
fn a_report_is_opened_anew_at_its_deadline_and_refreshed_before() {
    let mut one = Connected::without_the_store();
    let held = Report {
        expires: Some(Mono::from_millis(1_000)),
        ..report("a", CustomStatus::Idle, 1)
    };
    one.profile
        .handle_durable(durable(CustomStatus::Online, 0, &[held]), at(1).wall);
    let input = ReportInput {
        source: "a".parse::<Source>().unwrap(),
        status: Status::Idle,
        ttl: None,
        update_last_active: false,
    };
    let since = |millis| one.profile.report(at(millis), &input).map(|report| report.since);
    assert_eq!(since(999), Some(wall(10)));
    assert_eq!(since(1_000), Some(at(1_000).wall));
}
