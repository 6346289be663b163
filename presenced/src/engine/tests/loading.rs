//! What a load costs, however many callers meet: one read of each user, no wait behind lists, and users that are shown
//! without what is stored of them are loaded together.

use std::sync::Arc;
use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{Actor, CustomStatus, Status, UserId};
use tokio::task::JoinHandle;

use super::fixture::{DEADLINE, user};
use super::stepped_engine::Stepped;
use crate::engine::users::shard_of;

/// A user with a custom status that is not in memory.
pub(super) async fn store_do_not_disturb(stepped: &Stepped, name: &str) {
    let (id, custom) = (user(name), CustomStatus::DoNotDisturb);
    let set = stepped.engine.set_custom_status(&id, custom, Actor::User, Viewer::Own);
    set.await.expect("a custom status");
    stepped.write().await;
    assert!(!stepped.engine.is_in_memory(&user(name)));
}

/// Another program makes nonsense of what is stored of the user.
pub(super) fn make_unreadable(stepped: &Stepped, name: &str) {
    let sql = "UPDATE profile SET connected_on = '[1]' WHERE user_id = ?1";
    let changed = stepped.database().execute(sql, [name]).expect("a row");
    assert_eq!(changed, 1);
}

/// Asks for several users at once, in a task of its own.
fn query(stepped: &Stepped, users: Vec<UserId>) -> JoinHandle<Vec<Status>> {
    let engine = Arc::clone(&stepped.engine);
    tokio::spawn(async move {
        let records = engine.records(&users, Viewer::Internal, None).await.expect("records");
        records.into_iter().map(|record| record.status).collect()
    })
}

/// Lets tasks run until `is_so`.
pub(super) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.expect("in time");
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("in time")
}

#[tokio::test]
async fn callers_that_meet_share_one_read_of_a_user() {
    let stepped = Stepped::new().await;
    let before = stepped.store.read_count();
    let held = stepped.store.hold_reads();
    let asking: Vec<_> = (0..128)
        .map(|_| {
            let engine = Arc::clone(&stepped.engine);
            tokio::spawn(async move { engine.record(&user("ann"), Viewer::Internal).await })
        })
        .collect();
    until(|| stepped.store.read_count() > before).await;
    drop(held);
    for answer in asking {
        assert_eq!(
            answer.await.expect("an answer").expect("a record").status,
            Status::Offline
        );
    }
    assert_eq!(stepped.store.read_count() - before, 1);
}

#[tokio::test]
async fn single_users_that_are_asked_for_at_once_are_read_together() {
    let stepped = Stepped::new().await;
    store_do_not_disturb(&stepped, "user-99").await;
    let (users, requests) = (stepped.store.read_count(), stepped.store.read_requests());
    let asking: Vec<_> = (0..130)
        .map(|number| {
            let engine = Arc::clone(&stepped.engine);
            tokio::spawn(async move { engine.record(&user(&format!("user-{number}")), Viewer::Internal).await })
        })
        .collect();
    for (number, answer) in asking.into_iter().enumerate() {
        let record = answer.await.expect("an answer").expect("a record");
        assert_eq!(record.user_id, user(&format!("user-{number}")));
        let is_chosen = record.custom_status == Some(CustomStatus::DoNotDisturb);
        assert_eq!(is_chosen, number == 99, "{number}");
    }
    assert_eq!(stepped.store.read_count() - users, 130);
    assert_eq!(stepped.store.read_requests() - requests, 3, "64, 64 and 2 users");
}

#[tokio::test]
async fn reads_per_answer_do_not_grow_with_the_callers() {
    let stepped = Stepped::new().await;
    // All in one shard, so that each answer drops users there while the others are being read.
    let here = shard_of(&user("ann"));
    let mut neighbours = (0..).map(|number| user(&format!("absent-{number}")));
    let mut next = || neighbours.by_ref().find(|one| shard_of(one) == here).expect("endless");
    for callers in [1_u64, 8, 128] {
        let before = stepped.store.read_count();
        let held = stepped.store.hold_reads();
        let asking: Vec<_> = (0..callers).map(|_| query(&stepped, vec![next(), next()])).collect();
        until(|| stepped.store.read_count() > before).await;
        drop(held);
        for answer in asking {
            assert_eq!(answer.await.expect("an answer").len(), 2);
        }
        assert_eq!(stepped.store.read_count() - before, 2 * callers, "{callers} callers");
    }
}

