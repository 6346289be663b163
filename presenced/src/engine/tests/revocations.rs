//! Revocations: on disk first, then in memory, then sessions end, whoever is being admitted meanwhile.

use std::sync::Arc;

use presence::{CustomStatus, EndReason, ReportInput, Source, Status, SystemWall};

use super::fixture::{Fixture, user};
use super::stepped_engine::{Stepped, SteppedClient};
use crate::connection::close_reason::CloseReason;
use crate::engine::{Engine, EngineError};
use crate::revocation::{NotedRevocations, user_hash};
use crate::store::StoreError;

fn at(millis: i64) -> SystemWall {
    SystemWall::from_millis(millis)
}

/// A session whose credential was checked when so much was revoked.
async fn connect_admitted(
    stepped: &Stepped,
    name: &str,
    noted: NotedRevocations,
) -> Result<SteppedClient, EngineError> {
    let client = SteppedClient::of(&stepped.engine, Some(user(name)), 65_536);
    let connected = stepped.engine.connect(&user(name), &client.conn, noted).await;
    connected.map(|_| client)
}

async fn revoke(engine: &Arc<Engine>, name: &str, millis: i64) -> (i64, u64) {
    let revoked = engine
        .revoke_tokens(&user(name), at(millis))
        .await
        .expect("a revocation");
    (revoked.issued_before.as_millis(), revoked.ended)
}

fn revoked_before(engine: &Engine, name: &str) -> Option<i64> {
    engine.revoked_before(&user(name)).map(SystemWall::as_millis)
}

#[tokio::test]
async fn a_revocation_ends_connections_and_reports_of_its_user() {
    let stepped = Stepped::new().await;
    let (ann, again, bob) = (
        stepped.connect("ann").await,
        stepped.connect("ann").await,
        stepped.connect("bob").await,
    );
    let report = ReportInput {
        source: Source::default(),
        status: Status::Online,
        ttl: None,
        update_last_active: false,
    };
    stepped.engine.report(&user("ann"), report).await.expect("a report");
    assert_eq!(revoke(&stepped.engine, "ann", 1_000).await, (1_000, 3));
    for conn in [&ann.conn, &again.conn] {
        assert_eq!(conn.close_reason(), Some(CloseReason::TokensRevoked));
        stepped.engine.disconnect(conn, EndReason::Dropped);
    }
    assert_eq!(bob.conn.close_reason(), None);
    let explain = stepped.engine.explain(&user("ann")).await.expect("an explanation");
    assert!(explain.sessions.is_empty() && explain.grace.is_some(), "{explain:?}");
    assert_eq!(stepped.stored("ann").await.expect("a row").durable.reports, []);
    assert_eq!(
        (
            revoked_before(&stepped.engine, "ann"),
            revoked_before(&stepped.engine, "bob")
        ),
        (Some(1_000), None)
    );
}

#[tokio::test]
async fn a_revocation_never_goes_back_and_ends_sessions_all_the_same() {
    let stepped = Stepped::new().await;
    assert_eq!(
        revoke(&stepped.engine, "ann", 1_000).await,
        (1_000, 0),
        "of nobody seen"
    );
    let ann = stepped.connect("ann").await;
    assert_eq!(revoke(&stepped.engine, "ann", 900).await, (1_000, 1));
    assert_eq!(ann.conn.close_reason(), Some(CloseReason::TokensRevoked));
    assert_eq!(revoked_before(&stepped.engine, "ann"), Some(1_000));
}

#[tokio::test]
async fn nothing_takes_effect_that_is_not_on_disk() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.store.fail_commits(true);
    let failed = stepped.engine.revoke_tokens(&user("ann"), at(1_000)).await;
    assert!(
        matches!(failed, Err(EngineError::Store(StoreError::Unavailable { .. }))),
        "{failed:?}"
    );
    stepped.store.fail_commits(false);
    assert_eq!(
        (ann.conn.close_reason(), revoked_before(&stepped.engine, "ann")),
        (None, None)
    );
    // It may have been stored: a look finds that it was not.
    stepped.engine.follow_revocations().await;
    assert_eq!(revoked_before(&stepped.engine, "ann"), None);
}

