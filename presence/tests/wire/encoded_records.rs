//! Records that are encoded by hand are byte for byte as serde encodes them.

use presence::wire::record::{Record, Removed, Update};
use presence::wire::rest::{Counts, Page, QueryResponse, RecordResponse};
use presence::wire::server_message::ServerMessage;
use presence::{Actor, CustomStatus, Reason, Revision, Status, UserId, Wall};
use serde::Serialize;

/// Each optional field in turn is there or not, and the others take all values they have.
fn records() -> Vec<Record> {
    let ids = ["ann", "quote\"back\\slash", "snow☃man/é", "__proto__", "\u{7f}x", "a b"];
    let times = [
        None,
        Some(0),
        Some(-62_167_219_200_001),
        Some(1_700_000_000_123),
        Some(i64::MAX),
    ];
    let names = ["node-1", "", "a\"b", "tab\tand\u{1}"];
    (0..4096_usize)
        .map(|bits| {
            let has = |bit: usize| bits >> bit & 1 == 1;
            let time = |index: usize| times[index % times.len()].map(Wall::from_millis);
            Record {
                user_id: UserId::new(ids[bits % ids.len()]).unwrap_or_else(|_| UserId::new("plain").unwrap()),
                status: Status::ALL[bits % Status::ALL.len()],
                since: time(bits),
                last_seen: time(bits / 5),
                last_active: time(bits / 25),
                revision: Revision::new([0, 9, 10, (1 << 53) - 1][bits % 4]),
                degraded: has(0),
                stale: has(1),
                custom_status: has(2)
                    .then_some([CustomStatus::Online, CustomStatus::Idle, CustomStatus::DoNotDisturb][bits % 3]),
                custom_status_set_by: has(3).then_some([Actor::User, Actor::Operator][bits % 2]),
                sessions: has(4).then_some([0, u32::MAX][bits % 2]),
                reason: has(5).then_some(
                    [
                        Reason::NoSession,
                        Reason::Custom,
                        Reason::Reported,
                        Reason::Inactive,
                        Reason::Active,
                    ][bits % 5],
                ),
                nodes: has(6).then(|| {
                    names[..bits % (names.len() + 1)]
                        .iter()
                        .map(|&name| name.to_owned())
                        .collect()
                }),
            }
        })
        .collect()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

#[test]
fn records_and_removals_are_encoded_as_by_serde() {
    for record in records() {
        let update = Update::Record(record);
        assert_eq!(update.encode(), json(&update));
    }
    for (id, removed) in [("gone", true), ("quo\"te", false)] {
        let (user_id, revision) = (UserId::new(id).unwrap(), Revision::new(77));
        let update = Update::Removed(Removed {
            user_id,
            revision,
            removed,
        });
        assert_eq!(update.encode(), json(&update));
    }
}

#[test]
fn responses_of_records_are_encoded_as_by_serde() {
    let now = Wall::from_millis(1_700_000_000_123);
    for count in [0, 1, 2, 100] {
        let users = records().split_off(4096 - count);
        let response = QueryResponse {
            now,
            users: users.clone(),
        };
        assert_eq!(response.encode(), json(&response));
        for next in [None, Some("616e6e".to_owned()), Some("\"".to_owned())] {
            let counts = Counts {
                online: 0,
                idle: 12,
                do_not_disturb: u64::MAX,
            };
            let page = Page {
                now,
                users: users.clone(),
                next,
                counts,
            };
            assert_eq!(page.encode(), json(&page));
        }
    }
}

#[test]
fn the_response_of_one_record_has_its_fields_beside_the_clock() {
    let now = Wall::from_millis(1_700_000_000_123);
    for record in records() {
        let fields = json(&record);
        let response = RecordResponse { now, record };
        assert_eq!(response.encode(), format!(r#"{{"now":"{now}",{}"#, &fields[1..]));
    }
}

#[test]
fn a_welcome_is_encoded_as_by_serde() {
    let texts = ["node-1", "", "a\"b\\", "tab\tand\u{1}", "snow☃man"];
    let seconds = [25.0, 0.02, 1.0 / 3.0, 1e16, 86_400.0, f64::NAN];
    let users = records().into_iter().map(Some).chain([None]);
    for (number, user) in users.enumerate() {
        let welcome: ServerMessage = ServerMessage::Welcome {
            session_id: texts[number % 5].into(),
            user,
            now: Wall::from_millis(1_700_000_000_123 + number as i64),
            ping_seconds: seconds[number % seconds.len()],
            node: texts[number / 5 % 5].into(),
            version: texts[number / 25 % 5].into(),
        };
        assert_eq!(welcome.encode().unwrap(), json(&welcome));
    }
}
