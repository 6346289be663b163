//! What is written comes back, whatever a newer version added stays, and bytes from anybody never make it panic.

use presence::replication::{
    Command, CommandKind, DrainOrder, Epoch, FORMAT, Incarnation, InvalidBytes, MovedTimes, NodeInfo, ObeyedOrder,
    Share, SharedPart, State, Tick, ToldOrder, partition_of,
};
use presence::{
    Activity, Actor, Contribution, CustomStatus, DurablePart, Preference, Report, Revision, SessionId, SessionName,
    Status, UserId, Version, Wall,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn a_time() -> impl Strategy<Value = Wall> {
    prop_oneof![
        (0_i64..4_000_000_000_000).prop_map(Wall::from_millis),
        (i64::MIN + 1..i64::MAX).prop_map(Wall::from_millis)
    ]
}

fn an_activity() -> impl Strategy<Value = Activity> {
    prop_oneof![Just(Activity::Unknown), Just(Activity::Idle), Just(Activity::Active)]
}

fn a_custom_status() -> impl Strategy<Value = CustomStatus> {
    prop_oneof![
        Just(CustomStatus::Online),
        Just(CustomStatus::Idle),
        Just(CustomStatus::DoNotDisturb)
    ]
}

prop_compose! {
    fn a_share()(
        incarnation in any::<u64>(),
        connections in any::<u32>(),
        open_activity in an_activity(),
        grace in option::of((an_activity(), any::<u32>())),
        grace_until in option::of(a_time()),
        sessions in vec(any::<u64>(), 0..4),
        unknown in option::of((2_u8..128, vec(any::<u8>(), 0..4))),
    ) -> Share {
        Share {
            incarnation: Incarnation(incarnation),
            contribution: Contribution {
                connections,
                open_activity,
                grace: grace.map(|(activity, _)| activity),
                ..Contribution::default()
            },
            places: grace.map_or(0, |(_, places)| places),
            grace_until,
            sessions: sessions.into_iter().map(SessionId).collect(),
            unknown: unknown.map_or_else(Vec::new, |(tag, content)| {
                [&[tag, u8::try_from(content.len()).unwrap()], content.as_slice()].concat()
            }),
        }
    }
}

prop_compose! {
    fn a_report()(
        source in "[a-z]{1,8}",
        status in a_custom_status(),
        times in (a_time(), a_time(), option::of(a_time())),
        versions in (any::<u64>(), any::<u64>()),
    ) -> Report {
        Report {
            source: source.parse().unwrap(),
            status,
            since: times.0,
            heard: times.1,
            version: Version::new(versions.0),
            said: Version::new(versions.1),
            last_active: times.2,
            expires: None,
        }
    }
}

prop_compose! {
    fn a_durable_part()(
        version in any::<u64>(),
        custom in a_custom_status(),
        set in (option::of(a_time()), option::of(any::<bool>()), any::<u64>()),
        reports in vec((a_report(), option::of(a_time())), 0..3),
    ) -> SharedPart {
        let (reports, ends): (Vec<_>, Vec<_>) = reports.into_iter().unzip();
        let set_by = set.1.map(|by_user| if by_user { Actor::User } else { Actor::Operator });
        let preference = Preference { custom, set_at: set.0, set_by, version: Version::new(set.2) };
        let part = DurablePart { version: Version::new(version), preference, reports: reports.into_boxed_slice() };
        SharedPart { part, ends }
    }
}

prop_compose! {
    fn a_state()(
        mut contributions in vec(a_share(), 0..4),
        durable in a_durable_part(),
        times in (option::of(a_time()), option::of(a_time()), option::of(a_time()), option::of(a_time())),
        command in option::of((any::<bool>(), a_time(), any::<u64>())),
        degraded in any::<bool>(),
        status in 0_usize..4,
        changed in option::of(any::<u64>()),
        continued in vec((any::<u32>(), any::<u64>()), 0..3),
    ) -> State {
        contributions.sort_by_key(|share| share.incarnation);
        contributions.dedup_by_key(|share| share.incarnation);
        State {
            contributions,
            durable,
            chosen_until: times.0,
            command: command.map(|(is_kick, at, by)| Command {
                kind: if is_kick { CommandKind::Kick } else { CommandKind::Forget },
                at,
                by: Incarnation(by),
            }),
            degraded,
            status: Status::ALL[status],
            since: times.1,
            last_seen: times.2,
            last_active: times.3,
            changed: changed.map(Revision::new),
            continued: continued.into_iter().map(|(run, session)| SessionName { run, session: SessionId(session) }).collect(),
            unknown: Vec::new(),
        }
    }
}

proptest! {
    #[test]
    fn a_state_comes_back_as_it_was_written(state in a_state()) {
        prop_assert_eq!(State::decode(&state.encode()), Ok(state));
    }

    #[test]
    fn fields_of_a_newer_version_are_kept(state in a_state(), tag in 100_u8..128, content in vec(any::<u8>(), 0..100)) {
        let mut bytes = state.encode();
        bytes.push(tag);
        bytes.push(u8::try_from(content.len()).unwrap());
        bytes.extend_from_slice(&content);
        let read = State::decode(&bytes).unwrap();
        prop_assert_eq!(read.encode(), bytes);
    }

    #[test]
    fn hostile_bytes_are_refused_or_read_without_a_panic(bytes in vec(any::<u8>(), 0..200), state in a_state(), at in any::<prop::sample::Index>()) {
        let written = |bytes: &[u8]| State::decode(bytes).map(|state| state.encode());
        let _ = (written(&bytes), Tick::decode(&bytes), NodeInfo::decode(&bytes));
        let mut format_first = vec![FORMAT];
        format_first.extend_from_slice(&bytes);
        let _ = (written(&format_first), Tick::decode(&format_first), NodeInfo::decode(&format_first));
        let mut spoilt = state.encode();
        let at = at.index(spoilt.len());
        spoilt[at] ^= bytes.first().copied().unwrap_or(1);
        let _ = written(&spoilt);
        let _ = written(&spoilt[..at]);
    }

    #[test]
    fn ticks_and_nodes_come_back_as_they_were_written(number in any::<u64>(), times in vec(("[a-z]{1,9}", a_time(), option::of(a_time())), 0..5)) {
        let times = times.into_iter().map(|(user, last_seen, last_active)| MovedTimes { user: UserId::new(&user).unwrap(), last_seen, last_active });
        let orders = (0..number % 4).map(|of| ToldOrder { order: DrainOrder { of: Incarnation(of), is_draining: of % 2 == 0 }, number: (of != 2).then_some(number) }).collect();
        let obeyed = (0..number % 5).map(|one| ObeyedOrder { told_by: Incarnation(one), number }).collect();
        let obeyed = (number % 5 != 4).then_some(obeyed);
        let full_users = (0..number % 3).map(|number| UserId::new(&format!("full-{number}")).unwrap()).collect();
        let tick = Tick { number, connections: 7, capacity: 10_000, is_full: number % 2 == 0, lag_millis: 12, is_draining: number % 3 == 0, orders, obeyed, times: times.collect(), full_users };
        prop_assert_eq!(Tick::decode(&tick.encode()), Ok(tick));
        let info = NodeInfo { name: "a".to_owned(), address: "127.0.0.1:8080".to_owned(), version: "1.0".to_owned(), format: 1 };
        prop_assert_eq!(NodeInfo::decode(&info.encode()), Ok(info));
    }

    #[test]
    fn names_come_back_as_they_were_written(start in any::<u64>(), random in any::<u64>()) {
        let epoch = Epoch { start: Revision::new(start), random };
        prop_assert_eq!(epoch.to_string().parse(), Ok(epoch));
        prop_assert_eq!(Incarnation(random).to_string().parse(), Ok(Incarnation(random)));
    }
}

#[test]
fn a_newer_format_is_told_from_damage() {
    assert_eq!(
        State::decode(&[FORMAT + 1, 9, 9]),
        Err(InvalidBytes::Format(FORMAT + 1))
    );
    assert_eq!(State::decode(&[0]), Err(InvalidBytes::Malformed));
    assert_eq!(State::decode(&[]), Err(InvalidBytes::Malformed));
}

#[test]
fn the_state_of_a_user_with_one_connection_is_small() {
    let now = Wall::from_millis(1_800_000_000_000);
    let state = State {
        contributions: vec![Share {
            incarnation: Incarnation(u64::MAX),
            contribution: Contribution {
                connections: 2,
                open_activity: Activity::Active,
                ..Contribution::default()
            },
            grace_until: None,
            places: 0,
            sessions: vec![SessionId(100_000), SessionId(2_000_000)],
            unknown: Vec::new(),
        }],
        durable: SharedPart {
            part: DurablePart {
                version: Version::new(1_000),
                preference: Preference {
                    custom: CustomStatus::DoNotDisturb,
                    set_at: Some(now),
                    set_by: Some(Actor::User),
                    version: Version::new(1_000),
                },
                reports: Box::default(),
            },
            ends: Vec::new(),
        },
        since: Some(now),
        last_seen: Some(now),
        last_active: Some(now),
        status: Status::DoNotDisturb,
        ..State::default()
    };
    // 250 bytes of Redis per present user are 126 and the set of who is present beside a value of 92.
    let length = state.encode().len();
    assert!(length <= 68, "{length}");
}

#[test]
fn users_are_spread_evenly_over_partitions() {
    let mut users = [0_u32; 16];
    for number in 0..16_000 {
        let user = UserId::new(&format!("user-{number}")).unwrap();
        users[usize::from(partition_of(&user, 16))] += 1;
    }
    assert!(users.iter().all(|count| (900..1_100).contains(count)), "{users:?}");
}
