//! Delivery to watchers: snapshots, events without loss, growing revisions, cursors.

use std::collections::BTreeMap;

use presence::wire::record::{Record, Update};
use presence::wire::rest::QueryResponse;
use presence::wire::server_message::ServerMessage;
use presence::{Revision, Status};
use presence_tests::connection_load::{join_all, slow_reader};
use presence_tests::frame::{Frame, opcode};
use presence_tests::raw_client::RawEvent;
use presence_tests::websocket::{Socket, shows};
use presence_tests::{Daemon, RawClient, wait_until};
use serde_json::{Value, json};

fn watch_since(users: &[&str], cursor: &str) -> Value {
    json!({"type": "watch", "userIds": users, "since": cursor})
}

/// The users that the client learns something new of when it resumes. A node alone tells nothing else; in a cluster what
/// happened in the seconds before the cursor may be told again, at the revision at which it was told.
fn learned<'a>(daemon: &Daemon, known: &View, updates: &'a [Update]) -> Vec<&'a str> {
    let is_old = |update: &&Update| match update {
        Update::Record(record) => known.is_exactly(record) || record.status == Status::Offline && !known.has(record),
        Update::Removed(_) => false,
    };
    let (old, new): (Vec<&Update>, Vec<&Update>) = updates.iter().partition(is_old);
    assert!(old.is_empty() || daemon.is_in_cluster(), "told again: {old:?}");
    let mut names: Vec<&str> = new.iter().map(|update| update.user_id().as_str()).collect();
    names.sort_unstable();
    names
}

