//! What a session asked for and what only takes effect after it has ended.

use std::sync::Arc;

use presence::{CustomStatus, EndReason};

use super::fixture::user;
use super::stepped_engine::{Stepped, SteppedClient};
use crate::connection::close_reason::{CloseReason, RetryAfter};
use crate::engine::EngineError;
use crate::store::StoreError;

/// The result of a `setStatus` that waits behind a forget, and that `meanwhile` happens to.
async fn set_status_behind_a_forget(
    stepped: &Stepped,
    ann: &SteppedClient,
    meanwhile: impl FnOnce(),
) -> Result<(), EngineError> {
    let engine = &stepped.engine;
    let held = stepped.store.hold_commits();
    let forgetting = {
        let engine = Arc::clone(engine);
        tokio::spawn(async move { engine.forget(&user("ann")).await })
    };
    while !engine.user_locks.is_locked(&user("ann")) {
        tokio::task::yield_now().await;
    }
    let mut setting = Box::pin(engine.set_own_custom_status(&ann.conn, CustomStatus::DoNotDisturb));
    let is_done = tokio::select! {
        biased;
        _ = &mut setting => true,
        () = tokio::task::yield_now() => false,
    };
    assert!(!is_done, "it waits");
    meanwhile();
    drop(held);
    forgetting.await.expect("an answer").expect("a removal");
    setting.await.map(drop)
}

#[tokio::test]
async fn a_forgotten_session_sets_no_status_whatever_closed_it() {
    let reasons = [
        CloseReason::Forgotten,
        CloseReason::TokenExpired,
        CloseReason::TooSlow,
        CloseReason::Kicked,
        CloseReason::Draining {
            retry_after: RetryAfter::default(),
        },
    ];
    for reason in reasons {
        let stepped = Stepped::new().await;
        let ann = stepped.connect("ann").await;
        let close = || ann.conn.close_with(reason);
        let set = set_status_behind_a_forget(&stepped, &ann, close).await;
        assert_eq!(set, Err(EngineError::Store(StoreError::Forgotten)), "{reason:?}");
        stepped.write().await;
        assert_eq!(stepped.stored("ann").await, None, "{reason:?}");
    }
}

#[tokio::test]
async fn a_session_that_ended_before_a_forget_sets_no_status() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    let end = || stepped.disconnect(&ann, EndReason::Dropped);
    let set = set_status_behind_a_forget(&stepped, &ann, end).await;
    assert_eq!(set, Err(EngineError::Store(StoreError::Forgotten)));
    stepped.write().await;
    assert_eq!(stepped.stored("ann").await, None);
}

#[tokio::test]
async fn a_new_session_lets_no_forgotten_one_set_a_status() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    assert_eq!(stepped.engine.forget(&user("ann")).await, Ok(1));
    let again = stepped.connect("ann").await;
    let set = |client: &SteppedClient| {
        let (engine, conn) = (Arc::clone(&stepped.engine), Arc::clone(&client.conn));
        async move { engine.set_own_custom_status(&conn, CustomStatus::Idle).await.map(drop) }
    };
    assert_eq!(set(&ann).await, Err(EngineError::Store(StoreError::Forgotten)));
    assert_eq!(set(&again).await, Ok(()));
}

#[tokio::test]
async fn a_connection_with_a_close_reason_still_sets_its_status() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    ann.conn.close_with(CloseReason::TooSlow);
    let set = stepped.engine.set_own_custom_status(&ann.conn, CustomStatus::Idle);
    assert!(set.await.is_ok_and(|record| record.is_some()));
}