#[tokio::test]
async fn lists_that_meet_share_the_reads_of_what_they_have_in_common() {
    let stepped = Stepped::new().await;
    let users: Vec<UserId> = (0..1_500).map(|number| user(&format!("user-{number}"))).collect();
    let before = stepped.store.read_count();
    let held = stepped.store.hold_reads();
    let asking: Vec<_> = (0..32).map(|_| query(&stepped, users.clone())).collect();
    until(|| stepped.store.read_count() > before).await;
    drop(held);
    for answer in asking {
        assert_eq!(answer.await.expect("an answer").len(), 1_500);
    }
    assert_eq!(stepped.store.read_count() - before, 1_500);
}

#[tokio::test]
async fn a_connect_does_not_wait_behind_a_list_that_names_its_user() {
    let stepped = Stepped::new().await;
    store_do_not_disturb(&stepped, "ann").await;
    let before = stepped.store.read_count();
    let held = stepped.store.hold_lists();
    let list = query(&stepped, vec![user("bob"), user("ann")]);
    until(|| stepped.store.read_count() == before + 2).await;
    let ann = stepped.connect("ann").await;
    assert_eq!(stepped.status("ann").await, Status::DoNotDisturb);
    assert_eq!(stepped.engine.persistence.pending_loads.len(), 0);
    // What the list has read of her is older than her connection.
    drop(held);
    assert_eq!(list.await.expect("an answer"), [Status::Offline, Status::DoNotDisturb]);
    assert_eq!(stepped.store.read_count(), before + 3, "one read in each lane");
    drop(ann);
}

#[tokio::test]
async fn a_load_is_not_repeated_for_a_user_that_was_in_memory_unchanged() {
    let stepped = Stepped::new().await;
    store_do_not_disturb(&stepped, "ann").await;
    let before = stepped.store.read_count();
    let held = stepped.store.hold_lists();
    let list = query(&stepped, vec![user("ann"), user("bob")]);
    until(|| stepped.store.read_count() == before + 2).await;
    assert_eq!(stepped.status("ann").await, Status::Offline);
    until(|| !stepped.engine.is_in_memory(&user("ann"))).await;
    drop(held);
    assert_eq!(list.await.expect("an answer").len(), 2);
    assert_eq!(stepped.store.read_count(), before + 3);
}

#[tokio::test]
async fn a_load_that_a_change_overtook_is_repeated_once() {
    let stepped = Stepped::new().await;
    let before = stepped.store.read_count();
    let held = stepped.store.hold_lists();
    let list = query(&stepped, vec![user("ann")]);
    until(|| stepped.store.read_count() == before + 1).await;
    store_do_not_disturb(&stepped, "ann").await;
    drop(held);
    assert_eq!(list.await.expect("an answer"), [Status::Offline]);
    assert_eq!(
        stepped.store.read_count(),
        before + 3,
        "the list, the change, the list again"
    );
}

#[tokio::test]
async fn a_load_goes_on_for_the_others_if_its_first_caller_leaves() {
    let stepped = Stepped::new().await;
    let before = stepped.store.read_count();
    let held = stepped.store.hold_reads();
    let first = query(&stepped, vec![user("ann")]);
    until(|| stepped.store.read_count() > before).await;
    let second = query(&stepped, vec![user("ann")]);
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.expect_err("aborted").is_cancelled());
    drop(held);
    assert_eq!(in_time(second).await.expect("an answer"), [Status::Offline]);
    assert_eq!(stepped.store.read_count() - before, 1);
}

