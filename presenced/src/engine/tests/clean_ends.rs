//! A run ends cleanly only if everything that was told is on disk, and what a start continues is such a run alone, on engines
//! whose time the test owns.

use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{Actor, Cursor, CustomStatus, Status};

use super::fixture::user;
use super::resuming::{TakenSnapshot, snapshot};
use super::stepped_engine::Stepped;
use crate::engine::EngineError;
use crate::engine::heartbeat::RunEnd;
use crate::store::StoreError;

async fn set(stepped: &Stepped, name: &str, custom: CustomStatus) -> Result<(), EngineError> {
    let user = user(name);
    let set = stepped
        .engine
        .set_custom_status(&user, custom, Actor::User, Viewer::Own);
    set.await.map(|_| ())
}

/// Ann is connected, and it is not known whether the disk has the custom status that she set.
async fn with_unknown_outcome() -> Stepped {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    let held = stepped.store.hold_commits();
    let setting = set(&stepped, "ann", CustomStatus::DoNotDisturb);
    let late = stepped.store.give_up(setting).await;
    assert_eq!(late, Err(EngineError::Store(StoreError::UnknownOutcome)));
    drop(held);
    stepped
}

async fn watch(stepped: &Stepped, name: &str, since: Option<Cursor>) -> TakenSnapshot {
    let client = stepped.observe();
    let watched = stepped.engine.watch(&client.conn, None, vec![user(name)], since).await;
    watched.expect("a watch");
    let taken = snapshot(stepped, &client);
    stepped.disconnect(&client, presence::EndReason::Lost);
    taken
}

fn is_clean_on_disk(stepped: &Stepped) -> bool {
    let clean = stepped
        .database()
        .query_row("SELECT clean FROM heartbeat", [], |row| row.get(0));
    clean.expect("a heartbeat")
}

#[tokio::test]
async fn a_clean_end_shows_first_what_a_late_write_stored() {
    let stepped = with_unknown_outcome().await;
    assert_eq!(stepped.finish().await, RunEnd::Clean);
    assert_eq!(stepped.status("ann").await, Status::DoNotDisturb);
    let row = stepped.stored("ann").await.expect("a row");
    assert_eq!(row.status, Status::DoNotDisturb, "as it was told");
    assert!(is_clean_on_disk(&stepped));
}

#[tokio::test]
async fn an_end_with_an_unknown_outcome_is_not_clean() {
    let stepped = with_unknown_outcome().await;
    stepped.store.fail_reads(true);
    assert_eq!(stepped.finish().await, RunEnd::Running);
    assert!(!is_clean_on_disk(&stepped));
    stepped.store.fail_reads(false);
    assert_eq!(stepped.finish().await, RunEnd::Clean);
}

#[tokio::test]
async fn a_clean_end_reads_degraded_users_first_and_writes_them() {
    let stepped = Stepped::new().await;
    stepped.store.fail_reads(true);
    let _ann = stepped.connect("ann").await;
    assert!(stepped.record("ann").await.degraded);
    assert_eq!(stepped.finish().await, RunEnd::Running, "her row was never read");
    assert!(!is_clean_on_disk(&stepped));
    stepped.store.fail_reads(false);
    assert_eq!(stepped.finish().await, RunEnd::Clean);
    let row = stepped.stored("ann").await.expect("a row");
    assert_eq!((row.status, row.connected_on.len()), (Status::Online, 1));
}

#[tokio::test]
async fn a_cursor_does_not_resume_over_a_run_that_could_not_write() {
    let stepped = Stepped::new().await;
    let _bob = stepped.connect("bob").await;
    let cursor = watch(&stepped, "ann", None).await.cursor;
    assert_eq!(stepped.finish().await, RunEnd::Clean);
    let stepped = stepped.crash_on_full_disk(Duration::from_secs(1)).await;
    assert!(
        watch(&stepped, "ann", Some(cursor)).await.is_resumed,
        "the run before ended cleanly"
    );
    let _ann = stepped.connect("ann").await;
    // What the database says last is still the clean end.
    assert!(is_clean_on_disk(&stepped));
    let stepped = stepped.crash(Duration::from_secs(1)).await;
    assert!(!watch(&stepped, "ann", Some(cursor)).await.is_resumed);
}

#[tokio::test]
async fn a_status_stored_without_a_change_is_not_listed_again() {
    let stepped = Stepped::new().await;
    set(&stepped, "ann", CustomStatus::Online)
        .await
        .expect("a custom status");
    let cursor = watch(&stepped, "ann", None).await.cursor;
    stepped.write().await;
    assert!(!stepped.engine.is_in_memory(&user("ann")));
    assert!(stepped.stored("ann").await.is_some_and(|row| row.revision.get() > 0));
    let resumed = watch(&stepped, "ann", Some(cursor)).await;
    assert_eq!((resumed.is_resumed, resumed.listed), (true, vec![]));
}
