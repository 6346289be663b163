//! Reports of outside gateways: sessions without a connection, which survive a restart.

use presence::wire::record::Record;
use presence::{Reason, Status};
use presence_tests::Daemon;
use presence_tests::clock::wall_now;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn two_reports_keep_a_user_present_until_both_end() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice"]).await;
    let first = rest.report("alice", json!({"status": "ONLINE"})).await.ok::<Record>();
    let first = daemon.logged(first).await;
    assert_eq!(
        (first.status, first.sessions, first.reason),
        (Status::Online, Some(1), Some(Reason::Active))
    );
    bob.wait_for_status("alice", Status::Online).await;
    let second: Record = rest
        .report("alice", json!({"status": "ONLINE", "source": "sms.relay-2_a"}))
        .await
        .ok();
    assert_eq!(second.sessions, Some(2));
    let refreshed = rest.report("alice", json!({"status": "ONLINE"})).await.ok::<Record>();
    let refreshed = daemon.logged(refreshed).await;
    assert_eq!(
        (refreshed.sessions, refreshed.revision),
        (Some(2), first.revision),
        "a refresh is no event"
    );
    let one: Record = rest.report("alice", json!({"status": "OFFLINE"})).await.ok();
    assert_eq!((one.status, one.sessions), (Status::Online, Some(1)));
    let sources: Vec<_> = rest
        .explain("alice")
        .await
        .sessions
        .into_iter()
        .map(|session| session.source)
        .collect();
    assert_eq!(sources, [Some("sms.relay-2_a".to_owned())]);
    let none: Record = rest
        .report("alice", json!({"status": "OFFLINE", "source": "sms.relay-2_a"}))
        .await
        .ok();
    let none = daemon.logged(none).await;
    assert_eq!((none.status, none.sessions), (Status::Offline, Some(0)));
    assert_eq!(
        bob.wait_for_status("alice", Status::Offline).await.revision,
        none.revision
    );
    let nothing = rest.report("alice", json!({"status": "OFFLINE"})).await.ok::<Record>();
    let nothing = daemon.logged(nothing).await;
    assert_eq!(nothing.revision, none.revision, "ending what is not there is no event");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_moves_last_active_only_on_request() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let quiet: Record = rest.report("alice", json!({"status": "ONLINE"})).await.ok();
    assert!(quiet.last_seen.is_some());
    assert_eq!(quiet.last_active, None);
    let earliest = daemon.earliest_of(wall_now());
    let active: Record = rest
        .report("alice", json!({"status": "ONLINE", "updateLastActive": true}))
        .await
        .ok();
    let after = wall_now();
    assert!(earliest <= active.last_active.unwrap() && active.last_active.unwrap() <= after);
    daemon.later_than(Some(after)).await;
    let seen: Record = rest
        .report("alice", json!({"status": "IDLE", "updateLastActive": false}))
        .await
        .ok();
    assert_eq!(seen.last_active, active.last_active);
    assert!(seen.last_seen > active.last_seen);
    let left: Record = rest
        .report("alice", json!({"status": "OFFLINE", "updateLastActive": true}))
        .await
        .ok();
    assert_eq!(left.status, Status::Offline);
    assert!(left.last_active > active.last_active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_ends_when_its_ttl_expires() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice"]).await;
    rest.report("alice", json!({"status": "ONLINE", "ttlSeconds": 2}))
        .await
        .ok::<Record>();
    let explain = rest.explain("alice").await;
    let next = explain.next.first().unwrap();
    assert!(next.why.starts_with("OFFLINE"), "{next:?}");
    let told = bob.wait_for_status("alice", Status::Offline).await;
    assert!(told.since.unwrap() >= daemon.earliest_of(next.at), "{told:?} {next:?}");
    let late = told.since.unwrap().since(next.at);
    assert!(late.as_secs() < 3, "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_outlive_a_restart_without_grace() {
    let mut daemon = Daemon::start(&["--grace", "500ms", "--restart-grace", "500ms"]).await;
    let rest = daemon.rest();
    // What the log lacks when the node crashes is told later.
    let report = async |user: &str, body: Value| daemon.logged(rest.report(user, body).await.ok()).await;
    report("alice", json!({"status": "DO_NOT_DISTURB"})).await;
    report("carol", json!({"status": "ONLINE", "ttlSeconds": 8})).await;
    report("dave", json!({"status": "ONLINE"})).await;
    report("dave", json!({"status": "OFFLINE"})).await;
    let expires = rest.explain("carol").await.next[0].at;
    daemon.crash_and_start_again().await;
    let mut bob = daemon.session("bob").await;
    let snapshot = bob.watch(&["alice", "carol", "dave"]).await;
    assert_eq!(snapshot.record("alice").status, Status::DoNotDisturb);
    assert_eq!(snapshot.record("dave").status, Status::Offline);
    let told = bob
        .updates_until("carol's report ends", |update| update.user_id().as_str() == "carol")
        .await;
    assert_eq!(told.len(), 1, "{told:?}");
    // Another node may still tell nobody to be OFFLINE after the start.
    let record = daemon.logged(daemon.rest().record("carol").await).await;
    assert_eq!(record.status, Status::Offline);
    // The end of the report is the same after the restart, within milliseconds.
    assert!(
        record.since.unwrap().after(std::time::Duration::from_millis(50)) >= expires,
        "{record:?} {expires}"
    );
    let alice = daemon.rest().record("alice").await;
    assert_eq!(
        (alice.status, alice.reason),
        (Status::DoNotDisturb, Some(Reason::Reported))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_later_of_report_and_custom_status_wins() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let status = async |what: &str| {
        let record = rest.record("alice").await;
        (record.status, record.reason.unwrap(), what.to_owned())
    };
    let report = async |word: &str| {
        // A report is newer only if the clock has advanced since the custom status was set.
        let set_at = rest.explain("alice").await.choice.set_at;
        daemon.later_than(set_at).await;
        rest.report("alice", json!({"status": word})).await.ok::<Record>();
    };
    report("IDLE").await;
    assert_eq!(status("idle").await, (Status::Idle, Reason::Inactive, "idle".into()));
    report("DO_NOT_DISTURB").await;
    assert_eq!(
        status("reported").await,
        (Status::DoNotDisturb, Reason::Reported, "reported".into())
    );
    rest.set_custom_status("alice", "ONLINE").await.ok::<Record>();
    assert_eq!(status("set").await, (Status::Online, Reason::Active, "set".into()));
    report("DO_NOT_DISTURB").await;
    assert_eq!(status("a refresh says nothing new").await.0, Status::Online);
    report("ONLINE").await;
    report("DO_NOT_DISTURB").await;
    assert_eq!(status("reported anew").await.0, Status::DoNotDisturb);
    rest.set_custom_status("alice", "ONLINE").await.ok::<Record>();
    assert_eq!(status("set again, though it held").await.0, Status::Online);
    report("IDLE").await;
    // Set by a request, it counts like an active session for a while.
    assert_eq!(status("idle").await, (Status::Online, Reason::Active, "idle".into()));
    rest.set_custom_status("alice", "IDLE").await.ok::<Record>();
    report("ONLINE").await;
    assert_eq!(
        status("the custom status still holds").await,
        (Status::Idle, Reason::Custom, "the custom status still holds".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_limited_to_32_reports() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    for index in 0..32 {
        let source = format!("source-{index}");
        rest.report("alice", json!({"status": "ONLINE", "source": source}))
            .await
            .ok::<Record>();
    }
    let before = daemon.logged(rest.record("alice").await).await;
    assert_eq!(before.sessions, Some(32));
    rest.report("alice", json!({"status": "ONLINE", "source": "source-32"}))
        .await
        .rejected(429, "too_many");
    assert_eq!(rest.record("alice").await, before);
    rest.report("alice", json!({"status": "IDLE", "source": "source-0"}))
        .await
        .ok::<Record>();
    let _connection = daemon.socket("alice").await;
    assert_eq!(
        rest.record("alice").await.sessions,
        Some(33),
        "connections are counted apart"
    );
    assert_eq!(rest.kick("alice").await, 33);
    assert_eq!(rest.record("alice").await.status, Status::Offline);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_report_is_rejected_without_effect() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let long = "s".repeat(65);
    let bad: Vec<Value> = vec![
        json!({}),
        json!({"status": "AWAY"}),
        json!({"status": "online"}),
        json!({"status": null}),
        json!({"status": 1}),
        json!({"status": "ONLINE", "ttlSeconds": 0}),
        json!({"status": "ONLINE", "ttlSeconds": 86_401}),
        json!({"status": "ONLINE", "ttlSeconds": -1}),
        json!({"status": "ONLINE", "ttlSeconds": 1.5}),
        json!({"status": "ONLINE", "ttlSeconds": "60"}),
        json!({"status": "ONLINE", "ttlSeconds": 18_446_744_073_709_551_615_u64}),
        json!({"status": "ONLINE", "source": ""}),
        json!({"status": "ONLINE", "source": long}),
        json!({"status": "ONLINE", "source": "a b"}),
        json!({"status": "ONLINE", "source": "grün"}),
        json!({"status": "ONLINE", "source": "a/b"}),
        json!({"status": "ONLINE", "source": "a\u{0}"}),
        json!({"status": "ONLINE", "updateLastActive": "yes"}),
    ];
    for body in bad {
        let answer = rest.report("alice", body.clone()).await;
        assert_eq!(answer.status, 400, "{body} {}", answer.body);
        answer.rejected(400, answer.code());
        assert_eq!(rest.record("alice").await.revision.get(), 0, "{body}");
    }
    for (ttl, source) in [(1, "s".repeat(64)), (86_400, "A-Z_a.z0".to_owned())] {
        let body = json!({"status": "ONLINE", "ttlSeconds": ttl, "source": source, "unknown": [{}]});
        assert_eq!(rest.report("alice", body).await.status, 200);
    }
}
