//! Snapshots, events and cursors.

use hashbrown::HashMap;
use presence::wire::record::{Update, Viewer};
use presence::{Actor, CustomStatus, EndReason, Revision, Status, UserId};

use super::fixture::{Fixture, id, statuses, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_gets_each_named_user_in_order_then_each_change() {
    let fixture = Fixture::new().await;
    let _ann = fixture.connect("ann").await;
    let mut watcher = fixture.connect("watcher").await;
    let named = vec![user("never"), user("ann"), user("never")];
    fixture
        .engine
        .watch(&watcher.conn, id("1"), named, None)
        .await
        .expect("a watch");
    let (users, resumed, _) = watcher.snapshot().await;
    assert!(!resumed);
    let expected = [
        ("never".to_owned(), Some(Status::Offline)),
        ("ann".to_owned(), Some(Status::Online)),
    ];
    assert_eq!(statuses(&users), expected);
    fixture.set_status("ann", CustomStatus::DoNotDisturb).await;
    let (users, _) = watcher.event().await;
    assert_eq!(statuses(&users), [("ann".to_owned(), Some(Status::DoNotDisturb))]);
    let _never = fixture.connect("never").await;
    let (users, _) = watcher.event().await;
    assert_eq!(statuses(&users), [("never".to_owned(), Some(Status::Online))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_status_set_while_offline_reaches_observers_only() {
    let fixture = Fixture::new().await;
    let mut watcher = fixture.connect("watcher").await;
    fixture
        .engine
        .watch(&watcher.conn, None, vec![user("ann"), user("bob")], None)
        .await
        .expect("a watch");
    watcher.snapshot().await;
    let mut observer = fixture.observe().await;
    fixture
        .engine
        .watch(&observer.conn, None, vec![user("ann")], None)
        .await
        .expect("a watch");
    observer.snapshot().await;
    fixture.set_status("ann", CustomStatus::Idle).await;
    let (users, _) = observer.event().await;
    let [Update::Record(record)] = users.as_slice() else {
        panic!("{users:?}")
    };
    assert_eq!(
        (record.status, record.custom_status),
        (Status::Offline, Some(CustomStatus::Idle))
    );
    assert_eq!((record.since, record.last_seen, record.last_active), (None, None, None));
    // Had the watcher been told of ann, it would come before bob.
    let _bob = fixture.connect("bob").await;
    assert_eq!(
        statuses(&watcher.event().await.0),
        [("bob".to_owned(), Some(Status::Online))]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_during_changes_misses_none() {
    let fixture = Fixture::new().await;
    let names: Vec<UserId> = (0..200).map(|number| user(&format!("user-{number}"))).collect();
    let mut watcher = fixture.connect("watcher").await;
    let changer = {
        let engine = std::sync::Arc::clone(&fixture.engine);
        let names = names.clone();
        tokio::spawn(async move {
            for custom in [
                CustomStatus::Idle,
                CustomStatus::DoNotDisturb,
                CustomStatus::Online,
                CustomStatus::Idle,
            ] {
                for name in &names {
                    engine
                        .set_custom_status(name, custom, Actor::User, Viewer::Own)
                        .await
                        .expect("a custom status");
                }
            }
        })
    };
    let mut present = Vec::new();
    for name in &names {
        present.push(fixture.connect(name.as_str()).await);
    }
    fixture
        .engine
        .watch(&watcher.conn, None, names.clone(), None)
        .await
        .expect("a watch");
    let mut known: HashMap<UserId, (Revision, Status)> = HashMap::new();
    let (users, ..) = watcher.snapshot().await;
    take(&mut known, &users);
    changer.await.expect("all changed");
    while names
        .iter()
        .any(|name| known.get(name).is_none_or(|(_, status)| *status != Status::Idle))
    {
        let (users, _) = watcher.event().await;
        take(&mut known, &users);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_resumes_with_the_changes_since_and_nothing_else() {
    let fixture = Fixture::new().await;
    let _people = [
        fixture.connect("ann").await,
        fixture.connect("bob").await,
        fixture.connect("cid").await,
    ];
    let all = || vec![user("ann"), user("bob"), user("cid")];
    let mut first = fixture.connect("first").await;
    fixture
        .engine
        .watch(&first.conn, None, all(), None)
        .await
        .expect("a watch");
    let (_, _, cursor) = first.snapshot().await;
    first.end(&fixture, EndReason::Lost);
    fixture.set_status("bob", CustomStatus::Idle).await;
    let mut second = fixture.connect("second").await;
    fixture
        .engine
        .watch(&second.conn, None, all(), Some(cursor))
        .await
        .expect("a watch");
    let (users, resumed, cursor) = second.snapshot().await;
    assert!(resumed);
    assert_eq!(statuses(&users), [("bob".to_owned(), Some(Status::Idle))]);
    let mut third = fixture.connect("third").await;
    fixture
        .engine
        .watch(&third.conn, None, all(), Some(cursor))
        .await
        .expect("a watch");
    assert_eq!(third.snapshot().await.0, []);
    let foreign = presence::Cursor {
        incarnation: 8,
        ..cursor
    };
    let mut fourth = fixture.connect("fourth").await;
    fixture
        .engine
        .watch(&fourth.conn, None, all(), Some(foreign))
        .await
        .expect("a watch");
    let (users, resumed, _) = fourth.snapshot().await;
    assert_eq!((users.len(), resumed), (3, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resuming_watcher_learns_of_a_forgotten_user() {
    let fixture = Fixture::new().await;
    let _ann = fixture.connect("ann").await;
    let mut first = fixture.connect("first").await;
    let mut other = fixture.connect("other").await;
    for client in [&first, &other] {
        fixture
            .engine
            .watch(&client.conn, None, vec![user("ann")], None)
            .await
            .expect("a watch");
    }
    let (.., cursor) = first.snapshot().await;
    other.snapshot().await;
    first.end(&fixture, EndReason::Lost);
    assert_eq!(fixture.engine.forget(&user("ann")).await, Ok(1));
    let mut second = fixture.connect("second").await;
    fixture
        .engine
        .watch(&second.conn, None, vec![user("ann")], Some(cursor))
        .await
        .expect("a watch");
    let (users, resumed, _) = second.snapshot().await;
    assert!(resumed);
    assert_eq!(statuses(&users), [("ann".to_owned(), None)]);
    let mut anew = fixture.connect("anew").await;
    fixture
        .engine
        .watch(&anew.conn, None, vec![user("ann")], None)
        .await
        .expect("a watch");
    assert_eq!(
        statuses(&anew.snapshot().await.0),
        [("ann".to_owned(), Some(Status::Offline))]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resuming_observer_learns_of_departures_and_removals() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    let _bob = fixture.connect("bob").await;
    let _cid = fixture.connect("cid").await;
    let mut observer = fixture.observe().await;
    fixture.engine.watch_all(&observer.conn, None, None).await;
    let (users, resumed, cursor) = observer.snapshot().await;
    assert_eq!((users.len(), resumed), (3, false));
    observer.end(&fixture, EndReason::Lost);
    ann.end(&fixture, EndReason::Closed);
    assert_eq!(fixture.engine.forget(&user("bob")).await, Ok(1));
    fixture
        .until("ann is out of memory", |engine| engine.stats().pending_writes == 0)
        .await;
    let mut again = fixture.observe().await;
    fixture.engine.watch_all(&again.conn, None, Some(cursor)).await;
    let (users, resumed, _) = again.snapshot().await;
    assert!(resumed);
    let mut told = statuses(&users);
    told.sort();
    assert_eq!(
        told,
        [("ann".to_owned(), Some(Status::Offline)), ("bob".to_owned(), None)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_everyone_spans_frames_and_misses_no_user() {
    let fixture = Fixture::new().await;
    for number in 0..1500 {
        let report = presence::ReportInput {
            source: presence::Source::default(),
            status: Status::Online,
            ttl: None,
            update_last_active: false,
        };
        fixture
            .engine
            .report(&user(&format!("person-{number}")), report)
            .await
            .expect("a report");
    }
    assert_eq!(fixture.counts().online, 1500);
    let mut observer = fixture.observe().await;
    fixture.engine.watch_all(&observer.conn, id("all"), None).await;
    let (users, ..) = observer.snapshot().await;
    let mut names: Vec<String> = users.iter().map(|update| update.user_id().to_string()).collect();
    names.sort();
    names.dedup();
    assert_eq!((names.len(), users.len()), (1500, 1500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_over_the_limit_adds_nothing() {
    let fixture = Fixture::new().await;
    let watcher = fixture.connect("watcher").await;
    let many: Vec<UserId> = (0..3_001).map(|number| user(&format!("user-{number}"))).collect();
    let refused = fixture.engine.watch(&watcher.conn, None, many.clone(), None).await;
    assert_eq!(
        refused,
        Err(crate::engine::EngineError::TooManyWatched {
            limit: crate::engine::WatchLimit::Connection
        })
    );
    assert_eq!(fixture.engine.stats().sessions.watches, 0);
    fixture
        .engine
        .watch(&watcher.conn, None, many[..3_000].to_vec(), None)
        .await
        .expect("a watch");
    assert_eq!(fixture.engine.stats().sessions.watches, 3_000);
    fixture.engine.unwatch(&watcher.conn, &many);
    assert_eq!(fixture.engine.stats().sessions.watches, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshots_cursor_does_not_cover_changes_not_yet_sent() {
    let fixture = Fixture::new().await;
    let _people = [fixture.connect("ann").await, fixture.connect("bob").await];
    let mut watcher = fixture.connect("watcher").await;
    fixture
        .engine
        .watch(&watcher.conn, None, vec![user("ann")], None)
        .await
        .expect("a watch");
    watcher.snapshot().await;
    // As if somebody wrote just now: what is still to be sent has to wait, so a change and a snapshot come to lie there together.
    fixture
        .until("nothing is under way", |_| {
            let mut outbox = watcher.conn.outbox().lock();
            let is_quiet = outbox.is_quiet();
            if is_quiet {
                outbox.hold_writes();
            }
            is_quiet
        })
        .await;
    fixture.set_status("ann", CustomStatus::Idle).await;
    fixture
        .engine
        .watch(&watcher.conn, None, vec![user("bob")], None)
        .await
        .expect("a watch");
    let is_due = watcher.conn.outbox().lock().release_writes();
    assert!(is_due);
    fixture.engine.ready.push(std::sync::Arc::clone(&watcher.conn));
    let (users, _, cursor) = watcher.snapshot().await;
    assert_eq!(statuses(&users), [("bob".to_owned(), Some(Status::Online))]);
    // The connection is lost here, before the event that comes next is read.
    let mut second = fixture.connect("second").await;
    let both = vec![user("ann"), user("bob")];
    fixture
        .engine
        .watch(&second.conn, None, both, Some(cursor))
        .await
        .expect("a watch");
    let (users, resumed, _) = second.snapshot().await;
    let is_told = statuses(&users).contains(&("ann".to_owned(), Some(Status::Idle)));
    assert!(is_told, "lost for good: {users:?} {resumed}");
}

/// Takes records over; a revision that does not grow is a failure.
fn take(known: &mut HashMap<UserId, (Revision, Status)>, users: &[Update]) {
    for update in users {
        let Update::Record(record) = update else {
            panic!("removed: {update:?}")
        };
        let before = known.insert(record.user_id.clone(), (record.revision, record.status));
        let grows = before.is_none_or(|(revision, _)| revision < record.revision);
        assert!(grows, "{before:?} then {record:?}");
    }
}
