//! Who is listed to a client that resumes, on engines whose time the test owns: exactly the users that changed since its
//! cursor, across clean restarts too.

use std::time::Duration;

use presence::wire::record::Viewer;
use presence::wire::server_message::ServerMessage;
use presence::{Actor, Cursor, CustomStatus, EndReason, Revision, Status, Wall};

use super::fixture::{DEADLINE, statuses, user};
use super::stepped_engine::{Stepped, SteppedClient};

type Listed = Vec<(String, Option<Status>)>;

/// A snapshot as its client takes it.
#[derive(Debug, PartialEq)]
pub(super) struct TakenSnapshot {
    pub(super) listed: Listed,
    pub(super) is_resumed: bool,
    pub(super) cursor: Cursor,
}

/// Takes all frames of the one snapshot that is due.
pub(super) fn snapshot(stepped: &Stepped, client: &SteppedClient) -> TakenSnapshot {
    stepped.deliver();
    let mut listed = Vec::new();
    for message in client.messages() {
        if let ServerMessage::Snapshot {
            users,
            resumed,
            done,
            cursor,
            ..
        } = message
        {
            listed.extend(statuses(&users));
            if done {
                listed.sort();
                let cursor = cursor.parse().expect("a cursor");
                return TakenSnapshot {
                    listed,
                    is_resumed: resumed,
                    cursor,
                };
            }
        }
    }
    panic!("no snapshot")
}

pub(super) async fn watch(stepped: &Stepped, names: &[&str], since: Option<Cursor>) -> TakenSnapshot {
    let (client, users) = (stepped.observe(), names.iter().map(|name| user(name)).collect());
    let watched = stepped.engine.watch(&client.conn, None, users, since).await;
    watched.expect("a watch");
    let snapshot = snapshot(stepped, &client);
    stepped.disconnect(&client, EndReason::Lost);
    snapshot
}

async fn watch_all(stepped: &Stepped, since: Option<Cursor>) -> TakenSnapshot {
    let client = stepped.observe();
    stepped.engine.watch_all(&client.conn, None, since).await;
    let snapshot = snapshot(stepped, &client);
    stepped.disconnect(&client, EndReason::Lost);
    snapshot
}

pub(super) async fn set(stepped: &Stepped, name: &str, custom: CustomStatus) {
    let user = user(name);
    let set = stepped
        .engine
        .set_custom_status(&user, custom, Actor::User, Viewer::Own);
    set.await.expect("a custom status");
}

pub(super) fn offline(name: &str) -> (String, Option<Status>) {
    (name.to_owned(), Some(Status::Offline))
}

/// SIGTERM, and a start a second later.
pub(super) async fn restart(stepped: Stepped) -> Stepped {
    stepped.engine.begin_drain();
    stepped.finish().await;
    let wall = stepped.clock.wall().after(Duration::from_secs(1));
    stepped.crash_at(wall).await
}

#[tokio::test]
async fn users_that_nobody_kept_in_memory_are_not_listed_again() {
    let stepped = Stepped::new().await;
    let (ann, bob) = (stepped.connect("ann").await, stepped.connect("bob").await);
    set(&stepped, "stored", CustomStatus::Idle).await;
    stepped.write().await;
    let mut names: Vec<String> = (0..100).map(|number| format!("never-{number}")).collect();
    names.extend(["ann", "bob", "stored"].map(str::to_owned));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let cursor = watch(&stepped, &names, None).await.cursor;
    assert!(!stepped.engine.is_in_memory(&user("never-7")) && !stepped.engine.is_in_memory(&user("stored")));
    stepped.engine.away(&ann.conn, None).expect("a session");
    stepped.disconnect(&bob, EndReason::Closed);
    stepped.write().await;
    let resumed = watch(&stepped, &names, Some(cursor)).await;
    assert!(resumed.is_resumed);
    assert_eq!(resumed.listed, [("ann".to_owned(), Some(Status::Idle)), offline("bob")]);
    assert_eq!(watch(&stepped, &names, Some(resumed.cursor)).await.listed, []);
}

