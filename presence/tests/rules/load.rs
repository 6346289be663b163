//! A profile made without the store's answer, and what happens when the answer comes.

use presence::profile::Stored;
use presence::wire::record::Viewer;
use presence::{
    Actor, Audience, CustomStatus, Mono, Now, Preference, Profile, Published, Report, Revision, RevisionClock,
    SessionId, Sessions, Source, Status, UserId, Wall,
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

fn chose(custom: CustomStatus, at: i64) -> Preference {
    Preference {
        custom,
        set_at: Some(wall(at)),
        set_by: Some(Actor::User),
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
            profile: Profile::fallback(),
            clock: RevisionClock::new(0),
        };
        one.sessions.handle_connect(at(0), SessionId(1));
        let told = one.recompute(0).unwrap();
        assert_eq!((told.audience, told.to), (Audience::Everyone, Status::Online));
        one
    }

    fn recompute(&mut self, millis: u64) -> Option<Published> {
        let clock = &mut self.clock;
        let wall = at(millis).wall;
        self.profile
            .recompute(wall, &[self.sessions.contribution()], |before| clock.next(before, wall))
    }

    fn is_degraded_on_the_wire(&self) -> bool {
        let id = UserId::new("u").unwrap();
        let record = self.profile.record(&id, &[], Viewer::Public);
        serde_json::to_string(&record).unwrap().contains("\"degraded\":true")
    }
}

#[test]
fn without_the_store_the_user_is_shown_online_and_the_record_says_that_it_is_degraded() {
    let one = Connected::without_the_store();
    assert_eq!(one.profile.decision().status, Status::Online);
    assert!(one.profile.is_degraded() && one.is_degraded_on_the_wire());
}

#[test]
fn when_the_store_answers_its_choice_is_shown_and_everyone_is_told() {
    let mut one = Connected::without_the_store();
    let stored = Stored {
        preference: chose(CustomStatus::DoNotDisturb, 5),
        last_active: Some(wall(7)),
        last_seen: Some(wall(8)),
        revision: Revision::new(1 << 52),
        ..Stored::default()
    };
    one.profile.handle_load(stored, at(10).wall);
    let told = one.recompute(10).unwrap();
    assert_eq!((told.audience, told.to), (Audience::Everyone, Status::DoNotDisturb));
    assert!(!one.is_degraded_on_the_wire());
    assert!(
        one.profile.revision() > Revision::new(1 << 52),
        "above everything told before"
    );
    assert_eq!(
        (one.profile.last_seen(), one.profile.last_active()),
        (Some(at(0).wall), Some(wall(7)))
    );
}

#[test]
fn the_end_of_degraded_is_told_even_if_nothing_else_changes() {
    let mut one = Connected::without_the_store();
    one.profile.handle_load(Stored::default(), at(10).wall);
    let told = one.recompute(10).unwrap();
    assert_eq!(
        (told.audience, told.from, told.to),
        (Audience::Everyone, Status::Online, Status::Online)
    );
    assert_eq!(one.profile.since(), Some(at(0).wall), "the status holds since it did");
    assert_eq!(one.recompute(11), None, "once");
}

#[test]
fn a_choice_made_meanwhile_is_not_overwritten_by_an_older_one() {
    let mut one = Connected::without_the_store();
    one.profile.handle_preference(chose(CustomStatus::Idle, 2_000_000));
    one.recompute(5);
    let stored = Stored {
        preference: chose(CustomStatus::DoNotDisturb, 5),
        ..Stored::default()
    };
    one.profile.handle_load(stored, at(10).wall);
    one.recompute(10);
    assert_eq!(one.profile.decision().status, Status::Idle);
    one.profile
        .handle_preference(chose(CustomStatus::DoNotDisturb, 1_999_999));
    assert_eq!(one.recompute(11), None, "an older choice changes nothing");
    assert_eq!(one.profile.preference().custom, CustomStatus::Idle);
}

#[test]
fn of_each_source_the_later_report_holds_and_none_that_is_not_on_disk() {
    let report = |name: &str, status, order| Report {
        source: name.parse::<Source>().unwrap(),
        status,
        since: wall(order),
        heard: wall(order),
        order: wall(order),
        last_active: None,
        expires: None,
    };
    let (idle, online) = (CustomStatus::Idle, CustomStatus::Online);
    let mut one = Connected::without_the_store();
    for (name, status, order) in [("a", idle, 20), ("b", idle, 20), ("over", idle, 20)] {
        let report = report(name, status, order);
        one.profile
            .handle_report(at(1), &report.source.clone(), Some(report), false);
    }
    let stored = Stored {
        reports: vec![report("a", online, 10), report("b", online, 30), report("c", online, 1)],
        ..Stored::default()
    };
    one.profile.handle_load(stored, at(10).wall);
    let held: Vec<_> = one
        .profile
        .reports()
        .iter()
        .map(|one| (one.source.as_str(), one.status))
        .collect();
    assert_eq!(held, [("a", idle), ("b", online), ("c", online)]);
}
