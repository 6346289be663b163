//! Wall clocks that step, stand still or start wrong, to the tick, on engines whose time the test owns.

use std::time::Duration;

use presence::{ReportInput, Source, Status, Wall};

use super::fixture::user;
use super::stepped_engine::{BEGIN, Stepped, TICK};

const HOUR: Duration = Duration::from_secs(3600);

/// Earlier than the engine's first time by this much.
fn before_begin(by: Duration) -> Wall {
    Wall::from_millis(BEGIN.as_millis() - i64::try_from(by.as_millis()).expect("a test's time"))
}

fn report(ttl: Duration) -> ReportInput {
    ReportInput {
        source: Source::default(),
        status: Status::Online,
        ttl: Some(ttl),
        update_last_active: true,
    }
}

#[tokio::test]
async fn a_report_holds_for_its_ttl_at_most_after_any_start() {
    for early in [HOUR, 24 * HOUR, 365 * 24 * HOUR] {
        let stepped = Stepped::new().await;
        let ttl = Duration::from_secs(5);
        stepped
            .engine
            .report(&user("ann"), report(ttl))
            .await
            .expect("a record");
        let stepped = stepped.crash_at(before_begin(early)).await;
        stepped.clock.set_wall(BEGIN.after(ttl));
        assert_eq!(stepped.status("ann").await, Status::Online);
        stepped.advance(ttl - TICK);
        assert_eq!(stepped.status("ann").await, Status::Online, "{early:?}");
        stepped.advance(2 * TICK);
        assert_eq!(stepped.status("ann").await, Status::Offline, "{early:?}");
    }
}

#[tokio::test]
async fn a_report_refreshed_before_a_start_holds_for_its_last_ttl() {
    let stepped = Stepped::new().await;
    let (long, short) = (Duration::from_secs(86_400), Duration::from_secs(20));
    stepped
        .engine
        .report(&user("ann"), report(long))
        .await
        .expect("a record");
    stepped.advance(Duration::from_secs(1000));
    stepped
        .engine
        .report(&user("ann"), report(short))
        .await
        .expect("a record");
    let stepped = stepped.crash_at(before_begin(HOUR)).await;
    stepped.advance(short + TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);
}

#[tokio::test]
async fn a_report_ends_in_time_across_a_start_with_a_right_clock() {
    let stepped = Stepped::new().await;
    stepped
        .engine
        .report(&user("ann"), report(HOUR))
        .await
        .expect("a record");
    let stepped = stepped.crash(HOUR / 4).await;
    stepped.advance(HOUR / 4 * 3 - TICK);
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(2 * TICK);
    assert_eq!(stepped.status("ann").await, Status::Offline);
}
