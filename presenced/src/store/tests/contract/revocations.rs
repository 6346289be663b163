//! Revocations of users' tokens: what was acknowledged is there after a restart, and no reader misses one.

use std::time::Duration;

use presence::{Revision, SystemWall};

use super::on_every_backend;
use crate::store::tests::fixture::{Backend, user, wall};
use crate::store::{Store, StoreError, StoredRevocation};

on_every_backend! {
    a_new_database_has_no_revocations,
    a_revocation_is_there_after_a_restart,
    a_revocation_never_goes_back_and_gets_a_new_number,
    a_reader_finds_what_came_since_and_nothing_else,
    more_revocations_than_one_read_takes_are_all_read,
    readers_of_other_nodes_miss_none_of_many_at_once,
    a_revocation_is_not_read_while_an_earlier_one_is_not_committed,
    a_user_that_is_forgotten_stays_revoked,
    a_revocation_that_failed_is_not_stored,
    a_revocation_whose_outcome_is_unknown_can_be_found,
    a_revocation_that_can_not_be_read_is_an_error,
}

/// Within that time a write is in its transaction, and waits for no lock in vain.
const HEAD_START: Duration = Duration::from_millis(300);

fn at(millis: i64) -> SystemWall {
    SystemWall::from_millis(millis)
}

