//! What a start finds after a run whose disk failed, on engines whose time the test owns.

use std::time::Duration;

use presence::Status;

use super::stepped_engine::Stepped;
use crate::engine::heartbeat::RunEnd;

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