/// What a clean restart must tell: `ann` stays, `bob` left, `eve` set a custom status, `gone` was forgotten; `left` had left
/// before the cursor, and `idle` had changed.
struct Before {
    stepped: Stepped,
    named: Cursor,
    observed: Cursor,
}

const NAMES: [&str; 7] = ["ann", "bob", "eve", "gone", "idle", "left", "never"];

async fn before_a_stop() -> (Before, Vec<SteppedClient>) {
    let stepped = Stepped::new().await;
    let mut clients = Vec::new();
    for name in ["ann", "idle", "left", "bob", "gone"] {
        clients.push(stepped.connect(name).await);
    }
    stepped.engine.away(&clients[1].conn, None).expect("a session");
    stepped.disconnect(&clients[2], EndReason::Closed);
    let named = watch(&stepped, &NAMES, None).await.cursor;
    let observed = watch_all(&stepped, None).await.cursor;
    stepped.disconnect(&clients[3], EndReason::Closed);
    set(&stepped, "eve", CustomStatus::Idle).await;
    let before = Before {
        stepped,
        named,
        observed,
    };
    (before, clients)
}

#[tokio::test]
async fn a_cursor_resumes_after_a_clean_restart_with_what_changed() {
    let (before, _clients) = before_a_stop().await;
    assert_eq!(before.stepped.engine.forget(&user("gone")).await, Ok(1));
    let stepped = restart(before.stepped).await;
    let resumed = watch(&stepped, &NAMES, Some(before.named)).await;
    assert!(resumed.is_resumed);
    let expected = [offline("bob"), offline("eve"), ("gone".to_owned(), None)];
    assert_eq!(resumed.listed, expected);
    // Nobody came back: the grace period ends.
    stepped.advance(Duration::from_secs(31));
    let again = watch(&stepped, &NAMES, Some(resumed.cursor)).await;
    assert_eq!(again.listed, [offline("ann"), offline("idle")]);
    let all: Listed = [&expected[..2], &again.listed].concat();
    let first = watch(&stepped, &NAMES, Some(before.named)).await;
    assert!(first.is_resumed && all.iter().all(|one| first.listed.contains(one)));
    assert_eq!(first.listed.len(), all.len() + 1);
}

#[tokio::test]
async fn an_observers_cursor_resumes_after_a_clean_restart() {
    let (before, _clients) = before_a_stop().await;
    let stepped = restart(before.stepped).await;
    let resumed = watch_all(&stepped, Some(before.observed)).await;
    assert!(resumed.is_resumed);
    assert_eq!(resumed.listed, [offline("bob"), offline("eve")]);
    let _eve = stepped.connect("eve").await;
    let again = watch_all(&stepped, Some(resumed.cursor)).await;
    assert_eq!(again.listed, [("eve".to_owned(), Some(Status::Idle))]);
}

#[tokio::test]
async fn an_observer_gets_everyone_if_a_removal_before_the_restart_has_no_name() {
    let (before, _clients) = before_a_stop().await;
    assert_eq!(before.stepped.engine.forget(&user("gone")).await, Ok(1));
    let after = watch_all(&before.stepped, None).await.cursor;
    let stepped = restart(before.stepped).await;
    let everyone = watch_all(&stepped, Some(before.observed)).await;
    assert!(!everyone.is_resumed);
    let present: Vec<&str> = everyone.listed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(present, ["ann", "idle"]);
    assert!(watch_all(&stepped, Some(after)).await.is_resumed, "it had been told");
}

#[tokio::test]
async fn a_cursor_resumes_over_one_clean_restart_alone() {
    let (before, _clients) = before_a_stop().await;
    let stepped = restart(before.stepped).await;
    let second = watch(&stepped, &NAMES, Some(before.named)).await.cursor;
    let stepped = restart(stepped).await;
    assert!(!watch(&stepped, &NAMES, Some(before.named)).await.is_resumed);
    assert!(watch(&stepped, &NAMES, Some(second)).await.is_resumed);
}

