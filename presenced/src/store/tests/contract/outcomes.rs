//! Answers that a write failed or that its outcome is unknown, and when that is decided.

use std::time::Duration;

use presence::CustomStatus::{DoNotDisturb, Idle};
use presence::{Status, Version};

use super::on_every_backend;
use crate::store::tests::fixture::{Backend, status, user};
use crate::store::{OpenOptions, Store, StoreError};

on_every_backend! {
    a_write_that_failed_is_not_stored_and_the_next_one_succeeds,
    a_commit_that_failed_stores_nothing_of_its_requests,
    reads_go_on_while_writes_fail,
    a_write_not_answered_in_time_has_an_unknown_outcome,
    settling_waits_until_an_unknown_write_is_done,
    settling_waits_until_an_unknown_write_has_failed_for_good,
    settling_without_unknown_outcomes_answers_at_once,
    a_write_whose_caller_is_gone_is_done,
}

/// How long a caller waits that is to give up; longer each time, if a write is not even begun by then.
const SOON: Duration = Duration::from_millis(100);
/// How long it waits at most: PostgreSQL ends a transaction that stands still for longer.
const LATEST: Duration = Duration::from_secs(8);

fn is_unavailable<T>(answer: &Result<T, StoreError>) -> bool {
    matches!(answer, Err(StoreError::Unavailable { .. }))
}

/// Asks until the outcomes are settled.
async fn settle(store: &Store) {
    while store.settle_unknown_outcomes().await.is_err() {}
}

/// Sets the custom status of `alice` while commits are held, and gives up when the write has begun.
async fn give_up(store: &Store, revision: u64) {
    let mut patience = SOON;
    let mut answer = Ok(());
    while patience < LATEST {
        store.answer_within(patience);
        answer = store.set_custom("alice", Idle, revision).await.map(drop);
        // One that was not begun is withdrawn: nothing is stored of it.
        if !is_unavailable(&answer) {
            break;
        }
        patience *= 2;
    }
    assert_eq!(answer, Err(StoreError::UnknownOutcome));
    store.answer_within(OpenOptions::patient().answer_within);
}

async fn a_write_that_failed_is_not_stored_and_the_next_one_succeeds(backend: Backend) {
    let store = backend.open();
    store.set_custom("alice", Idle, 1).await.unwrap();
    store.fail_writes(true);
    assert!(is_unavailable(&store.set_custom("alice", DoNotDisturb, 2).await));
    assert!(is_unavailable(&store.end_reports(&user("alice"), Version::NONE).await));
    assert!(is_unavailable(
        &store.save_statuses(vec![status("bob", Status::Online, 1)]).await
    ));
    assert!(is_unavailable(&store.settle_unknown_outcomes().await));
    assert!(!store.health().writable);
    store.fail_writes(false);
    assert_eq!(
        (store.custom("alice").await, store.custom("bob").await),
        (Some(Idle), None)
    );
    let saved = store.set_custom("alice", DoNotDisturb, 2).await.unwrap();
    assert_eq!(saved.version, Version::new(2), "no version is left out either");
    assert!(store.health().writable);
}

async fn a_commit_that_failed_stores_nothing_of_its_requests(backend: Backend) {
    let store = backend.open();
    store.fail_commits(true);
    let (one, other) = tokio::join!(store.set_custom("alice", Idle, 1), store.set_custom("bob", Idle, 1));
    assert!(is_unavailable(&one) && is_unavailable(&other), "{one:?} {other:?}");
    store.fail_commits(false);
    assert_eq!((store.custom("alice").await, store.custom("bob").await), (None, None));
    store.set_custom("alice", Idle, 1).await.unwrap();
}

async fn reads_go_on_while_writes_fail(backend: Backend) {
    let store = backend.open();
    store.set_custom("alice", Idle, 1).await.unwrap();
    store.fail_writes(true);
    assert!(is_unavailable(&store.set_custom("alice", DoNotDisturb, 2).await));
    assert_eq!(store.custom("alice").await, Some(Idle));
    store.fail_reads(true);
    assert!(is_unavailable(&store.load(&user("alice")).await));
    store.fail_reads(false);
    assert_eq!(store.custom("alice").await, Some(Idle));
}

async fn a_write_not_answered_in_time_has_an_unknown_outcome(backend: Backend) {
    let store = backend.open();
    let held = store.hold_commits();
    give_up(&store, 1).await;
    assert_eq!(store.custom("alice").await, None, "not yet, and not half of it");
    drop(held);
    settle(&store).await;
    assert_eq!(store.custom("alice").await, Some(Idle));
}

async fn settling_waits_until_an_unknown_write_is_done(backend: Backend) {
    let store = backend.open();
    for number in 1..=5 {
        let held = store.hold_commits();
        give_up(&store, number).await;
        store.answer_within(SOON);
        let undecided = store.settle_unknown_outcomes().await;
        assert!(undecided.is_err(), "nothing is decided while the commit hangs");
        store.answer_within(OpenOptions::patient().answer_within);
        drop(held);
        settle(&store).await;
        assert_eq!(store.durable("alice").await.version, Version::new(number));
    }
}

async fn settling_waits_until_an_unknown_write_has_failed_for_good(backend: Backend) {
    let store = backend.open();
    let held = store.hold_commits();
    give_up(&store, 1).await;
    store.fail_commits(true);
    drop(held);
    // Whether the first answer comes from the failed commit or from the next attempt, it is no success.
    assert!(store.settle_unknown_outcomes().await.is_err());
    store.fail_commits(false);
    settle(&store).await;
    assert_eq!(store.custom("alice").await, None);
    store.set_custom("bob", Idle, 1).await.unwrap();
    assert_eq!(store.custom("alice").await, None, "it is not done later");
}

async fn settling_without_unknown_outcomes_answers_at_once(backend: Backend) {
    let store = backend.open();
    assert_eq!(store.settle_unknown_outcomes().await, Ok(()));
    store.set_custom("alice", Idle, 1).await.unwrap();
    assert_eq!(store.settle_unknown_outcomes().await, Ok(()));
    assert_eq!(
        store.durable("alice").await.version,
        Version::new(1),
        "it writes nothing"
    );
}

async fn a_write_whose_caller_is_gone_is_done(backend: Backend) {
    let store = backend.open();
    let held = store.hold_commits();
    tokio::select! {
        biased;
        answer = store.set_custom("alice", DoNotDisturb, 1) => panic!("answered before the commit: {answer:?}"),
        () = std::future::ready(()) => {}
    }
    drop(held);
    store.set_custom("bob", Idle, 1).await.unwrap();
    assert_eq!(store.custom("alice").await, Some(DoNotDisturb));
}
