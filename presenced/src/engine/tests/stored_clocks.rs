//! Times on disk that a wrong clock wrote, and the next start or load takes back.

use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{CustomStatus, EndReason, Wall};

use super::fixture::{DEADLINE, user};
use super::stepped_engine::{BEGIN, Stepped};
use super::wrong_clocks::{HOUR, before_begin, record, report};
use crate::clock::RUN_AHEAD;

async fn stored_times(stepped: &Stepped) -> [Option<Wall>; 6] {
    let row = stepped.stored("ann").await.expect("a row");
    let report = row.durable.reports.first();
    [
        row.since,
        row.last_seen,
        row.last_active,
        row.durable.preference.set_at,
        report.map(|report| report.since),
        report.map(|report| report.heard),
    ]
}

/// Ann, whose times on disk are an hour ahead of the next run.
async fn stored_by_a_clock_ahead() -> Stepped {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    let set = stepped.engine.set_own_custom_status(&ann.conn, CustomStatus::Idle);
    set.await.expect("a record");
    stepped.disconnect(&ann, EndReason::Closed);
    stepped.write().await;
    assert_eq!(stepped.stored("ann").await.expect("a row").last_seen, Some(BEGIN));
    stepped.crash_at(before_begin(HOUR)).await
}

#[tokio::test]
async fn a_stored_time_of_the_future_is_taken_back_once() {
    let stepped = stored_by_a_clock_ahead().await;
    let then = Some(before_begin(HOUR));
    let told = record(&stepped, "ann").await;
    assert_eq!((told.since, told.last_seen, told.last_active), (then, then, then));
    stepped.write().await;
    assert_eq!(stored_times(&stepped).await[..4], [then, then, then, then]);
    assert!(!stepped.engine.is_in_memory(&user("ann")));
    stepped.advance(Duration::from_secs(60));
    let again = record(&stepped, "ann").await;
    assert_eq!((again.since, again.last_seen, again.last_active), (then, then, then));
    assert_eq!(
        stepped.engine.stats().pending_writes,
        0,
        "nothing is to be taken back any more"
    );
}

#[tokio::test]
async fn a_stored_time_of_the_future_is_taken_back_once_by_a_list() {
    let stepped = stored_by_a_clock_ahead().await;
    let then = Some(before_begin(HOUR));
    let list = [user("ann"), user("never")];
    let records = stepped.engine.records(&list, Viewer::Internal, None).await;
    assert_eq!(records.expect("records")[0].last_seen, then);
    stepped.advance(Duration::from_secs(60));
    stepped.write().await;
    assert_eq!(record(&stepped, "ann").await.last_seen, then);
}

#[tokio::test]
async fn times_of_a_report_of_the_future_are_taken_back_with_its_end() {
    let stepped = Stepped::new().await;
    let ttl = Duration::from_secs(100);
    stepped
        .engine
        .report(&user("ann"), report(ttl))
        .await
        .expect("a record");
    let stepped = stepped.crash_at(before_begin(HOUR)).await;
    stepped.write().await;
    let then = Some(before_begin(HOUR));
    let [.., since, heard] = stored_times(&stepped).await;
    assert_eq!((since, heard), (then, then));
    let row = stepped.stored("ann").await.expect("a row");
    assert_eq!(row.durable.reports[0].expires_at, Some(before_begin(HOUR).after(ttl)));
}

#[tokio::test]
async fn a_degraded_users_stored_times_of_the_future_are_taken_back_too() {
    let stepped = stored_by_a_clock_ahead().await;
    stepped.store.fail_reads(true);
    let _ann = stepped.connect("ann").await;
    stepped.store.fail_reads(false);
    stepped.engine.retry_loads().await;
    stepped.write().await;
    let then = Some(before_begin(HOUR));
    assert_eq!(record(&stepped, "ann").await.last_active, then);
    assert_eq!(stored_times(&stepped).await[1..4], [then, then, then]);
}

#[tokio::test]
async fn told_times_do_not_go_back_when_a_user_is_loaded_again() {
    let stepped = Stepped::new().await;
    stepped.clock.set_wall(BEGIN.after(HOUR));
    let ann = stepped.connect("ann").await;
    stepped.disconnect(&ann, EndReason::Closed);
    let told = record(&stepped, "ann").await;
    stepped.write().await;
    stepped.clock.set_wall(BEGIN);
    assert!(!stepped.engine.is_in_memory(&user("ann")));
    assert_eq!(record(&stepped, "ann").await, told);
    let stepped = stepped.crash_at(BEGIN).await;
    assert_eq!(
        record(&stepped, "ann").await.last_seen,
        Some(BEGIN),
        "a new run takes it back"
    );
}

#[tokio::test]
async fn a_restart_grace_counts_from_when_the_daemon_accepts() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    stepped.write().await;
    let stepped = stepped.crash(Duration::from_secs(1)).await;
    // The users are taken over; it takes long until the daemon accepts.
    stepped.clock.stall(Duration::from_secs(20));
    let running = stepped.engine.run().expect("threads");
    let begun = async {
        while stepped.clock.since_beat() > Duration::ZERO {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, begun).await.expect("a beat");
    let grace = {
        let entry = stepped.engine.users.find(&user("ann")).expect("ann");
        entry.state.grace().expect("a grace period")
    };
    let left = grace.until.since(stepped.clock.mono());
    let whole = Duration::from_secs(30);
    assert!((whole - RUN_AHEAD..=whole).contains(&left), "{left:?}");
    assert!(
        stepped.metrics_text().contains("stalls_total 0"),
        "a slow start is no stall"
    );
    running.stop().await;
}