#[tokio::test]
async fn degraded_users_are_loaded_together_and_before_lists() {
    let stepped = Stepped::new().await;
    let names: Vec<String> = (0..600).map(|number| format!("user-{number}")).collect();
    store_do_not_disturb(&stepped, &names[599]).await;
    stepped.store.fail_reads(true);
    let mut clients = Vec::new();
    for name in &names {
        clients.push(stepped.connect(name).await);
    }
    assert_eq!(stepped.status(&names[599]).await, Status::Online);
    stepped.engine.retry_loads().await;
    assert_eq!(stepped.engine.persistence.pending_loads.len(), 600, "none is given up");
    stepped.store.fail_reads(false);
    let held = stepped.store.hold_lists();
    in_time(stepped.engine.retry_loads()).await;
    drop(held);
    assert_eq!(stepped.engine.persistence.pending_loads.len(), 0);
    assert_eq!(stepped.status(&names[599]).await, Status::DoNotDisturb);
    let counts = stepped.engine.stats().users;
    assert_eq!((counts.online, counts.do_not_disturb), (599, 1));
}

#[tokio::test]
async fn a_user_that_cannot_be_loaded_keeps_no_other_degraded() {
    let stepped = Stepped::new().await;
    store_do_not_disturb(&stepped, "ann").await;
    store_do_not_disturb(&stepped, "bad").await;
    make_unreadable(&stepped, "bad");
    stepped.store.fail_reads(true);
    let _clients = (stepped.connect("bad").await, stepped.connect("ann").await);
    stepped.store.fail_reads(false);
    stepped.engine.retry_loads().await;
    assert_eq!(stepped.status("ann").await, Status::DoNotDisturb);
    assert_eq!(stepped.engine.persistence.pending_loads.len(), 1);
}

#[tokio::test]
async fn an_unreadable_row_keeps_nobody_from_the_others_of_a_list() {
    let stepped = Stepped::new().await;
    store_do_not_disturb(&stepped, "bad").await;
    make_unreadable(&stepped, "bad");
    let bob = stepped.connect("bob").await;
    let named = vec![user("bad"), user("ann")];
    let watched = stepped.engine.watch(&bob.conn, None, named.clone(), None).await;
    watched.expect("a watch");
    let records = stepped.engine.records(&named, Viewer::Internal, None).await;
    let degraded: Vec<bool> = records.expect("records").iter().map(|one| one.degraded).collect();
    assert_eq!(degraded, [true, false]);
    let explain = stepped.engine.explain(&named[0]).await.expect("an explanation");
    assert!(explain.degraded, "what is not known is not explained as if it were");
    let (bad, custom) = (user("bad"), CustomStatus::Idle);
    let setting = stepped.engine.set_custom_status(&bad, custom, Actor::User, Viewer::Own);
    assert!(setting.await.is_err(), "nothing is known of what it replaces");
    // While it is watched it is read again and again, and shown once it can be.
    stepped.engine.retry_loads().await;
    assert_eq!(stepped.engine.persistence.pending_loads.len(), 1);
    let sql = "UPDATE profile SET connected_on = '[]' WHERE user_id = 'bad'";
    stepped.database().execute(sql, []).expect("a row");
    stepped.engine.retry_loads().await;
    let record = stepped
        .engine
        .record(&user("bad"), Viewer::Internal)
        .await
        .expect("a record");
    assert_eq!(
        (record.degraded, record.custom_status),
        (false, Some(CustomStatus::DoNotDisturb))
    );
}

#[tokio::test]
async fn an_unreadable_row_stays_in_memory_only_while_it_is_needed() {
    let stepped = Stepped::new().await;
    store_do_not_disturb(&stepped, "bad").await;
    make_unreadable(&stepped, "bad");
    for _ in 0..2 {
        let record = stepped
            .engine
            .record(&user("bad"), Viewer::Internal)
            .await
            .expect("a record");
        assert!(record.degraded && stepped.engine.is_in_memory(&user("bad")));
        stepped.engine.retry_loads().await;
        assert!(!stepped.engine.is_in_memory(&user("bad")));
        assert_eq!(stepped.engine.persistence.pending_loads.len(), 0);
    }
    assert_eq!(stepped.engine.forget(&user("bad")).await, Ok(0));
    stepped.engine.retry_loads().await;
    let record = stepped
        .engine
        .record(&user("bad"), Viewer::Internal)
        .await
        .expect("a record");
    assert!(!record.degraded);
    assert_eq!(record.custom_status, Some(CustomStatus::Online));
}

