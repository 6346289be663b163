//! What a start finds after a run whose disk failed, on engines whose time the test owns.

use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{Actor, CustomStatus, Status};

use super::fixture::user;
use super::stepped_engine::Stepped;
use crate::engine::EngineError;
use crate::engine::heartbeat::RunEnd;
use crate::store::StoreError;

#[tokio::test]
async fn users_are_in_grace_after_a_run_that_could_not_write() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    stepped.write().await;
    stepped.store.fail_writes(true);
    for _ in 0..6 {
        stepped.clock.advance(Duration::from_secs(60));
        let saved = stepped.engine.save_heartbeat(RunEnd::Running).await;
        assert!(saved.is_err(), "the database can't be written");
    }
    let told = stepped
        .engine
        .cluster
        .next_revision(presence::Revision::NEVER, stepped.clock.wall());
    let stepped = stepped.crash(Duration::from_secs(1)).await;
    assert_eq!(stepped.status("ann").await, Status::Online);
    let next = stepped
        .engine
        .cluster
        .next_revision(presence::Revision::NEVER, stepped.clock.wall());
    assert!(next > told, "{next:?} {told:?}");
    let stepped = stepped.crash(Duration::from_secs(301)).await;
    assert_eq!(
        stepped.status("ann").await,
        Status::Offline,
        "after a long downtime there is no grace"
    );
}

async fn set_status(stepped: &Stepped, name: &str, custom: CustomStatus) -> Result<(), EngineError> {
    let user = user(name);
    let set = stepped
        .engine
        .set_custom_status(&user, custom, Actor::User, Viewer::Own);
    set.await.map(|record| assert_eq!(record.custom_status, Some(custom)))
}

#[tokio::test]
async fn a_row_with_the_largest_revision_harms_nobody_else() {
    for largest in [i64::MAX, (1 << 53) - 1] {
        let stepped = Stepped::new().await;
        let _ann = stepped.connect("ann").await;
        stepped.write().await;
        let changed = stepped
            .database()
            .execute("UPDATE profile SET revision = ?1", [largest]);
        assert_eq!(changed, Ok(1));
        let stepped = stepped.crash(Duration::from_secs(1)).await;
        let ann = stepped.connect("ann").await;
        let shown = stepped
            .engine
            .record(&user("ann"), Viewer::Internal)
            .await
            .expect("a record");
        assert_eq!(
            (shown.status, shown.degraded),
            (Status::Online, true),
            "without the row"
        );
        set_status(&stepped, "bob", CustomStatus::Idle)
            .await
            .expect("a custom status");
        let shown = stepped
            .engine
            .record(&user("bob"), Viewer::Own)
            .await
            .expect("a record");
        assert!(shown.revision < presence::Revision::MAX, "{shown:?}");
        stepped.disconnect(&ann, presence::EndReason::Closed);
    }
}

#[tokio::test]
async fn a_custom_status_stored_after_its_caller_gave_up_is_shown() {
    let stepped = Stepped::impatient().await;
    let _ann = stepped.connect("ann").await;
    let held = stepped.store.hold_commits();
    let late = set_status(&stepped, "ann", CustomStatus::DoNotDisturb).await;
    assert_eq!(late, Err(EngineError::Store(StoreError::UnknownOutcome)));
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.engine.settle_unknown_outcomes().await;
    assert_eq!(stepped.status("ann").await, Status::Online, "it is not known yet");
    drop(held);
    stepped.engine.settle_unknown_outcomes().await;
    assert_eq!(stepped.status("ann").await, Status::DoNotDisturb);
}