#[tokio::test]
async fn a_cursor_does_not_resume_after_a_crash() {
    for has_crashed_before in [false, true] {
        let (before, _clients) = before_a_stop().await;
        let mut stepped = before.stepped;
        stepped.write().await;
        let mut cursors = vec![before.named, before.observed];
        if has_crashed_before {
            // A clean end comes before it, whose cursors the crash makes worthless too.
            stepped = restart(stepped).await;
            cursors.push(watch(&stepped, &NAMES, Some(before.named)).await.cursor);
        }
        let stepped = stepped.crash(Duration::from_secs(1)).await;
        for cursor in cursors {
            let named = watch(&stepped, &NAMES, Some(cursor)).await;
            assert_eq!((named.is_resumed, named.listed.len()), (false, NAMES.len()));
            let everyone = watch_all(&stepped, Some(cursor)).await;
            assert_eq!((everyone.is_resumed, everyone.listed.len()), (false, 3));
        }
    }
}

#[tokio::test]
async fn a_named_watch_lists_everyone_if_removals_cannot_be_read() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    let cursor = watch(&stepped, &["ann", "never"], None).await.cursor;
    let keeper = stepped.observe();
    stepped.watch(&keeper, &["never"]).await;
    stepped.store.fail_reads(true);
    let full = watch(&stepped, &["ann", "never"], Some(cursor)).await;
    assert_eq!((full.is_resumed, full.listed.len()), (false, 2));
}

#[tokio::test]
async fn a_cursor_of_an_older_daemon_does_not_resume() {
    let stepped = Stepped::new().await;
    let cursor: Cursor = "9c0d7d42a1f3b855.2f"
        .parse()
        .expect("as a daemon before this one wrote it");
    let names = ["ann", "bob"];
    let full = watch(&stepped, &names, Some(cursor)).await;
    assert_eq!((full.is_resumed, full.listed.len()), (false, 2));
}

#[tokio::test]
async fn a_user_forgotten_while_out_of_memory_is_listed_as_removed() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    let cursor = watch(&stepped, &["ann"], None).await.cursor;
    stepped.disconnect(&ann, EndReason::Closed);
    stepped.write().await;
    assert_eq!(stepped.engine.forget(&user("ann")).await, Ok(0));
    stepped.write().await;
    assert!(!stepped.engine.is_in_memory(&user("ann")));
    let resumed = watch(&stepped, &["ann"], Some(cursor)).await;
    assert!(resumed.is_resumed);
    assert_eq!(resumed.listed, [("ann".to_owned(), None)]);
    let again = watch(&stepped, &["ann"], Some(resumed.cursor)).await;
    assert_eq!((again.is_resumed, again.listed), (true, vec![]));
    // Whatever happens then: a cursor from before is no longer taken.
    stepped.advance(Duration::from_secs(3601));
    let _bob = stepped.connect("bob").await;
    assert!(!watch(&stepped, &["ann"], Some(cursor)).await.is_resumed);
}

#[tokio::test]
async fn a_cursor_covers_no_removal_that_is_on_its_way_to_the_disk() {
    let stepped = Stepped::new().await;
    let (_ann, bob) = (stepped.connect("ann").await, stepped.connect("bob").await);
    let publisher = &stepped.engine.publisher;
    let before = publisher.complete_to();
    let held = stepped.store.hold_commits();
    let forgetting = tokio::spawn({
        let engine = std::sync::Arc::clone(&stepped.engine);
        async move { engine.forget(&user("ann")).await }
    });
    while publisher.complete_to() == before && !stepped.engine.user_locks.is_locked(&user("ann")) {
        tokio::task::yield_now().await;
    }
    // Its revision is taken once the cursor stands still though others change.
    let mut stands_still = false;
    while !stands_still {
        tokio::task::yield_now().await;
        let at = publisher.complete_to();
        stepped.engine.away(&bob.conn, None).expect("a session");
        stepped.engine.activity(&bob.conn, Duration::ZERO).expect("a session");
        stands_still = publisher.complete_to() == at;
    }
    let cursor = watch(&stepped, &["ann"], None).await.cursor;
    drop(held);
    assert_eq!(forgetting.await.expect("no panic"), Ok(1));
    stepped.write().await;
    assert!(!stepped.engine.is_in_memory(&user("ann")));
    let resumed = watch(&stepped, &["ann"], Some(cursor)).await;
    assert_eq!(resumed.listed, [("ann".to_owned(), None)]);
}

