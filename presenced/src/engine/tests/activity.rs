//! What makes a user active, and until when, on engines whose time the test owns; and what of it a crash leaves.

use std::time::Duration;

use presence::wire::record::{Record, Viewer};
use presence::{Actor, CustomStatus, EndReason, ReportInput, SessionName, Source, Status};

use super::fixture::user;
use super::stepped_engine::{Stepped, SteppedClient, TICK};
use crate::engine::heartbeat::RunEnd;

const GRACE: Duration = Duration::from_secs(5);
const TTL: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

async fn set(stepped: &Stepped, custom: CustomStatus) -> Record {
    let user = user("ann");
    let set = stepped
        .engine
        .set_custom_status(&user, custom, Actor::User, Viewer::Own);
    set.await.expect("a record")
}

async fn report(stepped: &Stepped) {
    let input = ReportInput {
        source: Source::default(),
        status: Status::Online,
        ttl: Some(TTL),
        update_last_active: false,
    };
    stepped.engine.report(&user("ann"), input).await.expect("a record");
}

fn resume(stepped: &Stepped, client: &SteppedClient, of: &SteppedClient) -> bool {
    let of: SessionName = of.conn.name();
    let resumed = stepped.engine.resume(&client.conn, Some(of));
    resumed.expect("a session").is_resumed
}

/// How many sessions would be in grace after a crash.
async fn stored_places(stepped: &Stepped) -> usize {
    stepped.write().await;
    stepped.stored("ann").await.expect("a row").connected_on.len()
}

#[tokio::test]
async fn a_custom_status_set_when_a_grace_period_is_over_is_no_activity() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.disconnect(&ann, EndReason::Dropped);
    // The timer is late.
    stepped.clock.advance(GRACE);
    let record = set(&stepped, CustomStatus::Idle).await;
    assert_eq!((record.status, record.last_active), (Status::Offline, None));
}

#[tokio::test]
async fn a_custom_status_set_when_a_report_is_over_is_no_activity() {
    let stepped = Stepped::new().await;
    report(&stepped).await;
    stepped.clock.advance(TTL);
    let record = set(&stepped, CustomStatus::Idle).await;
    assert_eq!((record.status, record.last_active), (Status::Offline, None));
}

#[tokio::test]
async fn the_connection_that_sets_a_custom_status_is_active() {
    let stepped = Stepped::new().await;
    let (ann, other) = (stepped.connect("ann").await, stepped.connect("ann").await);
    for client in [&ann, &other] {
        stepped.engine.away(&client.conn, None).expect("a session");
    }
    assert_eq!(stepped.status("ann").await, Status::Idle);
    let set = stepped.engine.set_own_custom_status(&ann.conn, CustomStatus::Online);
    let record = set.await.expect("a custom status").expect("a session");
    assert_eq!(record.status, Status::Online);
    stepped.disconnect(&ann, EndReason::Closed);
    assert_eq!(stepped.status("ann").await, Status::Idle, "the other one is not");
}

#[tokio::test]
async fn a_custom_status_set_by_a_request_is_activity_for_a_while() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.engine.away(&ann.conn, None).expect("a session");
    assert_eq!(set(&stepped, CustomStatus::Online).await.status, Status::Online);
    let idle_after = stepped.engine.options.timers.idle_after;
    stepped.advance(idle_after - TICK);
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(2 * TICK);
    assert_eq!(stepped.status("ann").await, Status::Idle);
}

#[tokio::test]
async fn a_custom_status_set_before_an_absence_is_no_activity_after_it() {
    let stepped = Stepped::new().await;
    report(&stepped).await;
    assert_eq!(set(&stepped, CustomStatus::Online).await.status, Status::Online);
    // The timer is late.
    stepped.clock.advance(TTL);
    let ann = stepped.connect("ann").await;
    stepped.engine.away(&ann.conn, None).expect("a session");
    assert_eq!(stepped.status("ann").await, Status::Idle);
}

#[tokio::test]
async fn the_times_of_a_lost_session_are_written_though_its_user_stays() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.write().await;
    stepped.advance(SECOND);
    stepped.engine.message(&ann.conn);
    stepped.disconnect(&ann, EndReason::Lost);
    let told = stepped.record("ann").await;
    assert_eq!(
        (told.status, told.last_active),
        (Status::Online, Some(stepped.clock.wall()))
    );
    stepped.write().await;
    let stored = stepped.stored("ann").await.expect("a row");
    assert_eq!(stored.last_active, told.last_active);
}

#[tokio::test]
async fn a_change_of_places_is_written_though_nothing_is_told() {
    let stepped = Stepped::new().await;
    let first = stepped.connect("ann").await;
    assert_eq!(stored_places(&stepped).await, 1);
    let second = stepped.connect("ann").await;
    assert_eq!(stored_places(&stepped).await, 2);
    // The client knows sooner than the daemon that it lost the first.
    assert!(resume(&stepped, &second, &first));
    assert_eq!(stored_places(&stepped).await, 1);
}

#[tokio::test]
async fn a_grace_period_lasts_over_a_restart_whenever_it_would_end() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.disconnect(&ann, EndReason::Lost);
    stepped.engine.begin_drain();
    stepped.advance(GRACE + TICK);
    assert_eq!(stepped.status("ann").await, Status::Online);
    assert_eq!(stepped.finish().await, RunEnd::Clean);
    let stepped = stepped.crash(SECOND).await;
    assert_eq!(stepped.status("ann").await, Status::Online);
}
