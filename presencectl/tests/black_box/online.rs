//! `online`: which counts belong to a listing.

use serde_json::{Value, json};

use crate::fake_daemon::{FakeDaemon, ok, record};
use crate::sandbox::Sandbox;

/// The counts of a page are of another moment than its users.
fn with_stale_counts(next: Value) -> FakeDaemon {
    FakeDaemon::start(move |_| {
        ok(
            &json!({"now": "2026-11-23T05:00:00.000Z", "users": [record("alice", "ONLINE", 1)], "next": next,
                   "counts": {"ONLINE": 7, "IDLE": 0, "DO_NOT_DISTURB": 0}}),
        )
    })
}

fn counted(daemon: &FakeDaemon, arguments: &[&str]) -> Value {
    let run = Sandbox::with_daemon(&daemon.address()).run(&[&["online", "-o", "json"], arguments].concat());
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    document["counts"]["ONLINE"].clone()
}

#[test]
fn only_a_complete_listing_of_all_is_counted_by_itself() {
    let whole = with_stale_counts(Value::Null);
    assert_eq!(counted(&whole, &[]), 1);
    assert_eq!(counted(&whole, &["--status", "online"]), 7, "the others are not listed");
    assert_eq!(
        counted(&with_stale_counts(json!("c2")), &["--limit", "1"]),
        7,
        "nor here"
    );
}
