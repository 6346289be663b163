//! Tombstones within one transaction, and what they leave on disk.

use presence::CustomStatus::{DoNotDisturb, Idle};
use sha2::{Digest as _, Sha256};

use super::*;

#[tokio::test]
async fn a_tombstone_holds_within_the_transaction_that_writes_it() {
    let dir = DatabaseDir::new();
    let store = dir.open_patient();
    let unlocked = hold_writer(&dir, &store).await;
    let alice = user("alice");
    let (forgotten, late, statuses, later, ()) = tokio::join!(
        store.forget(&alice, Revision::new(10), wall(1)),
        store.set_custom_at("alice", Idle, 10),
        store.save_statuses(vec![status("alice", Status::Online, 10)]),
        store.set_custom_at("alice", DoNotDisturb, 11),
        unlocked,
    );
    assert_eq!((forgotten, late), (Ok(()), Err(StoreError::Forgotten)));
    assert_eq!((statuses, later), (Ok(()), Ok(())));
    let row = store.load(&alice).await.unwrap().unwrap();
    assert_eq!((row.status, row.durable.version), (Status::Offline, Version::new(1)));
}

#[test]
fn a_pruning_deletes_a_bounded_number_of_tombstones_at_once() {
    let dir = DatabaseDir::new();
    dir.open().close();
    let connection = dir.connect();
    let count = crate::store::options::ROWS_AT_ONCE + 1;
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO tombstone (user_hash, revision, version, forgotten_at)
         SELECT CAST(printf('%032d', i) AS BLOB), 7, 0, 0 FROM n";
    connection.execute(rows, [i64::try_from(count).unwrap()]).unwrap();
    for expected in [count - 1, 1, 0] {
        let pruned = super::super::tombstones::prune(&connection, Revision::new(7));
        assert_eq!(pruned, Ok(expected));
    }
}

#[tokio::test]
async fn a_refused_forget_leaves_no_tombstone_in_its_transaction() {
    let dir = DatabaseDir::new();
    let store = dir.open_patient();
    let trigger = "CREATE TRIGGER bad BEFORE INSERT ON tombstone BEGIN SELECT RAISE(FAIL, 'this one fails'); END";
    dir.connect().execute_batch(trigger).unwrap();
    let unlocked = hold_writer(&dir, &store).await;
    let alice = user("alice");
    let (forgotten, saved, ()) = tokio::join!(
        store.forget(&alice, Revision::new(10), wall(1)),
        store.set_custom_at("alice", Idle, 5),
        unlocked,
    );
    assert!(matches!(forgotten, Err(StoreError::Refused { .. })), "{forgotten:?}");
    assert_eq!(saved, Ok(()));
}

#[tokio::test]
async fn a_tombstone_holds_the_hash_of_the_id_and_not_the_id() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    store.set_custom_at("alice", Idle, 1).await.unwrap();
    store
        .forget(&user("alice"), Revision::new(10), wall(123))
        .await
        .unwrap();
    store.close();
    let row = dir
        .connect()
        .query_row("SELECT user_hash, revision, forgotten_at FROM tombstone", [], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        });
    assert_eq!(row, Ok((Sha256::digest("alice").to_vec(), 10, 123)));
    let users = dir
        .connect()
        .query_row("SELECT count(*) FROM profile", [], |row| row.get(0));
    assert_eq!(users, Ok(0));
}

/// Whether the id of a user stands in the database or its log.
fn is_readable(dir: &DatabaseDir, name: &str) -> bool {
    let mut files = dir.data().into_iter().map(|(_, bytes)| bytes);
    files.any(|bytes| bytes.windows(name.len()).any(|window| window == name.as_bytes()))
}

#[tokio::test]
async fn a_forgotten_id_is_readable_in_no_file() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    for number in 0..300 {
        store
            .set_custom_at(&format!("user-{number:03}"), Idle, 1)
            .await
            .unwrap();
    }
    let (alone, with_report) = ("user-150", "somebody-who-reports");
    let reporter = user(with_report);
    let reported = store.save_report(&reporter, report("app", 5), times(5), Version::NONE);
    reported.await.unwrap();
    store.set_custom_at("user-299", DoNotDisturb, 2).await.unwrap();
    assert!(is_readable(&dir, alone) && is_readable(&dir, with_report));
    let reading = dir.connect();
    reading.execute_batch("BEGIN; SELECT count(*) FROM profile").unwrap();
    reading
        .query_row("SELECT count(*) FROM profile", [], |_| Ok(()))
        .unwrap();
    for name in [alone, with_report] {
        store.forget(&user(name), Revision::new(10), wall(1)).await.unwrap();
    }
    reading.execute_batch("COMMIT").unwrap();
    // The next write tries again what a reader was in the way of.
    store.set_custom_at("user-001", DoNotDisturb, 3).await.unwrap();
    wait_until(|| !is_readable(&dir, alone) && !is_readable(&dir, with_report)).await;
    assert!(is_readable(&dir, "user-149"), "nobody else is gone");
    store.close();
    assert!(!is_readable(&dir, alone) && !is_readable(&dir, with_report));
}
