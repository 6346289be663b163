//! A user that changes all the time is told of as often as it may set custom statuses, and its last state is never lost.

use std::time::Duration;

use presence::{EndReason, Rate, Status};

use super::fixture::user;
use super::stepped_engine::{Stepped, SteppedClient, TICK};
use crate::engine::Engine;

/// As in the daemon.
const LIMIT: Rate = Rate {
    amount: 20,
    period: Duration::from_secs(10),
    burst: 20,
};

async fn limited() -> (Stepped, SteppedClient, SteppedClient) {
    let stepped = Stepped::with_custom_statuses(LIMIT).await;
    let (ann, watcher) = (stepped.connect("ann").await, stepped.connect("watcher").await);
    stepped.watch(&watcher, &["ann"]).await;
    (stepped, ann, watcher)
}

fn flip(engine: &Engine, client: &SteppedClient) {
    engine.away(&client.conn, None).expect("a session");
    engine.activity(&client.conn, Duration::ZERO).expect("a session");
}

#[tokio::test]
async fn changes_beyond_the_limit_are_conflated_and_the_last_is_told() {
    let (stepped, ann, watcher) = limited().await;
    let mut told = 0;
    // A minute, 20 changes a second.
    for _ in 0..600 {
        flip(&stepped.engine, &ann);
        stepped.advance(Duration::from_millis(100));
        stepped.deliver();
        told += watcher.told().len();
    }
    assert!((60..=140).contains(&told), "{told} deliveries");
    stepped.engine.away(&ann.conn, None).expect("a session");
    stepped.advance(LIMIT.period + TICK);
    stepped.deliver();
    assert_eq!(watcher.told().last(), Some(&("ann".to_owned(), Some(Status::Idle))));
    stepped.advance(LIMIT.period);
    stepped.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    stepped.deliver();
    assert_eq!(
        watcher.told(),
        [("ann".to_owned(), Some(Status::Online))],
        "at once again"
    );
}

#[tokio::test]
async fn a_change_that_is_held_back_is_told_in_time_by_the_wheel_alone() {
    let (stepped, ann, watcher) = limited().await;
    for _ in 0..20 {
        flip(&stepped.engine, &ann);
    }
    stepped.disconnect(&ann, EndReason::Closed);
    stepped.deliver();
    watcher.messages();
    assert_eq!(stepped.status("ann").await, Status::Offline, "as REST has it");
    stepped.write().await;
    let row = stepped.stored("ann").await.expect("a row");
    assert_eq!(row.status, Status::Offline, "as a crash leaves it");
    stepped.advance(LIMIT.period - TICK);
    stepped.deliver();
    assert!(watcher.told().is_empty());
    stepped.advance(2 * TICK);
    stepped.deliver();
    assert_eq!(watcher.told(), [("ann".to_owned(), Some(Status::Offline))]);
    stepped.disconnect(&watcher, EndReason::Closed);
    stepped.write().await;
    assert!(!stepped.engine.is_in_memory(&user("ann")));
}

#[tokio::test]
async fn a_user_that_nobody_needs_stays_until_its_change_is_told() {
    let stepped = Stepped::with_custom_statuses(LIMIT).await;
    let observer = stepped.observe();
    stepped.engine.watch_all(&observer.conn, None, None).await;
    for _ in 0..30 {
        let ann = stepped.connect("ann").await;
        stepped.disconnect(&ann, EndReason::Closed);
        stepped.write().await;
        stepped.deliver();
    }
    assert!(observer.told().len() <= 20, "leaving memory is no way around the limit");
    stepped.advance(LIMIT.period + TICK);
    stepped.deliver();
    assert_eq!(observer.told(), [("ann".to_owned(), Some(Status::Offline))]);
    stepped.write().await;
    assert!(!stepped.engine.is_in_memory(&user("ann")));
}

#[tokio::test]
async fn a_kick_and_a_forget_are_told_at_once() {
    let (stepped, ann, watcher) = limited().await;
    for _ in 0..20 {
        flip(&stepped.engine, &ann);
    }
    stepped.deliver();
    watcher.messages();
    assert_eq!(stepped.engine.kick(&user("ann")).await, Ok(1));
    stepped.deliver();
    assert_eq!(watcher.told(), [("ann".to_owned(), Some(Status::Offline))]);
    let again = stepped.connect("ann").await;
    for _ in 0..20 {
        flip(&stepped.engine, &again);
    }
    assert_eq!(stepped.engine.forget(&user("ann")).await, Ok(1));
    stepped.deliver();
    assert_eq!(watcher.told(), [("ann".to_owned(), None)]);
    stepped.advance(LIMIT.period + TICK);
    stepped.deliver();
    assert!(watcher.told().is_empty());
}

#[tokio::test]
async fn a_change_held_back_is_on_disk_with_a_new_revision_at_the_end() {
    let (stepped, ann, _watcher) = limited().await;
    for _ in 0..20 {
        flip(&stepped.engine, &ann);
    }
    stepped.engine.away(&ann.conn, None).expect("a session");
    let told = stepped.engine.publisher.complete_to();
    stepped.finish().await;
    let row = stepped.stored("ann").await.expect("a row");
    assert_eq!(row.status, Status::Idle);
    assert!(row.revision.get() > told, "a cursor from before must list it");
}

#[tokio::test]
async fn a_change_that_is_held_back_is_on_disk_before_it_is_told() {
    let (stepped, ann, watcher) = limited().await;
    for _ in 0..20 {
        flip(&stepped.engine, &ann);
    }
    stepped.write().await;
    stepped.deliver();
    watcher.messages();
    // She stays connected: her row changes in its status alone.
    stepped.engine.away(&ann.conn, None).expect("a session");
    stepped.deliver();
    assert!(watcher.told().is_empty());
    stepped.write().await;
    let row = stepped.stored("ann").await.expect("a row");
    assert_eq!(row.status, Status::Idle, "as a crash leaves it");
}

#[tokio::test]
async fn activity_that_changes_nothing_does_not_count_toward_the_limit() {
    let (stepped, ann, watcher) = limited().await;
    for _ in 0..2 * LIMIT.amount {
        stepped.engine.activity(&ann.conn, Duration::ZERO).expect("a session");
    }
    stepped.engine.away(&ann.conn, None).expect("a session");
    stepped.deliver();
    assert_eq!(watcher.told().last(), Some(&("ann".to_owned(), Some(Status::Idle))));
}
