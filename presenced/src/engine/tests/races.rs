//! Things that meet at an unlucky moment: in one batch of the delivery, in the store, between two callers.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::MutexGuard;
use presence::wire::record::{Update, Viewer};
use presence::{Actor, CustomStatus, EndReason, Status, UserId};

use super::client::Client;
use super::fixture::{Fixture, statuses, user};
use crate::connection::outbox::Outbox;
use crate::engine::users::shard_of;
use crate::engine::{Engine, EngineError};
use crate::store::StoreError;

/// While it lives, the delivery thread comes no further than to this connection.
struct Stopped<'a> {
    _guard: MutexGuard<'a, Outbox>,
}

/// Nothing is delivered to these before they are put into one batch. A turn that is due already, as that of a greeting, would
/// end the hold.
async fn gather(fixture: &Fixture, clients: &[&Client]) {
    fixture
        .until("nothing is under way", |_| {
            clients.iter().all(|client| is_quiet(client))
        })
        .await;
    for client in clients {
        client.conn.outbox().lock().hold_delivery();
    }
}

/// Puts both into one batch, and stops it between them.
fn deliver<'a>(fixture: &Fixture, first: &Client, between: &'a Client, second: &Client) -> Stopped<'a> {
    let _guard = between.conn.outbox().lock();
    let mut batch = [first, between, second].map(|client| Arc::clone(&client.conn)).to_vec();
    fixture.engine.ready.extend(&mut batch);
    Stopped { _guard }
}