fn names(updates: &[Update]) -> Vec<&str> {
    let mut names: Vec<&str> = updates.iter().map(|update| update.user_id().as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_resumes_with_only_the_changes() {
    let daemon = Daemon::start(&["--grace", "0s"]).await;
    let users = ["alice", "carol", "dave"];
    let carol = daemon.session("carol").await;
    let mut bob = daemon.socket("bob").await;
    let first = bob.watch(&users).await;
    assert!(!first.resumed);
    assert_eq!(names(&first.users), users);
    let mut known = View::start(&first.users);
    bob.reset();

    let alice = daemon.session("alice").await;
    let mut bob = daemon.socket("bob").await;
    let again = bob.snapshot(watch_since(&users, &first.cursor)).await;
    assert!(again.resumed);
    assert_eq!(again.record("alice").status, Status::Online);
    // Neither a present user that did not change nor one that nobody kept in memory.
    assert_eq!(learned(&daemon, &known, &again.users), ["alice"]);
    known.learn(&again.users);

    // The cursor of an event, on the same connection and on another.
    carol.close(Some(1000)).await;
    let left = bob.wait_for_status("carol", Status::Offline).await;
    known.learn(&[Update::Record(left)]);
    let cursor = bob.cursor().to_owned();
    bob.reset();
    let mut bob = daemon.socket("bob").await;
    let nothing = bob.snapshot(watch_since(&users, &cursor)).await;
    assert!(nothing.resumed);
    assert_eq!(learned(&daemon, &known, &nothing.users), [""; 0]);
    alice.close(Some(1000)).await;
    bob.wait_for_status("alice", Status::Offline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_cursor_gets_a_full_snapshot() {
    let mut daemon = Daemon::start(&[]).await;
    let users = ["alice", "carol"];
    let mut bob = daemon.socket("bob").await;
    let cursor = bob.watch(&users).await.cursor;
    daemon.crash_and_start_again().await;
    let (incarnation, _) = cursor.split_once('.').unwrap();
    let mut bob = daemon.socket("bob").await;
    let current = bob.watch(&users).await.cursor;
    let (now, _) = current.split_once('.').unwrap();
    let is_in_cluster = daemon.is_in_cluster();
    if is_in_cluster {
        assert_eq!(incarnation, now, "other nodes may have gone on");
        let mut bob = daemon.socket("bob").await;
        let after_crash = bob.snapshot(watch_since(&users, &cursor)).await;
        assert!(after_crash.resumed);
    } else {
        assert_ne!(incarnation, now, "another life");
    }
    let (ahead, behind) = (format!("{now}.1fffffffffffff"), format!("{now}.ffffffff"));
    let long = "f".repeat(10_000);
    let foreign = [cursor.as_str()].into_iter().filter(|_| !is_in_cluster);
    let malformed = ["", ".", "x", "0.0", "-1.-1", "'; drop table profile; --", "\u{0}"];
    for cursor in foreign.chain([&*ahead, &behind, &long]).chain(malformed) {
        let mut bob = daemon.socket("bob").await;
        let snapshot = bob.snapshot(watch_since(&users, cursor)).await;
        assert!(!snapshot.resumed, "{cursor:?}");
        assert_eq!(names(&snapshot.users), users, "{cursor:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_resumes_after_a_clean_restart_with_only_the_changes() {
    let mut daemon = Daemon::start(&["--grace", "0s"]).await;
    let users = ["alice", "bob", "carol", "gone", "never"];
    let (alice, _carol) = (daemon.session("alice").await, daemon.session("carol").await);
    let mut watcher = daemon.observer().await;
    let first = watcher.snapshot(json!({"type": "watch", "userIds": users})).await;
    let (mut known, cursor) = (View::start(&first.users), first.cursor);
    alice.close(Some(1000)).await;
    watcher.wait_for_status("alice", Status::Offline).await;
    daemon.rest().set_custom_status("bob", "IDLE").await;
    daemon.rest().set_custom_status("gone", "IDLE").await;
    daemon.rest().forget("gone").await;
    assert!(daemon.terminate().await.success());
    daemon.start_again().await;
    let mut watcher = daemon.observer().await;
    let again = watcher.snapshot(watch_since(&users, &cursor)).await;
    assert!(again.resumed);
    assert_eq!(learned(&daemon, &known, &again.users), ["alice", "bob", "gone"]);
    known.learn(&again.users);
    daemon.kill();
    daemon.start_again().await;
    let mut watcher = daemon.observer().await;
    let anew = watcher.snapshot(watch_since(&users, &again.cursor)).await;
    if daemon.is_in_cluster() {
        // The log has what the node had told.
        assert_eq!((anew.resumed, learned(&daemon, &known, &anew.users)), (true, vec![]));
    } else {
        assert_eq!((anew.resumed, names(&anew.users)), (false, users.to_vec()));
    }
}

/// The latest record of each user as a watcher knows it. Fails the test if a revision does not grow.
#[derive(Default)]
struct View(BTreeMap<String, (Revision, Option<Status>)>);

impl View {
    fn start(updates: &[Update]) -> Self {
        let mut view = Self::default();
        view.learn(updates);
        view
    }

    /// Applies a snapshot. Fails the test if it is older than a known record.
    fn learn(&mut self, updates: &[Update]) {
        for update in updates {
            let new = (update.revision(), status_of(update));
            let old = self.0.insert(update.user_id().as_str().to_owned(), new);
            assert!(
                old.is_none_or(|(revision, _)| revision <= update.revision()),
                "{old:?} then {update:?}"
            );
        }
    }

    fn apply(&mut self, updates: &[Update]) {
        for update in updates {
            let old = self.0.insert(
                update.user_id().as_str().to_owned(),
                (update.revision(), status_of(update)),
            );
            let grows = old.is_none_or(|(revision, _)| revision < update.revision());
            assert!(grows, "{old:?} then {update:?}");
        }
    }

    fn has(&self, record: &Record) -> bool {
        self.0.contains_key(record.user_id.as_str())
    }

    /// Whether the record is what was told before, at the revision at which it was.
    fn is_exactly(&self, record: &Record) -> bool {
        let known = self.0.get(record.user_id.as_str());
        known == Some(&(record.revision, Some(record.status)))
    }

    fn knows(&self, truth: &Record) -> bool {
        let known = self.0.get(truth.user_id.as_str());
        known.is_some_and(|(revision, status)| *revision >= truth.revision && *status == Some(truth.status))
    }
}

fn status_of(update: &Update) -> Option<Status> {
    match update {
        Update::Record(record) => Some(record.status),
        Update::Removed(_) => None,
    }
}

const FLIPPERS: usize = 8;
const FLIPS: usize = 60;

async fn flip(daemon: &Daemon, user: String) {
    let rest = daemon.rest();
    for round in 0..FLIPS {
        let status = ["ONLINE", "DO_NOT_DISTURB", "OFFLINE", "IDLE"][round % 4];
        rest.report(&user, json!({"status": status})).await.ok::<Record>();
    }
}

/// Watches during changes until the view equals the records that `finished` returns.
async fn watch_to_the_end(mut bob: Socket, users: &[String], finished: impl Future<Output = Vec<Record>>) {
    let mut view = View::start(&bob.watch(users).await.users);
    let truth = finished.await;
    while !truth.iter().all(|record| view.knows(record)) {
        view.apply(&bob.next_updates().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_change_is_lost_between_snapshot_and_first_event() {
    let daemon = Daemon::start(&[]).await;
    let users: Vec<String> = (0..FLIPPERS).map(|index| format!("user-{index}")).collect();
    let (sender, receiver) = tokio::sync::watch::channel(Vec::new());
    let flipping = async {
        join_all(users.iter().map(|user| flip(&daemon, user.clone()))).await;
        let mut truth = Vec::new();
        for user in &users {
            truth.push(daemon.rest().record(user).await);
        }
        sender.send(truth).unwrap();
    };
    let watching = async {
        join_all((0..20).map(|index| {
            let (daemon, users, mut receiver) = (&daemon, &users, receiver.clone());
            async move {
                let bob = daemon.socket(&format!("watcher-{index}")).await;
                let finished = async move { receiver.wait_for(|truth| !truth.is_empty()).await.unwrap().clone() };
                watch_to_the_end(bob, users, finished).await;
            }
        }))
        .await
    };
    tokio::join!(flipping, watching);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_snapshot_is_split_into_frames_of_64_kib() {
    let daemon = Daemon::start(&[]).await;
    let users: Vec<String> = (0..1_500).map(|index| format!("u{index}")).collect();
    let mut bob = RawClient::user(daemon.address(), "bob").await;
    bob.send_frame(Frame::text(
        json!({"type": "watch", "userIds": users, "id": "w"}).to_string(),
    ))
    .await;
    let mut listed = Vec::new();
    let mut frames = 0;
    loop {
        let RawEvent::Frame(frame) = bob.next().await else {
            panic!("ended")
        };
        assert_eq!((frame.bits, frame.opcode), (0x80, opcode::TEXT), "whole text messages");
        assert!(frame.payload.len() <= 64 * 1024, "{}", frame.payload.len());
        let ServerMessage::Snapshot { id, users, done, .. } = serde_json::from_slice(&frame.payload).unwrap() else {
            panic!("not a snapshot");
        };
        assert_eq!(id, Some(json!("w")));
        frames += 1;
        listed.extend(users.iter().map(|update| update.user_id().as_str().to_owned()));
        if done {
            break;
        }
    }
    assert!(frames > 1);
    listed.sort();
    let mut expected = users;
    expected.sort();
    assert_eq!(listed, expected, "each once");
    assert!(bob.is_served().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_watches_all_users_and_is_no_session() {
    let daemon = Daemon::start(&["--grace", "0s"]).await;
    let alice = daemon.session("alice").await;
    daemon.rest().set_custom_status("offline", "IDLE").await;
    let mut operator = daemon.observer().await;
    assert_eq!(operator.user, None);
    let present = operator.snapshot(json!({"type": "watchAll"})).await;
    assert_eq!(names(&present.users), ["alice"], "who is present, and not the observer");
    assert!(present.record("alice").reason.is_some(), "as operators see it");
    let carol = daemon.socket("carol").await;
    let came = operator.wait_for_status("carol", Status::Online).await;
    let mut known = View::start(&present.users);
    known.learn(&[Update::Record(came)]);
    let cursor = operator.cursor().to_owned();
    drop(operator);

    carol.close(Some(1000)).await;
    // Her node may tell the others a moment after her client has seen the end.
    wait_until("she is known to have left", async || {
        (daemon.rest().record("carol").await.status == Status::Offline).then_some(())
    })
    .await;
    daemon.rest().forget("alice").await;
    let _dave = daemon.session("dave").await;
    let mut operator = daemon.observer().await;
    let resumed = operator.snapshot(json!({"type": "watchAll", "since": cursor})).await;
    assert!(resumed.resumed);
    assert_eq!(learned(&daemon, &known, &resumed.users), ["alice", "carol", "dave"]);
    assert_eq!(resumed.record("carol").status, Status::Offline);
    let gone = |update: &Update| matches!(update, Update::Removed(removed) if removed.user_id.as_str() == "alice");
    assert!(resumed.users.iter().any(gone), "{resumed:?}");
    drop(alice);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwatched_user_causes_no_more_events() {
    let daemon = Daemon::start(&["--grace", "0s"]).await;
    let mut bob = daemon.session("bob").await;
    bob.watch(&["alice", "carol"]).await;
    let done = bob
        .ask(json!({"type": "unwatch", "userIds": ["alice", "never watched"]}))
        .await;
    assert!(matches!(done, ServerMessage::Ok { .. }), "{done:?}");
    let _alice = daemon.socket("alice").await;
    let _carol = daemon.socket("carol").await;
    let told = bob
        .updates_until("carol comes", |update| shows(update, "carol", Status::Online))
        .await;
    assert_eq!(names(&told), ["carol"]);
    let snapshot = bob.watch(&["alice"]).await;
    assert_eq!(
        snapshot.record("alice").status,
        Status::Online,
        "and can be watched again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_conflated_changes() {
    const ROUNDS: usize = 20;
    let daemon = Daemon::start(&[]).await;
    let rest = daemon.rest();
    // Its socket buffers are full before the changes begin.
    let mut bob = slow_reader(daemon.address(), "bob").await;
    let users: Vec<String> = (0..20).map(|index| format!("g{index}")).collect();
    for round in 0..ROUNDS {
        let status = ["ONLINE", "DO_NOT_DISTURB"][round % 2];
        join_all(users.iter().map(|user| rest.report(user, json!({"status": status})))).await;
    }
    let answer: QueryResponse = rest.query(&users).await.ok();
    let (mut view, mut told) = (View::default(), 0);
    while !answer.users.iter().all(|record| view.knows(record)) {
        match serde_json::from_str::<ServerMessage>(&bob.text_with("\"users\"").await).unwrap() {
            // Made as the socket drains, and asked for again and again: it may repeat what is known.
            ServerMessage::Snapshot { users, .. } => view.learn(&users),
            ServerMessage::Presence { users, .. } => {
                told += users.len();
                view.apply(&users);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(
        told < users.len() * ROUNDS / 2,
        "{told}: states in between are left out"
    );
}