#[tokio::test]
async fn a_cursor_covers_no_revision_that_was_taken_and_not_published() {
    let stepped = Stepped::new().await;
    let (_ann, bob) = (stepped.connect("ann").await, stepped.connect("bob").await);
    let publisher = &stepped.engine.publisher;
    let entry = stepped.engine.users.find(&user("ann")).expect("ann");
    let publishing = publisher.begin(&entry);
    let nested = publisher.begin(&entry);
    drop(entry);
    let revision = stepped
        .engine
        .cluster
        .next_revision(Revision::NEVER, Wall::from_millis(0));
    // Another shard is faster.
    stepped.engine.away(&bob.conn, None).expect("a session");
    let changed = stepped.engine.users.find(&user("bob")).expect("bob").changed_at();
    assert!(changed > revision);
    for begun in [nested, publishing] {
        assert!(publisher.complete_to() < revision.get());
        drop(begun);
    }
    assert_eq!(publisher.complete_to(), changed.get());
}

#[tokio::test]
async fn a_change_is_covered_as_soon_as_it_may_be_sent() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    let publisher = &stepped.engine.publisher;
    let mut entry = stepped.engine.users.find(&user("ann")).expect("ann");
    let now = stepped.engine.now_of(&entry);
    let revision = publisher.complete_to() + 1;
    let publishing = publisher.begin(&entry);
    publisher.publish_removal(&publishing, &mut entry, now, Revision::new(revision));
    // The delivery may have sent it by now, though the caller has not let go of the user.
    assert_eq!(publisher.complete_to(), revision);
    drop(publishing);
    assert_eq!(publisher.complete_to(), revision);
}

#[tokio::test]
async fn one_user_that_changes_all_the_time_costs_no_cursor_its_hour() {
    let stepped = Stepped::new().await;
    let bob = stepped.connect("bob").await;
    let cursor = watch(&stepped, &["ann", "bob"], None).await.cursor;
    for _ in 0..70_000 {
        stepped.engine.away(&bob.conn, None).expect("a session");
        stepped.engine.activity(&bob.conn, Duration::ZERO).expect("a session");
    }
    let resumed = watch(&stepped, &["ann", "bob"], Some(cursor)).await;
    assert!(resumed.is_resumed);
    let everyone = watch_all(&stepped, Some(cursor)).await;
    assert!(everyone.is_resumed);
}

#[tokio::test]
async fn a_forgotten_user_who_comes_back_while_its_removal_is_read_is_listed() {
    let stepped = Stepped::new().await;
    set(&stepped, "ann", CustomStatus::Idle).await;
    let cursor = watch(&stepped, &["ann"], None).await.cursor;
    stepped.engine.forget(&user("ann")).await.expect("forgotten");
    stepped.write().await;
    stepped.engine.users.sweep();
    assert!(!stepped.engine.is_in_memory(&user("ann")));
    // Somebody keeps her in memory, of whom nothing is stored.
    let watcher = stepped.observe();
    stepped.watch(&watcher, &["ann"]).await;
    let client = std::sync::Arc::new(stepped.observe());
    let (held, before) = (stepped.store.hold_lists(), stepped.store.read_count());
    let resuming = tokio::spawn({
        let (engine, client) = (std::sync::Arc::clone(&stepped.engine), std::sync::Arc::clone(&client));
        async move { engine.watch(&client.conn, None, vec![user("ann")], Some(cursor)).await }
    });
    let read = async {
        while stepped.store.read_count() == before {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("her removal is read");
    let _ann = stepped.connect("ann").await;
    drop(held);
    resuming.await.expect("no panic").expect("a watch");
    let listed = snapshot(&stepped, &client).listed;
    assert_eq!(listed, [("ann".to_owned(), Some(Status::Online))]);
}
