//! What a cursor covers, and what is sent once, on engines whose delivery the test steps.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use presence::wire::server_message::ServerMessage;
use presence::{Cursor, EndReason, Revision, Status, UserId};

use super::fixture::{DEADLINE, statuses, user};
use super::stepped_engine::{Stepped, SteppedClient};
use crate::clock::Stopwatch;

/// A frame of a snapshot, or an event.
struct Sent {
    users: Vec<(String, Option<Status>)>,
    cursor: Cursor,
}

fn snapshots(client: &SteppedClient) -> Vec<Sent> {
    let sent = client.messages().into_iter().filter_map(|message| match message {
        ServerMessage::Snapshot { users, cursor, .. } => Some((users, cursor)),
        _ => None,
    });
    sent.map(sent_of).collect()
}

fn events(client: &SteppedClient) -> Vec<Sent> {
    let sent = client.messages().into_iter().filter_map(|message| match message {
        ServerMessage::Presence { users, cursor, .. } => Some((users, cursor)),
        _ => None,
    });
    sent.map(sent_of).collect()
}

fn sent_of((users, cursor): (Vec<presence::wire::record::Update>, String)) -> Sent {
    Sent {
        users: statuses(&users),
        cursor: cursor.parse().expect("a cursor"),
    }
}

/// Watches users, and takes the one frame of the snapshot.
async fn watch(stepped: &Stepped, client: &SteppedClient, names: &[&str], since: Option<Cursor>) -> Sent {
    let users: Vec<UserId> = names.iter().map(|name| user(name)).collect();
    let watched = stepped.engine.watch(&client.conn, None, users, since).await;
    watched.expect("a watch");
    stepped.deliver();
    snapshots(client).pop().expect("a snapshot")
}

/// Waits for another thread.
fn until(is_so: impl Fn() -> bool) {
    let waiting = Stopwatch::start();
    while !is_so() {
        assert!(waiting.elapsed() < DEADLINE, "not in time");
        thread::yield_now();
    }
}

#[tokio::test]
async fn a_user_told_by_a_snapshot_is_not_told_again() {
    let stepped = Stepped::new().await;
    let (ann, watcher) = (stepped.connect("ann").await, stepped.connect("watcher").await);
    stepped.watch(&watcher, &["ann"]).await;
    stepped.engine.away(&ann.conn, None).expect("a session");
    let watched = stepped.engine.watch(&watcher.conn, None, vec![user("ann")], None).await;
    watched.expect("a watch");
    stepped.deliver();
    let messages = watcher.messages();
    let [ServerMessage::Snapshot { users, .. }] = messages.as_slice() else {
        panic!("{messages:?}")
    };
    assert_eq!(statuses(users), [("ann".to_owned(), Some(Status::Idle))]);
}

#[tokio::test]
async fn a_user_unwatched_before_delivery_is_not_told() {
    let stepped = Stepped::new().await;
    let (ann, watcher) = (stepped.connect("ann").await, stepped.connect("watcher").await);
    stepped.watch(&watcher, &["ann"]).await;
    stepped.engine.away(&ann.conn, None).expect("a session");
    stepped.engine.unwatch(&watcher.conn, &[user("ann")]);
    stepped.deliver();
    assert!(watcher.told().is_empty());
}

#[tokio::test]
async fn a_change_during_a_turn_is_sent_once_and_counted_as_conflated() {
    let stepped = Stepped::new().await;
    let (ann, watcher) = (stepped.connect("ann").await, stepped.connect("watcher").await);
    stepped.watch(&watcher, &["ann"]).await;
    let conflated = || stepped.engine.metrics.conflated.get();
    let before = conflated();
    stepped.engine.away(&ann.conn, None).expect("a session");
    assert_eq!(conflated(), before);
    thread::scope(|scope| {
        let mut entry = stepped.engine.users.find(&user("ann")).expect("ann");
        scope.spawn(|| stepped.deliver());
        // Her own connection has its turn, which took her out of the outbox and waits for her entry.
        until(|| !ann.conn.is_flushed());
        let now = stepped.clock.now();
        entry
            .state
            .activity(now, ann.conn.id(), Duration::ZERO, &stepped.engine.options.timers);
        stepped.engine.recompute(&mut entry, now);
    });
    stepped.deliver();
    for client in [&ann, &watcher] {
        assert_eq!(client.told(), [("ann".to_owned(), Some(Status::Online))]);
    }
    assert_eq!(conflated(), before + 2, "one during the turn, one before it");
}