async fn watch(fixture: &Fixture, client: &Client, name: &str) {
    let watched = fixture.engine.watch(&client.conn, None, vec![user(name)], None).await;
    watched.expect("a watch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_forgotten_during_a_batch_is_delivered_as_removed() {
    let fixture = Fixture::new().await;
    let _ann = fixture.connect("ann").await;
    let (mut first, mut second) = (fixture.connect("first").await, fixture.connect("second").await);
    let between = fixture.connect("between").await;
    for client in [&mut first, &mut second] {
        watch(&fixture, client, "ann").await;
        client.snapshot().await;
    }
    gather(&fixture, &[&first, &between, &second]).await;
    fixture.set_status("ann", CustomStatus::DoNotDisturb).await;
    let stopped = deliver(&fixture, &first, &between, &second);
    let (told, _) = first.event().await;
    assert_eq!(statuses(&told), [("ann".to_owned(), Some(Status::DoNotDisturb))]);
    assert_eq!(fixture.engine.forget(&user("ann")).await, Ok(1));
    drop(stopped);
    let (told, _) = second.event().await;
    assert_eq!(statuses(&told), [("ann".to_owned(), None)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reused_slot_is_delivered_as_its_new_user() {
    let fixture = Fixture::new().await;
    let (mut first, mut second) = (fixture.connect("first").await, fixture.connect("second").await);
    let between = fixture.connect("between").await;
    let neighbour = (0..)
        .map(|number| format!("neighbour-{number}"))
        .find(|name| shard_of(&user(name)) == shard_of(&user("never")))
        .expect("one of many");
    gather(&fixture, &[&first, &between, &second]).await;
    watch(&fixture, &first, "never").await;
    let stopped = deliver(&fixture, &first, &between, &second);
    let (told, ..) = first.snapshot().await;
    assert_eq!(statuses(&told), [("never".to_owned(), Some(Status::Offline))]);
    fixture.until("the first is done", |_| is_quiet(&first)).await;
    fixture.engine.unwatch(&first.conn, &[user("never")]);
    // The task that loaded it may hold it for a moment longer than its caller.
    fixture
        .until("never is out of memory", |engine| !engine.is_in_memory(&user("never")))
        .await;
    watch(&fixture, &second, &neighbour).await;
    drop(stopped);
    let (told, ..) = second.snapshot().await;
    assert_eq!(statuses(&told), [(neighbour, Some(Status::Offline))]);
}

#[tokio::test]
async fn a_status_change_during_a_forget_does_not_restore_the_user() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    fixture.written().await;
    let held = fixture.store.hold_commits();
    // On one thread, whoever has begun has asked the store as well.
    let forgetting = fixture.forgetting("ann").await;
    fixture.engine.away(&ann.conn, None).expect("a session");
    let is_taken = |engine: &Engine| {
        let entry = engine.users.find(&user("ann")).expect("ann");
        !entry.disk.is_queued()
    };
    fixture.until("the write behind has come to ann", is_taken).await;
    drop(held);
    assert_eq!(forgetting.await.expect("an answer"), Ok(1));
    fixture.written().await;
    assert!(
        fixture.stored("ann").await.is_none(),
        "{:?}",
        fixture.stored("ann").await
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_custom_status_does_not_hide_connected_on_disk() {
    let fixture = Fixture::new().await;
    fixture.stop_writing();
    let _ann = fixture.connect("ann").await;
    fixture.set_status("ann", CustomStatus::Online).await;
    let fixture = fixture.restart().await;
    assert_eq!(fixture.status("ann").await, Status::Online);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observer_resuming_on_a_failing_store_gets_a_full_snapshot() {
    let fixture = Fixture::new().await;
    let ann = fixture.connect("ann").await;
    let _bob = fixture.connect("bob").await;
    let mut observer = fixture.observe().await;
    fixture.engine.watch_all(&observer.conn, None, None).await;
    let (.., cursor) = observer.snapshot().await;
    observer.end(&fixture, EndReason::Lost);
    ann.end(&fixture, EndReason::Closed);
    fixture
        .until("ann is out of memory", |engine| !engine.is_in_memory(&user("ann")))
        .await;
    let mut again = fixture.observe().await;
    fixture.store.fail_reads(true);
    fixture.engine.watch_all(&again.conn, None, Some(cursor)).await;
    let (told, resumed, _) = again.snapshot().await;
    assert_eq!(
        (statuses(&told), resumed),
        (vec![("bob".to_owned(), Some(Status::Online))], false)
    );
    let _cid = fixture.connect("cid").await;
    let (told, _) = again.event().await;
    assert_eq!(statuses(&told), [("cid".to_owned(), Some(Status::Online))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_row_keeps_no_other_user_degraded() {
    let fixture = Fixture::new().await;
    fixture.set_status("bad", CustomStatus::Idle).await;
    fixture.written().await;
    Fixture::database(fixture.dir())
        .execute_batch("UPDATE profile SET revision = -1 WHERE user_id = 'bad'")
        .expect("a bad row");
    let _bad = fixture.connect("bad").await;
    fixture.store.fail_reads(true);
    let _ann = fixture.connect("ann").await;
    fixture.store.fail_reads(false);
    fixture.loaded("ann").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_status_with_unknown_outcome_is_shown_once_stored() {
    let fixture = Fixture::new().await;
    let _ann = fixture.connect("ann").await;
    fixture.written().await;
    let held = fixture.store.hold_commits();
    let ann = user("ann");
    let setting = fixture
        .engine
        .set_custom_status(&ann, CustomStatus::DoNotDisturb, Actor::User, Viewer::Own);
    let late = fixture.store.give_up(setting).await;
    assert_eq!(late, Err(EngineError::Store(StoreError::UnknownOutcome)));
    // Whoever waited to be read again before bob has been by the time bob is.
    fixture
        .until("settling begins", |engine| {
            engine.persistence.unknown_outcomes.was_begun()
        })
        .await;
    fixture.store.fail_reads(true);
    let _bob = fixture.connect("bob").await;
    fixture.store.fail_reads(false);
    fixture.loaded("bob").await;
    assert_eq!(fixture.counts().do_not_disturb, 0);
    drop(held);
    fixture
        .until("the custom status is shown", |engine| {
            engine.stats().users.do_not_disturb == 1
        })
        .await;
}

/// Whether nothing is under way to the client.
fn is_quiet(client: &Client) -> bool {
    let outbox = client.conn.outbox().lock();
    !outbox.is_queued() && outbox.is_flushed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_every_user_despite_constant_changes() {
    const USERS: usize = 900;
    let fixture = Fixture::new().await;
    let names: Vec<UserId> = (0..USERS).map(|number| user(&format!("{number:0>100}"))).collect();
    let mut slow = fixture.connect("slow").await;
    let mut people = Vec::new();
    for name in &names {
        people.push(fixture.connect(name.as_str()).await);
    }
    fixture
        .engine
        .watch(&slow.conn, None, names.clone(), None)
        .await
        .expect("a watch");
    slow.snapshot().await;
    let mut told = std::collections::HashSet::new();
    for round in 0..40 {
        // The kernel holds less than a round makes.
        loop {
            fixture
                .until("a frame, or nothing is under way", |_| {
                    slow.has_unread() || is_quiet(&slow)
                })
                .await;
            if slow.has_unread() {
                told.extend(slow.event().await.0.iter().map(Update::user_id).cloned());
            } else if is_quiet(&slow) {
                slow.conn.outbox().lock().hold_delivery();
                break;
            }
        }
        for person in &people {
            if round % 2 == 0 {
                fixture.engine.away(&person.conn, None);
            } else {
                fixture.engine.activity(&person.conn, Duration::ZERO);
            }
        }
        fixture.engine.ready.push(Arc::clone(&slow.conn));
        let (users, _) = slow.event().await;
        told.extend(users.iter().map(Update::user_id).cloned());
        told.remove(&user("slow"));
        if told.len() == USERS {
            return;
        }
    }
    panic!("{} of {USERS} were ever told", told.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_begun_and_cancelled_at_once_leaves_no_mover_while_serving() {
    let fixture = Fixture::new().await;
    let together = Arc::new(std::sync::Barrier::new(2));
    let change = |is_wanted: bool| {
        let (engine, together) = (Arc::clone(&fixture.engine), Arc::clone(&together));
        let runtime = tokio::runtime::Handle::current();
        std::thread::spawn(move || {
            let _entered = runtime.enter();
            for _ in 0..500 {
                together.wait();
                engine.switch_mover(is_wanted);
                together.wait();
                assert_eq!(engine.has_mover(), engine.is_draining());
            }
        })
    };
    let both = [change(true), change(false)];
    let ended = tokio::task::spawn_blocking(|| both.map(|changes| changes.join().is_ok()));
    assert_eq!(ended.await.expect("joined"), [true, true]);
}