fn hash(number: u32) -> [u8; 32] {
    let mut hash = [7; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    hash
}

async fn revoke(store: &Store, user: u32, millis: i64) -> StoredRevocation {
    store.revoke_tokens(hash(user), at(millis)).await.unwrap()
}

async fn a_new_database_has_no_revocations(backend: Backend) {
    let (store, startup) = backend.start();
    assert_eq!(
        (startup.revocations, store.revocations_after(0).await),
        (vec![], Ok(vec![]))
    );
}

async fn a_revocation_is_there_after_a_restart(backend: Backend) {
    let store = backend.open();
    let first = revoke(&store, 1, 1_700_000_000_123).await;
    let second = revoke(&store, 2, -5).await;
    assert_eq!((first.user_hash, first.issued_before), (hash(1), at(1_700_000_000_123)));
    assert!(second.number > first.number);
    let (store, startup) = backend.restart(&store);
    assert_eq!(startup.revocations, [first, second]);
    store.close();
    let (store, startup) = backend.start_node();
    assert_eq!(startup.revocations, [first, second], "of a node of a cluster too");
    assert_eq!(store.revocations_after(0).await, Ok(vec![first, second]));
}

async fn a_revocation_never_goes_back_and_gets_a_new_number(backend: Backend) {
    let store = backend.open();
    let first = revoke(&store, 1, 1_000).await;
    let again = revoke(&store, 1, 900).await;
    assert_eq!(again.issued_before, at(1_000));
    assert!(again.number > first.number, "its sessions end all the same");
    let later = revoke(&store, 1, 1_001).await;
    assert_eq!(later.issued_before, at(1_001));
    assert_eq!(store.revocations_after(0).await, Ok(vec![later]));
}

async fn a_reader_finds_what_came_since_and_nothing_else(backend: Backend) {
    let (store, other) = (backend.node(), backend.node());
    let first = revoke(&store, 1, 1_000).await;
    let second = revoke(&other, 2, 2_000).await;
    assert_eq!(other.revocations_after(first.number).await, Ok(vec![second]));
    assert_eq!(store.revocations_after(second.number).await, Ok(vec![]));
    let again = revoke(&other, 1, 1_000).await;
    assert_eq!(store.revocations_after(second.number).await, Ok(vec![again]));
}

async fn more_revocations_than_one_read_takes_are_all_read(backend: Backend) {
    let store = backend.open();
    let mut all = Vec::new();
    for some in (0..1_100).collect::<Vec<u32>>().chunks(100) {
        let writes = some.iter().map(|number| revoke(&store, *number, i64::from(*number)));
        all.extend(futures_util::future::join_all(writes).await);
    }
    all.sort_by_key(|revocation| revocation.number);
    let numbers: std::collections::BTreeSet<u64> = all.iter().map(|revocation| revocation.number).collect();
    assert_eq!(numbers.len(), 1_100, "each has a number of its own");
    assert_eq!(store.revocations_after(0).await.as_ref(), Ok(&all));
    let rest = store.revocations_after(all[999].number).await.unwrap();
    assert_eq!(rest, all[1_000..]);
    assert_eq!(backend.restart(&store).1.revocations, all);
}

async fn readers_of_other_nodes_miss_none_of_many_at_once(backend: Backend) {
    let nodes = [backend.node(), backend.node(), backend.node()];
    let writes = (0..150_u32).map(|number| {
        let store = nodes[number as usize % 2].clone();
        tokio::spawn(async move { revoke(&store, number, 1).await })
    });
    let writes: Vec<_> = writes.collect();
    let (mut read, mut read_to) = (0, 0);
    let reader = &nodes[2];
    let reading = async {
        while read < writes.len() {
            let some = reader.revocations_after(read_to).await.unwrap();
            read += some.len();
            read_to = some.last().map_or(read_to, |last| last.number);
        }
    };
    // One that is committed after a higher number was read would never be found.
    let read_all = tokio::time::timeout(Duration::from_secs(30), reading).await;
    assert!(read_all.is_ok(), "{read} of {}", writes.len());
}

async fn a_revocation_is_not_read_while_an_earlier_one_is_not_committed(backend: Backend) {
    let (slow, quick, reader) = (backend.node(), backend.node(), backend.node());
    let write = |store: &Store, number| {
        let store = store.clone();
        tokio::spawn(async move { revoke(&store, number, 1).await })
    };
    let held = slow.hold_commits();
    let mut first = write(&slow, 1);
    assert!(tokio::time::timeout(HEAD_START, &mut first).await.is_err());
    let mut second = write(&quick, 2);
    let is_done = tokio::time::timeout(HEAD_START, &mut second).await.is_ok();
    let read = reader.revocations_after(0).await.unwrap();
    drop(held);
    first.await.unwrap();
    if !is_done {
        second.await.unwrap();
    }
    let read_to = read.last().map_or(0, |last| last.number);
    let rest = reader.revocations_after(read_to).await.unwrap();
    assert_eq!(read.len() + rest.len(), 2, "{read:?}, then {rest:?}");
}

async fn a_user_that_is_forgotten_stays_revoked(backend: Backend) {
    let store = backend.open();
    let revoked = revoke(&store, 1, 1_000).await;
    store.report("ann", "app").await;
    store.forget(&user("ann"), Revision::new(9), wall(9)).await.unwrap();
    store.prune_tombstones(Revision::new(9)).await.unwrap();
    assert_eq!(store.revocations_after(0).await, Ok(vec![revoked]));
}

async fn a_revocation_that_failed_is_not_stored(backend: Backend) {
    let store = backend.open();
    for fail in [Store::fail_writes, Store::fail_commits] {
        fail(&store, true);
        let failed = store.revoke_tokens(hash(1), at(1_000)).await;
        assert!(matches!(failed, Err(StoreError::Unavailable { .. })), "{failed:?}");
        fail(&store, false);
        assert_eq!(store.revocations_after(0).await, Ok(vec![]));
    }
    revoke(&store, 1, 1_000).await;
    assert_eq!(store.revocations_after(0).await.map(|all| all.len()), Ok(1));
}

async fn a_revocation_whose_outcome_is_unknown_can_be_found(backend: Backend) {
    let store = backend.open();
    store.lose_answers(true);
    let lost = store.revoke_tokens(hash(1), at(1_000)).await;
    assert_eq!(lost, Err(StoreError::UnknownOutcome));
    store.lose_answers(false);
    store.settle_unknown_outcomes().await.unwrap();
    let found = store.revocations_after(0).await.unwrap();
    assert_eq!((found.len(), found[0].issued_before), (1, at(1_000)));
}

async fn a_revocation_that_can_not_be_read_is_an_error(backend: Backend) {
    let store = backend.open();
    let known = revoke(&store, 1, 1_000).await;
    store.fail_reads(true);
    assert!(store.revocations_after(0).await.is_err());
    store.fail_reads(false);
    // Left out, it would be accepted what was revoked.
    backend.sql(match &store {
        Store::Sqlite(_) => "INSERT INTO revocation VALUES (x'00', 1, 1)",
        Store::Postgres(_) => "INSERT INTO revocation VALUES ('\\x00', 1, 1)",
    });
    assert!(store.revocations_after(0).await.is_err());
    assert_eq!(store.revocations_after(1).await, Ok(vec![known]));
}