#[tokio::test]
async fn a_cursor_covers_no_change_that_is_still_being_marked() {
    let stepped = Stepped::new().await;
    let (ann, watcher) = (stepped.connect("ann").await, stepped.connect("watcher").await);
    stepped.watch(&watcher, &["ann"]).await;
    let publisher = &stepped.engine.publisher;
    let before = publisher.complete_to();
    thread::scope(|scope| {
        let outbox = watcher.conn.outbox().lock();
        let publishing = scope.spawn(|| stepped.engine.away(&ann.conn, None));
        until(|| {
            publisher
                .changed_since(Revision::new(before))
                .is_some_and(|changed| !changed.is_empty())
        });
        assert_eq!(publisher.complete_to(), before);
        drop(outbox);
        assert!(publishing.join().expect("no panic").is_some());
    });
    assert!(publisher.complete_to() > before);
}

#[tokio::test]
async fn a_snapshots_cursor_does_not_cover_the_next_snapshot_in_line() {
    let stepped = Stepped::new().await;
    let _people = [stepped.connect("ann").await, stepped.connect("bob").await];
    let (watcher, second) = (stepped.connect("watcher").await, stepped.connect("second").await);
    for name in ["ann", "bob"] {
        let watched = stepped.engine.watch(&watcher.conn, None, vec![user(name)], None).await;
        watched.expect("a watch");
    }
    stepped.deliver();
    let sent = snapshots(&watcher);
    assert_eq!(sent.len(), 2);
    // The connection is lost after the first.
    let resumed = watch(&stepped, &second, &["ann", "bob"], Some(sent[0].cursor)).await;
    assert!(resumed.users.contains(&("bob".to_owned(), Some(Status::Online))));
    let resumed = watch(&stepped, &second, &["ann", "bob"], Some(sent[1].cursor)).await;
    assert!(resumed.users.is_empty(), "{:?}", resumed.users);
}

#[tokio::test]
async fn only_the_last_of_several_frames_moves_the_cursor() {
    let stepped = Stepped::new().await;
    let mut people = Vec::new();
    for number in 0..500 {
        people.push(stepped.connect(&format!("{number:0>100}")).await);
    }
    let observer = stepped.observe();
    let first = watch(&stepped, &observer, &["never"], None).await;
    let resume = |sent: &Sent| stepped.engine.publisher.resume(sent.cursor);
    assert!(resume(&first).is_some());
    stepped.engine.watch_all(&observer.conn, None, None).await;
    stepped.deliver();
    let everyone = snapshots(&observer);
    let (last, others) = everyone.split_last().expect("frames");
    assert!(!others.is_empty() && others.iter().all(|sent| resume(sent).is_none()));
    assert!(resume(last).is_some());
    for person in &people {
        stepped.engine.away(&person.conn, None).expect("a session");
    }
    stepped.deliver();
    let changes = events(&observer);
    let (end, others) = changes.split_last().expect("frames");
    assert!(!others.is_empty() && others.iter().all(|sent| sent.cursor == last.cursor));
    assert_eq!(resume(end), Some(Revision::new(stepped.engine.publisher.complete_to())));
    let mut told: Vec<_> = changes.iter().flat_map(|sent| &sent.users).collect();
    told.sort();
    told.dedup();
    let count: usize = changes.iter().map(|sent| sent.users.len()).sum();
    assert_eq!((told.len(), count), (500, 500), "each once");
}

#[tokio::test]
async fn a_user_that_changed_and_left_memory_is_sent_to_a_client_that_resumes() {
    let stepped = Stepped::new().await;
    let (ann, first) = (stepped.connect("ann").await, stepped.connect("first").await);
    let cursor = watch(&stepped, &first, &["ann"], None).await.cursor;
    stepped.disconnect(&first, EndReason::Lost);
    stepped.disconnect(&ann, EndReason::Closed);
    stepped.write().await;
    assert!(!stepped.engine.is_in_memory(&user("ann")));
    let second = stepped.connect("second").await;
    let resumed = watch(&stepped, &second, &["ann"], Some(cursor)).await;
    assert_eq!(resumed.users, [("ann".to_owned(), Some(Status::Offline))]);
}

