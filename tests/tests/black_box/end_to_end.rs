//! A user's presence from end to end over REST and WebSocket, and calls that are rejected.

use presence::wire::record::Record;
use presence::wire::server_message::ServerMessage;
use presence::{CustomStatus, Status};
use presence_tests::clock::wall_now;
use presence_tests::rest::send;
use presence_tests::{Daemon, Rest, Socket};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_status_set_while_offline_applies_at_connect() {
    let daemon = Daemon::start(&[]).await;
    let saved: Record = daemon.rest().set_custom_status("alice", "IDLE").await.ok();
    let saved = daemon.logged(saved).await;
    assert_eq!(saved.status, Status::Offline);
    assert_eq!(saved.custom_status, Some(CustomStatus::Idle));
    assert_eq!((saved.since, saved.last_seen, saved.last_active), (None, None, None));
    assert!(saved.revision.get() > 0);

    let mut bob = daemon.socket("bob").await;
    let seen = bob.watch(&["alice"]).await.record("alice");
    assert_eq!(
        (seen.status, seen.custom_status, seen.sessions),
        (Status::Offline, None, None)
    );
    assert_eq!(seen.revision, saved.revision);

    let alice = daemon.session("alice").await;
    let own = alice.user.as_ref().unwrap();
    assert_eq!(
        (own.status, own.custom_status, own.sessions),
        (Status::Idle, Some(CustomStatus::Idle), Some(1))
    );
    let told = bob.wait_for_revision("alice", own.revision).await;
    assert_eq!((told.status, told.revision), (Status::Idle, own.revision));
    assert!(told.revision > saved.revision);
    assert_eq!(
        (told.custom_status, told.sessions, told.reason),
        (None, None, None),
        "others are not told these"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_status_reaches_every_device_and_watcher() {
    let daemon = Daemon::start(&[]).await;
    let mut phone = daemon.socket("alice").await;
    let mut laptop = daemon.socket("alice").await;
    let mut watchers = [daemon.socket("bob").await, daemon.socket("carol").await];
    for watcher in &mut watchers {
        watcher.watch(&["alice"]).await;
    }

    let saved = daemon.logged(phone.set_custom_status("DO_NOT_DISTURB").await).await;
    assert_eq!(
        (saved.status, saved.custom_status),
        (Status::DoNotDisturb, Some(CustomStatus::DoNotDisturb))
    );
    assert_eq!(saved.sessions, Some(2));
    for device in [&mut phone, &mut laptop] {
        let told = device.wait_for_status("alice", Status::DoNotDisturb).await;
        assert_eq!(
            (told.revision, told.custom_status),
            (saved.revision, Some(CustomStatus::DoNotDisturb))
        );
    }
    for watcher in &mut watchers {
        let told = watcher.wait_for_status("alice", Status::DoNotDisturb).await;
        assert_eq!((told.revision, told.custom_status), (saved.revision, None));
    }

    let by_rest: Record = daemon.rest().set_custom_status("alice", "ONLINE").await.ok();
    let by_rest = daemon.logged(by_rest).await;
    for device in [&mut phone, &mut laptop] {
        assert_eq!(
            device.wait_for_status("alice", Status::Online).await.revision,
            by_rest.revision
        );
    }
    assert_eq!(daemon.rest().custom_status("alice").await, "ONLINE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_close_is_offline_at_once_with_its_time() {
    let daemon = Daemon::start(&["--grace", "20s"]).await;
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice"]).await;
    for code in [Some(1000), None] {
        let alice = daemon.socket("alice").await;
        let online = bob.wait_for_status("alice", Status::Online).await;
        let earliest = daemon.later_than(online.since).await;
        alice.close(code).await;
        let told = bob.wait_for_status("alice", Status::Offline).await;
        let after = wall_now();
        let (seen, active) = (told.last_seen.unwrap(), told.last_active.unwrap());
        assert_eq!(seen, active, "a close frame is the user's doing");
        assert!(earliest <= seen && seen <= after, "{earliest} {seen} {after}");
        assert!(
            earliest <= told.since.unwrap() && told.since.unwrap() <= after,
            "not after a grace"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_status_outlives_ten_reconnects() {
    let daemon = Daemon::start(&[]).await;
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice"]).await;
    daemon.rest().set_custom_status("alice", "DO_NOT_DISTURB").await;
    let mut revision = 0;
    for _ in 0..10 {
        let alice = daemon.socket("alice").await;
        assert_eq!(alice.user.as_ref().unwrap().status, Status::DoNotDisturb);
        assert_eq!(
            alice.user.as_ref().unwrap().custom_status,
            Some(CustomStatus::DoNotDisturb)
        );
        let came = bob.wait_for_status("alice", Status::DoNotDisturb).await;
        alice.close(Some(1000)).await;
        let went = bob.wait_for_status("alice", Status::Offline).await;
        assert!(revision < came.revision.get() && came.revision < went.revision);
        revision = went.revision.get();
    }
}

/// The record and the custom status of alice.
async fn state_of_alice(rest: &Rest) -> (Record, String) {
    (rest.record("alice").await, rest.custom_status("alice").await)
}

/// Calls that must be rejected: caller, method and path, body, status, code.
const REJECTED: &str = r#"
    user         | PUT /api/user/custom-status         | {"customStatus":"OFFLINE"}              | 400 | invalid_custom_status
    user         | PUT /api/user/custom-status         | {"customStatus":"idle"}                 | 400 | invalid_custom_status
    user         | PUT /api/user/custom-status         | {"customStatus":""}                     | 400 | invalid_custom_status
    nobody       | PUT /api/user/custom-status         | {"customStatus":"IDLE"}                 | 401 | unauthenticated
    internal     | PUT /api/user/custom-status         | {"customStatus":"IDLE"}                 | 400 | missing_user
    internal     | PUT /api/user/realtime              | {"status":"ONLINE"}                     | 400 | missing_user
    user         | PUT /api/user/realtime              | {"status":"ONLINE"}                     | 401 | unauthenticated
    wrong secret | PUT /api/user/custom-status         | {"customStatus":"IDLE"}                 | 403 | forbidden
    wrong secret | PUT /api/user/realtime              | {"status":"ONLINE"}                     | 403 | forbidden
    user         | PUT /api/user/custom-status         | {"customStatus":"IDLE","by":"operator"} | 403 | forbidden
    user         | DELETE /api/presence/alice/sessions |                                         | 401 | unauthenticated
    wrong secret | DELETE /api/presence/alice/sessions |                                         | 403 | forbidden
    empty secret | DELETE /api/user/alice              |                                         | 401 | unauthenticated
"#;

fn request(rest: &Rest, who: &str, method: Method, path: &str) -> RequestBuilder {
    match who {
        "user" => rest.user("alice", method, path),
        "internal" => rest.internal(method, path),
        "wrong secret" => rest.user("alice", method, path).header("x-secret-token", "wrong"),
        "empty secret" => rest.user("alice", method, path).header("x-secret-token", ""),
        _ => rest.request(method, path),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_call_has_a_code_and_no_effect() {
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    let mut alice = daemon.socket("alice").await;
    daemon.logged(alice.set_custom_status("DO_NOT_DISTURB").await).await;
    let before = state_of_alice(&rest).await;
    for line in REJECTED.lines().filter(|line| !line.trim().is_empty()) {
        let [who, call, body, status, code] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let (method, path) = call.split_once(' ').unwrap();
        let mut call = request(&rest, who, method.parse().unwrap(), path);
        if !body.is_empty() {
            call = call.header("content-type", "application/json").body(body);
        }
        send(call).await.rejected(status.parse().unwrap(), code);
        assert_eq!(state_of_alice(&rest).await, before, "{line}");
    }
    assert_still_served(&mut alice).await;
}

async fn assert_still_served(alice: &mut Socket) {
    let answer = alice.ask(json!({"type": "setStatus", "customStatus": "OFFLINE"})).await;
    assert!(
        matches!(&answer, ServerMessage::Error { code, .. } if *code == presence::wire::error_code::Code::InvalidCustomStatus),
        "{answer:?}"
    );
    assert!(matches!(
        alice.ask(json!({"type": "ping"})).await,
        ServerMessage::Pong { .. }
    ));
}
