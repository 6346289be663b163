//! The presence record: which viewer sees which fields, and which are null or absent.

use std::time::Duration;

use presence::profile::Stored;
use presence::wire::record::{Record, Viewer};
use presence::{
    Actor, Contribution, CustomStatus, DurablePart, Freshness, Mono, Now, Preference, Profile, ReportInput, Revision,
    SessionId, Sessions, Source, Status, UserId, Version, Wall,
};
use serde_json::{Value, json};

const NOW: Now = Now {
    mono: Mono::from_millis(0),
    wall: Wall::from_millis(1_700_000_000_000),
};
const NOW_TEXT: &str = "2023-11-14T22:13:20.000Z";

fn ann() -> UserId {
    UserId::new("ann").unwrap()
}

/// Two connections and a report, IDLE by custom status, last active at the epoch.
fn profile() -> (Profile, Contribution) {
    let mut sessions = Sessions::default();
    sessions.handle_connect(NOW, SessionId(1), Duration::ZERO);
    sessions.handle_connect(NOW, SessionId(2), Duration::ZERO);
    let mut durable = DurablePart {
        version: Version::new(1),
        preference: Preference {
            custom: CustomStatus::Idle,
            set_at: Some(Wall::from_millis(1)),
            set_by: Some(Actor::User),
            version: Version::new(1),
        },
        ..DurablePart::default()
    };
    let stored = Stored {
        durable: durable.clone(),
        last_active: Some(Wall::from_millis(0)),
        ..Stored::default()
    };
    let mut profile = Profile::restore(stored, NOW.wall);
    let input = ReportInput {
        source: Source::default(),
        status: Status::Online,
        ttl: None,
        update_last_active: false,
    };
    durable.version = durable.version.next();
    durable.reports = profile.report(NOW, &input).into_iter().collect();
    profile.handle_durable(durable, NOW.wall);
    profile.note_report(NOW.wall, &input);
    profile.apply_rule(NOW.wall, &[sessions.contribution()]);
    profile.publish(|_| Revision::new(42));
    (profile, sessions.contribution())
}

fn record_for(viewer: Viewer) -> Value {
    let (profile, mine) = profile();
    let nodes = [("n1", mine), ("n2", Contribution::default())];
    serde_json::to_value(profile.record(&ann(), &nodes, viewer, Freshness::Current)).unwrap()
}

#[test]
fn other_users_see_only_the_public_fields() {
    let expected = json!({
        "userId": "ann", "status": "IDLE", "since": NOW_TEXT, "lastSeen": NOW_TEXT,
        "lastActive": "1970-01-01T00:00:00.000Z", "revision": 42,
    });
    assert_eq!(record_for(Viewer::Public), expected);
}

#[test]
fn the_user_also_sees_its_custom_status_and_sessions() {
    let mut expected = record_for(Viewer::Public);
    expected["customStatus"] = json!("IDLE");
    expected["sessions"] = json!(3);
    assert_eq!(record_for(Viewer::Own), expected);
}

#[test]
fn internal_callers_also_see_the_setter_reason_and_nodes() {
    let mut expected = record_for(Viewer::Own);
    expected["customStatusSetBy"] = json!("user");
    expected["reason"] = json!("custom");
    expected["nodes"] = json!(["n1"]);
    assert_eq!(record_for(Viewer::Internal), expected);
}

#[test]
fn a_user_never_seen_has_null_times_and_revision_0() {
    let public = json!({
        "userId": "ann", "status": "OFFLINE", "since": null, "lastSeen": null, "lastActive": null, "revision": 0,
    });
    let mut own = public.clone();
    own["customStatus"] = json!("ONLINE");
    own["sessions"] = json!(0);
    let mut internal = own.clone();
    internal["reason"] = json!("no_session");
    internal["nodes"] = json!([]);
    for (viewer, expected) in [
        (Viewer::Public, public),
        (Viewer::Own, own),
        (Viewer::Internal, internal),
    ] {
        assert_eq!(
            serde_json::to_value(Record::never_seen(ann(), viewer)).unwrap(),
            expected
        );
    }
}

#[test]
fn degraded_and_stale_are_absent_unless_true() {
    let record = Profile::fallback(CustomStatus::Online).record(&ann(), &[], Viewer::Public, Freshness::Stale);
    let json = serde_json::to_value(&record).unwrap();
    assert_eq!((&json["degraded"], &json["stale"]), (&json!(true), &json!(true)));
    assert_eq!(serde_json::from_value::<Record>(json).unwrap(), record);
    for viewer in [Viewer::Public, Viewer::Own, Viewer::Internal] {
        let json = record_for(viewer);
        assert!(json.get("degraded").is_none() && json.get("stale").is_none());
    }
}

#[test]
fn a_record_round_trips_and_ignores_unknown_fields() {
    let (profile, mine) = profile();
    for viewer in [Viewer::Public, Viewer::Own, Viewer::Internal] {
        let record = profile.record(&ann(), &[("n1", mine)], viewer, Freshness::Current);
        let mut json = serde_json::to_value(&record).unwrap();
        json["mood"] = json!({"of": "later"});
        assert_eq!(serde_json::from_value::<Record>(json).unwrap(), record);
    }
}