#[tokio::test]
async fn a_session_admitted_before_the_revocation_does_not_begin_after_it() {
    let stepped = Stepped::new().await;
    let watcher = stepped.connect("watcher").await;
    stepped.watch(&watcher, &["ann"]).await;
    let tokens = Arc::clone(&stepped.engine.revocations.tokens);
    let admitted = tokens.noted();
    revoke(&stepped.engine, "ann", 1_000).await;
    let late = connect_admitted(&stepped, "ann", admitted).await;
    assert_eq!(late.err(), Some(EngineError::TokensRevoked));
    stepped.deliver();
    assert_eq!(watcher.told(), [], "ann was never shown");
    let others = connect_admitted(&stepped, "bob", admitted).await;
    assert!(others.is_ok());
    let since = connect_admitted(&stepped, "ann", tokens.noted()).await;
    assert!(since.is_ok());
}

#[tokio::test]
async fn a_revocation_of_another_node_is_found_and_ends_sessions_here() {
    let stepped = Stepped::new().await;
    let (ann, bob) = (stepped.connect("ann").await, stepped.connect("bob").await);
    let cid = stepped.connect("cid").await;
    for name in ["ann", "bob", "nobody here"] {
        let revoked = stepped.store.revoke_tokens(user_hash(&user(name)), at(1_000));
        revoked.await.expect("a write");
    }
    assert_eq!(revoked_before(&stepped.engine, "ann"), None);
    stepped
        .engine
        .read_revocations(Some(&user("ann")))
        .await
        .expect("a read");
    for conn in [&ann.conn, &bob.conn] {
        assert_eq!(conn.close_reason(), Some(CloseReason::TokensRevoked));
    }
    assert_eq!(cid.conn.close_reason(), None);
    assert_eq!(revoked_before(&stepped.engine, "nobody here"), Some(1_000));
}

#[tokio::test]
async fn a_session_that_began_after_the_revocation_is_not_ended_by_a_look() {
    let stepped = Stepped::new().await;
    revoke(&stepped.engine, "ann", 1_000).await;
    let ann = stepped.connect("ann").await;
    for _ in 0..2 {
        stepped.engine.read_revocations(None).await.expect("a read");
        stepped
            .engine
            .read_revocations(Some(&user("ann")))
            .await
            .expect("a read");
    }
    assert_eq!(ann.conn.close_reason(), None);
}

#[tokio::test]
async fn known_revocations_hold_while_the_database_can_not_be_read() {
    let stepped = Stepped::new().await;
    revoke(&stepped.engine, "ann", 1_000).await;
    stepped.store.fail_reads(true);
    assert!(stepped.engine.read_revocations(None).await.is_err());
    assert_eq!(revoked_before(&stepped.engine, "ann"), Some(1_000));
    stepped.store.fail_reads(false);
    stepped.engine.read_revocations(None).await.expect("a read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_with_an_unknown_outcome_is_followed_up() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    let held = fixture.store.hold_commits();
    let revoked = user("ann");
    let revoking = fixture.engine.revoke_tokens(&revoked, at(1_000));
    let late = fixture.store.give_up(revoking).await;
    assert_eq!(late, Err(EngineError::Store(StoreError::UnknownOutcome)));
    assert_eq!(ann.conn.close_reason(), None);
    drop(held);
    fixture
        .until("ann's sessions end", |_| {
            ann.conn.close_reason() == Some(CloseReason::TokensRevoked)
        })
        .await;
    assert_eq!(revoked_before(&fixture.engine, "ann"), Some(1_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_survive_a_restart_and_a_removal_of_their_user() {
    let fixture = Fixture::new().await;
    fixture.set_status("ann", CustomStatus::Idle).await;
    revoke(&fixture.engine, "ann", 1_000).await;
    revoke(&fixture.engine, "bob", 2_000).await;
    fixture.engine.forget(&user("ann")).await.expect("a removal");
    let fixture = fixture.restart().await;
    assert_eq!(
        (
            revoked_before(&fixture.engine, "ann"),
            revoked_before(&fixture.engine, "bob")
        ),
        (Some(1_000), Some(2_000))
    );
    let _ann = fixture.connect("ann").await;
    fixture.stop().await;
}
