//! Rule 3.1, row by row and in every combination of what it looks at.

use presence::{
    Activity, CustomStatus, Decision, EndReason, Mono, Now, Preference, Reason, Report, SessionId, Sessions, Source,
    Status, Timers, Version, Wall, decide,
};
use std::time::Duration;

use crate::plain_rule::{Age, KnownActivity, plain_rule};

/// The version of the custom status of these tests, if there is one.
const CUSTOM_VERSION: Version = Version::new(10);

const TIMERS: Timers = Timers {
    grace: Duration::from_secs(5),
    restart_grace: Duration::from_secs(30),
    idle_after: Duration::from_secs(300),
};

const ACTIVITIES: [Option<KnownActivity>; 3] = [None, Some(KnownActivity::Idle), Some(KnownActivity::Active)];
/// Whether a custom status that the user set by a request still counts.
const CHOSEN: [(Option<KnownActivity>, Activity); 2] = [
    (None, Activity::Unknown),
    (Some(KnownActivity::Active), Activity::Active),
];
const CUSTOM: [CustomStatus; 3] = [CustomStatus::Online, CustomStatus::Idle, CustomStatus::DoNotDisturb];

fn at(millis: u64) -> Now {
    Now {
        mono: Mono::from_millis(millis),
        wall: Wall::from_millis(i64::try_from(millis).unwrap()),
    }
}

fn report_activity(sessions: &mut Sessions, id: u64, known: Option<KnownActivity>) {
    match known {
        None => {}
        Some(KnownActivity::Idle) => sessions.handle_away(at(0), SessionId(id), None),
        Some(KnownActivity::Active) => sessions.handle_activity(at(0), SessionId(id), Duration::ZERO, &TIMERS),
    }
}

/// Sessions with these activities, made by the inputs that lead there.
fn sessions_of(connections: &[Option<KnownActivity>], grace: Option<Option<KnownActivity>>) -> Sessions {
    let mut sessions = Sessions::default();
    for (id, known) in (1..).zip(connections) {
        sessions.handle_connect(at(0), SessionId(id), TIMERS.grace);
        report_activity(&mut sessions, id, *known);
    }
    if let Some(known) = grace {
        sessions.handle_connect(at(0), SessionId(0), TIMERS.grace);
        report_activity(&mut sessions, 0, known);
        sessions.handle_end(at(0), SessionId(0), EndReason::Lost, TIMERS.grace);
    }
    sessions
}

fn report(name: &str, status: CustomStatus, version: Version) -> Report {
    Report {
        source: name.parse::<Source>().unwrap(),
        status,
        since: Wall::from_millis(0),
        heard: Wall::from_millis(0),
        version,
        said: version,
        last_active: None,
        expires: None,
    }
}

/// Every list of up to `most` of these, in every order.
fn lists<T: Copy>(of: &[T], most: usize) -> Vec<Vec<T>> {
    let mut all = vec![Vec::new()];
    let mut longest = all.clone();
    for _ in 0..most {
        longest = longest
            .iter()
            .flat_map(|list| of.iter().map(move |one| [list.as_slice(), &[*one]].concat()))
            .collect();
        all.extend(longest.iter().cloned());
    }
    all
}

fn all_reports() -> Vec<(CustomStatus, Version)> {
    let versions = [
        Version::new(CUSTOM_VERSION.get() - 1),
        CUSTOM_VERSION,
        CUSTOM_VERSION.next(),
    ];
    CUSTOM
        .iter()
        .flat_map(|status| versions.iter().map(move |version| (*status, *version)))
        .collect()
}

#[test]
fn every_combination_is_decided_as_the_table_says() {
    let graces: Vec<Option<Option<KnownActivity>>> = std::iter::once(None).chain(ACTIVITIES.map(Some)).collect();
    let report_lists = lists(&all_reports(), 2);
    let mut seen = std::collections::BTreeSet::new();
    for connections in lists(&ACTIVITIES, 3) {
        for grace in &graces {
            let contribution = sessions_of(&connections, *grace).contribution();
            let all_custom = CUSTOM
                .iter()
                .flat_map(|one| [(*one, Version::NONE), (*one, CUSTOM_VERSION)]);
            for (custom, version) in all_custom {
                let preference = Preference {
                    custom,
                    version,
                    ..Preference::default()
                };
                for list in &report_lists {
                    let reports: Vec<Report> = list
                        .iter()
                        .map(|(status, version)| report("r", *status, *version))
                        .collect();
                    let aged: Vec<(CustomStatus, Age)> = list
                        .iter()
                        .map(|(status, reported)| match *reported > version {
                            true => (*status, Age::Newer),
                            false => (*status, Age::Older),
                        })
                        .collect();
                    for (chosen, activity) in CHOSEN {
                        let decided = decide(&[contribution], &reports, &preference, activity);
                        let expected = plain_rule(&connections, *grace, &aged, custom, chosen);
                        let decided = (decided.status, decided.rule, decided.reason);
                        assert_eq!(
                            decided, expected,
                            "{connections:?} {grace:?} {list:?} {preference:?} {chosen:?}"
                        );
                        seen.insert((expected.1, expected.2.as_str()));
                    }
                }
            }
        }
    }
    let rows = [
        (1, "no_session"),
        (2, "custom"),
        (2, "reported"),
        (3, "custom"),
        (4, "inactive"),
        (5, "active"),
    ];
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        rows,
        "every row of the table was met"
    );
}

#[test]
fn sessions_of_several_nodes_are_taken_together() {
    let preference = Preference::default();
    let side = |known| sessions_of(&[known], None).contribution();
    for one in ACTIVITIES {
        for other in ACTIVITIES {
            let decided = decide(&[side(one), side(other)], &[], &preference, Activity::Unknown);
            let (status, rule, reason) = plain_rule(&[one, other], None, &[], CustomStatus::Online, None);
            assert_eq!(decided, Decision { status, rule, reason }, "{one:?} {other:?}");
        }
    }
    let empty = Sessions::default().contribution();
    let decide = |contributions: &[_]| decide(contributions, &[], &preference, Activity::Unknown).status;
    assert_eq!(decide(&[empty, side(None)]), Status::Online);
    assert_eq!(decide(&[empty, empty]), Status::Offline);
}

#[test]
fn a_report_older_than_the_custom_status_keeps_the_user_present() {
    let preference = Preference {
        version: CUSTOM_VERSION,
        ..Preference::default()
    };
    for status in CUSTOM {
        let older = report("r", status, CUSTOM_VERSION);
        let decided = decide(&[], std::slice::from_ref(&older), &preference, Activity::Unknown);
        assert_eq!(
            (decided.status, decided.reason),
            (Status::Online, Reason::Active),
            "{status}"
        );
    }
}

#[test]
fn activities_join_in_any_order_and_grouping() {
    let activities = [Activity::Unknown, Activity::Idle, Activity::Active];
    for a in activities {
        assert_eq!(Activity::Unknown.and(a), a);
        for b in activities {
            assert_eq!(a.and(b), b.and(a));
            for c in activities {
                assert_eq!(a.and(b).and(c), a.and(b.and(c)));
            }
        }
    }
}

#[test]
fn the_first_rule_decides_for_a_user_never_seen() {
    let nothing = decide(&[], &[], &Preference::default(), Activity::Unknown);
    assert_eq!(nothing, Decision::default());
    assert_eq!(
        (nothing.status, nothing.rule, nothing.reason.as_str()),
        (Status::Offline, 1, "no_session")
    );
}