#[tokio::test]
async fn an_unreadable_row_is_read_less_and_less_often() {
    let stepped = Stepped::new().await;
    store_do_not_disturb(&stepped, "bad").await;
    make_unreadable(&stepped, "bad");
    let _bad = stepped.connect("bad").await;
    let before = stepped.store.read_count();
    let mut read_at = Vec::new();
    for second in 0..200 {
        let count = stepped.store.read_count();
        stepped.engine.retry_due_loads().await;
        read_at.extend((stepped.store.read_count() > count).then_some(second));
        stepped.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(read_at, [0, 2, 6, 14, 30, 62, 122, 182]);
    assert_eq!(stepped.store.read_count() - before, 8, "one read each");
    // Another program mends the row: it is shown within a minute, and at once to whoever changes something.
    let sql = "UPDATE profile SET connected_on = '[]' WHERE user_id = 'bad'";
    stepped.database().execute(sql, []).expect("a row");
    stepped.engine.retry_due_loads().await;
    assert_eq!(stepped.status("bad").await, Status::Online);
    stepped.clock.advance(Duration::from_secs(60));
    stepped.engine.retry_due_loads().await;
    assert_eq!(stepped.status("bad").await, Status::DoNotDisturb);
    assert_eq!(stepped.engine.persistence.pending_loads.len(), 0);
}

#[tokio::test]
async fn an_unreadable_row_that_nobody_needs_is_let_go_without_a_read() {
    let stepped = Stepped::new().await;
    for name in ["bad", "worse"] {
        store_do_not_disturb(&stepped, name).await;
        make_unreadable(&stepped, name);
    }
    let bob = stepped.connect("bob").await;
    let named = vec![user("bad"), user("worse")];
    let watched = stepped.engine.watch(&bob.conn, None, named, None).await;
    watched.expect("a watch");
    stepped.engine.retry_due_loads().await;
    let sql = "UPDATE profile SET connected_on = '[]' WHERE user_id = 'worse'";
    stepped.database().execute(sql, []).expect("a row");
    let (worse, custom) = (user("worse"), CustomStatus::Idle);
    let setting = stepped
        .engine
        .set_custom_status(&worse, custom, Actor::User, Viewer::Own);
    setting.await.expect("a custom status");
    let before = stepped.store.read_count();
    stepped.engine.retry_due_loads().await;
    assert_eq!(stepped.engine.persistence.pending_loads.len(), 1, "one is known");
    stepped.engine.unwatch(&bob.conn, &[user("bad")]);
    stepped.engine.retry_due_loads().await;
    assert_eq!(
        stepped.engine.persistence.pending_loads.len(),
        0,
        "the other is not needed"
    );
    assert_eq!(stepped.store.read_count(), before);
}

#[tokio::test]
async fn a_late_reload_does_not_undo_what_was_set_meanwhile() {
    let stepped = Stepped::new().await;
    store_do_not_disturb(&stepped, "ann").await;
    stepped.store.fail_reads(true);
    let _ann = stepped.connect("ann").await;
    stepped.store.fail_reads(false);
    let before = stepped.store.read_count();
    let held = stepped.store.hold_reads();
    let reloading = tokio::spawn({
        let engine = Arc::clone(&stepped.engine);
        async move { engine.retry_loads().await }
    });
    until(|| stepped.store.read_count() > before).await;
    let setting = tokio::spawn({
        let engine = Arc::clone(&stepped.engine);
        async move {
            let (custom, viewer) = (CustomStatus::Idle, Viewer::Own);
            engine
                .set_custom_status(&user("ann"), custom, Actor::User, viewer)
                .await
        }
    });
    until(|| stepped.store.read_count() > before + 1).await;
    drop(held);
    in_time(setting).await.expect("an answer").expect("a custom status");
    in_time(reloading).await.expect("an answer");
    assert_eq!(stepped.status("ann").await, Status::Idle);
    stepped.advance(Duration::from_secs(1));
    assert_eq!(stepped.status("ann").await, Status::Idle);
}
