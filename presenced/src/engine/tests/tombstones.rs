//! For how long a removal is kept, on engines whose time the test owns: by the time in which the daemon ran, never by what
//! its wall clock said, and never for less than a cursor from before it resumes.

use std::time::Duration;

use presence::{Cursor, CustomStatus, EndReason, Version};

use super::fixture::user;
use super::resuming::{offline, restart, set, watch};
use super::stepped_engine::{BEGIN, Stepped};
use crate::engine::heartbeat::RunEnd;

/// Ann was forgotten while nobody kept her in memory. A cursor from before.
async fn forgotten_after_a_cursor(stepped: &Stepped) -> Cursor {
    let ann = stepped.connect("ann").await;
    let cursor = watch(stepped, &["ann"], None).await.cursor;
    stepped.disconnect(&ann, EndReason::Closed);
    stepped.write().await;
    assert_eq!(stepped.engine.forget(&user("ann")).await, Ok(0));
    stepped.write().await;
    cursor
}

#[tokio::test]
async fn a_wall_clock_that_was_ahead_for_a_moment_hides_no_removal() {
    let stepped = Stepped::new().await;
    let cursor = forgotten_after_a_cursor(&stepped).await;
    stepped.clock.set_wall(BEGIN.after(Duration::from_secs(7200)));
    stepped.engine.save_heartbeat(RunEnd::Running).await.expect("stored");
    stepped.clock.set_wall(BEGIN);
    assert_eq!(stepped.engine.forget(&user("bob")).await, Ok(0));
    let resumed = watch(&stepped, &["ann"], Some(cursor)).await;
    assert_eq!(
        (resumed.is_resumed, resumed.listed),
        (true, vec![("ann".to_owned(), None)])
    );
}

/// Time passes as on a daemon where nothing else happens.
async fn pass_quietly(stepped: &Stepped, by: Duration) {
    stepped.advance(by);
    stepped.engine.save_heartbeat(RunEnd::Running).await.expect("stored");
    stepped.engine.sweep_tombstones().await;
}

#[tokio::test]
async fn no_cursor_resumes_over_a_removal_that_is_no_longer_kept() {
    for minutes_before_restart in [None, Some(59)] {
        let mut stepped = Stepped::new().await;
        let cursor = forgotten_after_a_cursor(&stepped).await;
        if let Some(minutes) = minutes_before_restart {
            pass_quietly(&stepped, Duration::from_secs(60 * minutes)).await;
            stepped = restart(stepped).await;
        }
        let mut was_refused = false;
        for minute in 0..150 {
            pass_quietly(&stepped, Duration::from_secs(60)).await;
            let taken = watch(&stepped, &["ann"], Some(cursor)).await;
            let expected = if taken.is_resumed {
                ("ann".to_owned(), None)
            } else {
                offline("ann")
            };
            assert_eq!(taken.listed, [expected], "{minute} {minutes_before_restart:?}");
            assert!(taken.is_resumed || minute >= 59, "{minute}");
            was_refused |= !taken.is_resumed;
        }
        assert!(was_refused, "it resumes for two hours at most");
    }
}

#[tokio::test]
async fn versions_go_on_after_a_forget_whatever_the_wall_clock_does() {
    let stepped = Stepped::new().await;
    for _ in 0..3 {
        set(&stepped, "ann", CustomStatus::Idle).await;
    }
    assert_eq!(stepped.engine.forget(&user("ann")).await, Ok(0));
    stepped.clock.set_wall(BEGIN.after(Duration::from_secs(7200)));
    pass_quietly(&stepped, Duration::from_secs(3599)).await;
    stepped.clock.set_wall(BEGIN);
    set(&stepped, "ann", CustomStatus::Idle).await;
    let row = stepped.stored("ann").await.expect("a row");
    assert_eq!(row.durable.version, Version::new(4));
}

pub(super) fn tombstones(stepped: &Stepped) -> i64 {
    let count = stepped
        .database()
        .query_row("SELECT count(*) FROM tombstone", [], |row| row.get(0));
    count.expect("a count")
}

#[tokio::test]
async fn endless_forgets_leave_no_more_rows_than_those_of_two_hours() {
    let mut stepped = Stepped::new().await;
    let mut most = 0;
    for minute in 0..600 {
        if minute == 300 {
            stepped = restart(stepped).await;
        }
        stepped
            .engine
            .forget(&user(&format!("user-{minute}")))
            .await
            .expect("forgotten");
        pass_quietly(&stepped, Duration::from_secs(60)).await;
        most = most.max(tombstones(&stepped));
    }
    assert!((119..=121).contains(&most), "{most}");
    // Nobody is forgotten any more.
    for _ in 0..2 {
        pass_quietly(&stepped, Duration::from_secs(3600)).await;
    }
    assert_eq!(tombstones(&stepped), 0);
}
