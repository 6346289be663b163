//! What the loops of a running engine call by themselves, on a clock that only the test moves.

use std::time::Duration;

use presence::Status;

use super::fixture::user;
use super::loading::{make_unreadable, store_do_not_disturb, until};
use super::stepped_engine::Stepped;
use super::tombstones::tombstones;

fn is_degraded(stepped: &Stepped, name: &str) -> bool {
    let entry = stepped.engine.users.find(&user(name));
    entry.is_some_and(|entry| entry.state.is_assumed())
}

#[tokio::test]
async fn a_row_that_is_not_due_is_not_read_with_those_that_are() {
    let stepped = Stepped::new().await;
    for name in ["ann", "bad"] {
        store_do_not_disturb(&stepped, name).await;
    }
    make_unreadable(&stepped, "bad");
    let _bad = stepped.connect("bad").await;
    stepped.engine.retry_due_loads().await;
    let sql = "UPDATE profile SET connected_on = '[]' WHERE user_id = 'bad'";
    stepped.database().execute(sql, []).expect("a row");
    stepped.store.fail_reads(true);
    let _ann = stepped.connect("ann").await;
    stepped.store.fail_reads(false);
    let running = stepped.engine.run().expect("threads");
    until(|| !is_degraded(&stepped, "ann")).await;
    assert_eq!(stepped.status("ann").await, Status::DoNotDisturb);
    assert!(is_degraded(&stepped, "bad"), "no time has passed");
    stepped.clock.advance(Duration::from_secs(2));
    until(|| !is_degraded(&stepped, "bad")).await;
    assert_eq!(stepped.status("bad").await, Status::DoNotDisturb);
    running.stop().await;
}

#[tokio::test]
async fn tombstones_are_swept_once_their_hour_is_over() {
    let stepped = Stepped::with_quick_sweeps().await;
    assert_eq!(stepped.engine.forget(&user("ann")).await, Ok(0));
    let running = stepped.engine.run().expect("threads");
    until(|| {
        stepped.clock.advance(Duration::from_secs(3600));
        tombstones(&stepped) == 0
    })
    .await;
    running.stop().await;
}