#[tokio::test]
async fn a_change_while_an_observers_resume_loads_users_is_not_missed() {
    let stepped = Stepped::new().await;
    let (ann, bob) = (stepped.connect("ann").await, stepped.connect("bob").await);
    let (first, again) = (stepped.observe(), stepped.observe());
    stepped.engine.watch_all(&first.conn, None, None).await;
    stepped.deliver();
    let cursor = snapshots(&first).pop().expect("a snapshot").cursor;
    stepped.disconnect(&first, EndReason::Lost);
    stepped.disconnect(&ann, EndReason::Closed);
    stepped.write().await;
    assert!(!stepped.engine.is_in_memory(&user("ann")));
    let reads = stepped.store.read_count();
    let held = stepped.store.hold_reads();
    let resuming = tokio::spawn({
        let (engine, conn) = (Arc::clone(&stepped.engine), Arc::clone(&again.conn));
        async move { engine.watch_all(&conn, None, Some(cursor)).await }
    });
    let is_reading = async {
        while stepped.store.read_count() == reads {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, is_reading).await.expect("ann is read");
    stepped.engine.away(&bob.conn, None).expect("a session");
    drop(held);
    resuming.await.expect("a snapshot");
    stepped.deliver();
    let sent: Vec<_> = again.messages();
    let told = |message: &ServerMessage| match message {
        ServerMessage::Snapshot { users, .. } | ServerMessage::Presence { users, .. } => statuses(users),
        _ => Vec::new(),
    };
    let mut told: Vec<_> = sent.iter().flat_map(told).collect();
    told.sort();
    let expected = [
        ("ann".to_owned(), Some(Status::Offline)),
        ("bob".to_owned(), Some(Status::Idle)),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_removed_user_that_is_back_is_listed_as_it_is_now() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    let (first, again) = (stepped.observe(), stepped.observe());
    stepped.engine.watch_all(&first.conn, None, None).await;
    stepped.deliver();
    let cursor = snapshots(&first).pop().expect("a snapshot").cursor;
    stepped.engine.forget(&user("ann")).await.expect("forgotten");
    stepped.engine.watch_all(&again.conn, None, Some(cursor)).await;
    let _back = stepped.connect("ann").await;
    // Nobody is told below this removal: the two of ann must not be told alike.
    stepped.engine.forget(&user("bob")).await.expect("forgotten");
    stepped.deliver();
    let sent = again.messages().into_iter().flat_map(|message| match message {
        ServerMessage::Snapshot { users, .. } | ServerMessage::Presence { users, .. } => users,
        _ => Vec::new(),
    });
    let of_ann: Vec<_> = sent.filter(|update| update.user_id() == &user("ann")).collect();
    assert_eq!(statuses(&of_ann), [("ann".to_owned(), Some(Status::Online))]);
}

#[tokio::test]
async fn a_long_snapshot_delays_no_other_watcher() {
    const USERS: usize = 1_000;
    let stepped = Stepped::new().await;
    let (ann, bob, long) = (
        stepped.connect("ann").await,
        stepped.connect("bob").await,
        stepped.connect("long").await,
    );
    stepped.watch(&bob, &["ann"]).await;
    let users = (0..USERS).map(|number| user(&format!("{number:0>120}"))).collect();
    let watched = stepped.engine.watch(&long.conn, None, users, None).await;
    watched.expect("a watch");
    stepped.engine.away(&ann.conn, None);
    stepped.deliver_batch();
    assert_eq!(bob.told(), [("ann".to_owned(), Some(Status::Idle))]);
    let first = snapshots(&long);
    assert_eq!(first.len(), 1, "a frame in each turn");
    stepped.deliver();
    let rest = snapshots(&long);
    let told = first.iter().chain(&rest).map(|sent| sent.users.len()).sum::<usize>();
    assert_eq!(told, USERS);
}

#[tokio::test]
async fn a_full_socket_delays_none_of_many_watchers() {
    // So many that they are not a list, and that the full one is neither the first nor the last.
    const WATCHERS: usize = 100;
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    let mut watchers = Vec::new();
    for number in 0..WATCHERS {
        let room = if number == WATCHERS - 10 { 600 } else { 1 << 16 };
        let watcher = stepped.connect_with_room(&format!("watcher-{number}"), room).await;
        stepped.watch(&watcher, &["ann"]).await;
        watchers.push(watcher);
    }
    let full = watchers.remove(WATCHERS - 10);
    // Each change is told to all others, whatever waits for the full one.
    for _ in 0..10 {
        for status in [Status::Idle, Status::Online] {
            match status {
                Status::Idle => stepped.engine.away(&ann.conn, None),
                _ => stepped.engine.activity(&ann.conn, Duration::ZERO),
            };
            stepped.deliver_batch();
            for watcher in &watchers {
                assert_eq!(watcher.told(), [("ann".to_owned(), Some(status))]);
            }
        }
    }
    // It was sent two and the begin of a third, and gets the last one of those that it missed.
    full.read_all();
    while full.conn.blocked_since().is_some() {
        full.conn.attend().await;
    }
    stepped.deliver();
    let text = full.read_text();
    let frame = text.rsplit_once("{\"type\":\"presence\"").expect("an event").1;
    assert!(frame.contains("\"ONLINE\""), "{frame}");
    assert_eq!(text.matches("\"type\":\"presence\"").count(), 1, "conflated: {text}");
}
