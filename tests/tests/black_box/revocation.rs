//! Revocation: an operator has a user's older tokens refused, and its sessions end.

use std::time::Duration;

use presence::wire::rest::{Revoke, RevokeResponse};
use presence::{Status, Wall};
use presence_tests::clock::wall_now;
use presence_tests::jwt::{claims, hs256, issued};
use presence_tests::presencectl::run;
use presence_tests::rest::send;
use presence_tests::websocket::{HandshakeError, HandshakeHeaders};
use presence_tests::{Daemon, Socket};
use reqwest::Method;
use serde_json::json;

/// Whether the daemon accepts a token of alice, over REST and as a handshake.
async fn is_let_in(daemon: &Daemon, token: &str) -> bool {
    let request = daemon.rest().request(Method::GET, "/api/presence/alice");
    let answer = send(request.header("authorization", format!("Bearer {token}"))).await;
    let socket = Socket::connect(daemon.address(), HandshakeHeaders::bearer(token)).await;
    if answer.status == 200 {
        assert!(socket.is_ok());
        return true;
    }
    answer.rejected(403, "forbidden");
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.contains("revoked"), "{detail}");
    assert_eq!(socket.unwrap_err(), HandshakeError::Http(403, "forbidden".into()));
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_ends_sessions_and_refuses_older_tokens() {
    let daemon = Daemon::start(&[]).await;
    let (rest, key) = (daemon.rest(), daemon.jwt_key());
    let old = hs256(&key, &issued("alice", 60));
    let by_token = Socket::connect(daemon.address(), HandshakeHeaders::bearer(&old)).await;
    let (mut by_token, mut by_proxy) = (by_token.unwrap(), daemon.socket("alice").await);
    let of_bob = hs256(&key, &issued("bob", 60));
    let bob = Socket::connect(daemon.address(), HandshakeHeaders::bearer(&of_bob)).await;
    let mut bob = bob.unwrap();
    let report = rest.report("alice", json!({"status": "ONLINE"})).await;
    assert_eq!(report.status, 200);
    assert_eq!(rest.revoked_before("alice").await, None);

    let asked = wall_now();
    let revoked = rest.revoke("alice").await;
    assert!(revoked.before > asked && revoked.before <= wall_now().after(Duration::from_millis(1)));
    assert_eq!(
        (revoked.ended, revoked.kept),
        (3, false),
        "two connections and a report"
    );
    assert_eq!(revoked.unreached, []);
    for socket in [&mut by_token, &mut by_proxy] {
        assert_eq!(socket.goodbye().await, (4001, "expired".to_owned(), Some(1_000)));
    }
    assert_eq!(rest.revoked_before("alice").await, Some(revoked.before));
    for token in [&old, &hs256(&key, &claims("alice", 60))] {
        assert!(!is_let_in(&daemon, token).await);
    }
    // The issuer's clock may be ahead.
    assert!(is_let_in(&daemon, &hs256(&key, &issued("alice", -2))).await);
    let _by_proxy = daemon.socket("alice").await;
    bob.watch(&["alice"]).await;
    assert_eq!(rest.revoked_before("bob").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_come_back_within_the_grace_period_are_never_offline() {
    let daemon = Daemon::start(&[]).await;
    let mut observer = daemon.observer().await;
    observer.snapshot(json!({"type": "watchAll"})).await;
    let mut alice = daemon.socket("alice").await;
    observer.wait_for_status("alice", Status::Online).await;
    daemon.rest().revoke("alice").await;
    alice.goodbye().await;
    let token = hs256(&daemon.jwt_key(), &issued("alice", -2));
    let again = Socket::connect(daemon.address(), HandshakeHeaders::bearer(&token)).await;
    let mut again = again.unwrap();
    let changed = async { again.set_custom_status("IDLE").await };
    let told = observer.updates_before("alice", changed).await;
    let is_offline = |update| presence_tests::websocket::shows(update, "alice", Status::Offline);
    assert!(!told.iter().any(is_offline), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_names_a_time_that_is_not_ahead_and_never_goes_back() {
    let daemon = Daemon::start(&[]).await;
    let (rest, key) = (daemon.rest(), daemon.jwt_key());
    let (older, newer) = (hs256(&key, &issued("alice", 600)), hs256(&key, &issued("alice", 200)));
    let at = |seconds_ago| Revoke {
        before: Some(wall_now().before(Duration::from_secs(seconds_ago))),
    };
    let named = at(400);
    let revoked: RevokeResponse = rest.try_revoke("alice", &named).await.ok();
    assert_eq!((Some(revoked.before), revoked.kept), (named.before, false));
    assert!(!is_let_in(&daemon, &older).await);
    assert!(is_let_in(&daemon, &newer).await);
    let earlier: RevokeResponse = rest.try_revoke("alice", &at(500)).await.ok();
    assert_eq!((earlier.before, earlier.kept), (revoked.before, true));
    let ahead = Revoke {
        before: Some(wall_now().after(Duration::from_secs(3_600))),
    };
    let refused = rest.try_revoke("alice", &ahead).await;
    refused.rejected(400, "invalid_value");
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("lies in the future"), "{detail}");
    assert!(is_let_in(&daemon, &newer).await, "nothing was done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_survives_a_crash_and_a_removal() {
    let mut daemon = Daemon::start(&[]).await;
    let token = hs256(&daemon.jwt_key(), &issued("alice", 60));
    assert!(is_let_in(&daemon, &token).await);
    let before = daemon.rest().revoke("alice").await.before;
    daemon.crash_and_start_again().await;
    assert_eq!(daemon.rest().revoked_before("alice").await, Some(before));
    assert!(!is_let_in(&daemon, &token).await);
    daemon.rest().forget("alice").await;
    daemon.crash_and_start_again().await;
    assert!(!is_let_in(&daemon, &token).await);
    assert_eq!(daemon.rest().revoked_before("alice").await, Some(before));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_internal_secret_revokes() {
    let daemon = Daemon::start(&[]).await;
    let (rest, path) = (daemon.rest(), "/api/presence/alice/revocation");
    for method in [Method::GET, Method::PUT] {
        let by_user = send(rest.user("alice", method.clone(), path)).await;
        by_user.rejected(401, "unauthenticated");
        send(rest.request(method, path)).await.rejected(401, "unauthenticated");
    }
    assert_eq!(rest.revoked_before("alice").await, None);
    for body in ["[]", "{\"before\":7}", "{\"before\":\"yesterday\"}", "{"] {
        let refused = send(rest.internal(Method::PUT, path).body(body)).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.body);
    }
    let without_body = send(rest.internal(Method::PUT, path)).await;
    assert_eq!(without_body.ok::<RevokeResponse>().ended, 0, "of nobody seen");
}

#[tokio::test(flavor = "multi_thread")]
async fn presencectl_revokes_and_says_what_holds() {
    let daemon = Daemon::start(&[]).await;
    let unknown = run(&daemon, &["revoke", "alice", "--yes"]).await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(unknown.err.contains("was never seen"), "{unknown:?}");
    let mut alice = daemon.socket("alice").await;
    let old = hs256(&daemon.jwt_key(), &issued("alice", 60));

    let revoked = run(&daemon, &["revoke", "alice", "--yes"]).await;
    assert_eq!(revoked.code, 0, "{revoked:?}");
    assert!(
        revoked.out.starts_with("tokens of alice that were issued before 2")
            && revoked.out.ends_with("1 session ended\n"),
        "{revoked:?}"
    );
    assert_eq!(alice.goodbye().await.0, 4001);
    assert!(!is_let_in(&daemon, &old).await);

    let earlier = run(&daemon, &["revoke", "alice", "--before", "10m", "--yes", "-o", "json"]).await;
    let document = earlier.json();
    let before: Wall = serde_json::from_value(document["before"].clone()).unwrap();
    assert_eq!(Some(before), daemon.rest().revoked_before("alice").await);
    assert_eq!(
        (&document["userId"], &document["kept"], &document["unreached"]),
        (&json!("alice"), &json!(true), &json!([]))
    );
    let ahead = run(
        &daemon,
        &["revoke", "alice", "--before", "2999-01-01T00:00:00Z", "--yes"],
    )
    .await;
    assert_eq!(ahead.code, 1, "{ahead:?}");
    assert!(ahead.err.contains("lies in the future"), "{ahead:?}");
}
