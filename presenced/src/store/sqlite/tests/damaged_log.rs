//! A log that is not as it was written, and an index that was cut, while the store is open and at a start.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use presence::CustomStatus::Idle;

use super::super::OpenError;
use super::super::connection::Beside;
use super::super::log_check::LogCheck;
use super::*;

const FRAME: u64 = 24 + 4_096;

fn file(dir: &DatabaseDir, beside: Beside) -> File {
    let path = beside.path(&dir.path());
    fs::OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn flip_bit(dir: &DatabaseDir, at: u64) {
    let log = file(dir, Beside::Log);
    let mut byte = [0];
    log.read_exact_at(&mut byte, at).unwrap();
    log.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

fn cut(dir: &DatabaseDir, length: u64) {
    file(dir, Beside::Log).set_len(length).unwrap();
}

fn length(dir: &DatabaseDir) -> u64 {
    file(dir, Beside::Log).metadata().unwrap().len()
}

/// An open store with several frames in its log.
async fn written() -> (DatabaseDir, Store) {
    let dir = DatabaseDir::new();
    let store = dir.open();
    for number in 0..5 {
        store.set_custom_at(&format!("user-{number}"), Idle, 1).await.unwrap();
    }
    assert!(length(&dir) > 5 * FRAME);
    (dir, store)
}

/// What can happen to a log.
type LogHarm = fn(&DatabaseDir);
const HARMS: [(&str, LogHarm); 7] = [
    ("a bit of the header", |dir| flip_bit(dir, 9)),
    ("a bit of the first frame's header", |dir| flip_bit(dir, 32 + 2)),
    ("a bit of the first page", |dir| flip_bit(dir, 32 + 24 + 1_000)),
    ("a bit of the last page", |dir| flip_bit(dir, length(dir) - 9)),
    ("cut by one frame", |dir| cut(dir, length(dir) - FRAME)),
    ("cut by one byte", |dir| cut(dir, length(dir) - 1)),
    ("emptied", |dir| cut(dir, 0)),
];

#[tokio::test]
async fn a_log_changed_while_open_is_found_named_and_left_alone() {
    for (what, harm) in HARMS {
        let (dir, store) = written().await;
        let check = LogCheck::open(&dir.path()).unwrap();
        assert_eq!((check.check_length(), check.check_frames()), (Ok(()), Ok(())));
        harm(&dir);
        assert!(check.check_frames().is_err(), "{what}");
        let before = dir.data();
        // The end checks it all.
        store.close();
        assert!(before == dir.data(), "{what}: it is left as it is");
        let error = dir.try_open().map(|_| ()).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }), "{what}: {error}");
        assert!(error.to_string().contains("presence.db-wal"), "{what}: {error}");
        assert!(before == dir.data(), "{what}");
        // As the error says.
        fs::remove_file(Beside::LogIndex.path(&dir.path())).unwrap();
        dir.try_open().unwrap();
        drop(check);
    }
}

#[tokio::test]
async fn a_bit_flipped_while_open_is_found_before_a_restart() {
    for harm in [32 + 2, 32 + 24 + 1_000] {
        let dir = DatabaseDir::new();
        let options = OpenOptions {
            check_log_every: Duration::ZERO,
            ..OpenOptions::patient()
        };
        let (store, _) = dir.start_with(&options);
        store.set_custom_at("alice", Idle, 1).await.unwrap();
        store.set_custom_at("alice", Idle, 2).await.unwrap();
        assert!(store.health().writable);
        flip_bit(&dir, harm);
        // Refused, if the check of the last write comes after the harm.
        let _ = store.set_custom_at("alice", Idle, 3).await;
        wait_until(|| store.health().restart_needed).await;
        let error = store.health().error.unwrap();
        assert!(error.contains("frame 1 of") && error.contains("backup"), "{error}");
        let before = dir.data();
        store.close();
        assert!(before == dir.data());
    }
}

#[tokio::test]
async fn a_log_cut_while_open_takes_no_more_writes() {
    let (dir, store) = written().await;
    file(&dir, Beside::Log).set_len(length(&dir) - FRAME).unwrap();
    let saved = store.set_custom_at("late", Idle, 2).await;
    assert!(matches!(saved, Err(StoreError::Sealed { .. })), "{saved:?}");
    let health = store.health();
    let error = health.error.unwrap();
    assert!(health.restart_needed && error.contains("the log is damaged"), "{error}");
    store.close();
}

#[tokio::test]
async fn a_log_folded_in_by_another_program_is_sound() {
    let (dir, store) = written().await;
    for mode in ["PASSIVE", "RESTART", "TRUNCATE"] {
        let folded = dir
            .connect()
            .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get(0));
        assert_eq!(folded, Ok(0), "{mode}");
        store.set_custom_at("alice", Idle, 2).await.unwrap();
        let check = LogCheck::open(&dir.path()).unwrap();
        assert_eq!((check.check_length(), check.check_frames()), (Ok(()), Ok(())), "{mode}");
    }
    assert!(store.health().writable);
    store.close();
    assert_eq!(dir.open().custom("alice").await, Some(Idle));
}

#[tokio::test]
async fn a_log_is_not_compared_with_an_index_from_before_the_boot() {
    let (dir, store) = written().await;
    let killed = DatabaseDir::new();
    for (name, bytes) in dir.bytes() {
        fs::write(killed.directory.path().join(name), bytes).unwrap();
    }
    store.close();
    file(&killed, Beside::Log).set_len(0).unwrap();
    assert!(killed.try_open().is_err());
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
    file(&killed, Beside::LogIndex).set_modified(old).unwrap();
    killed.try_open().unwrap();
}

#[tokio::test]
async fn an_index_cut_while_open_ends_no_process() {
    let (dir, store) = written().await;
    assert_eq!(store.custom("user-1").await, Some(Idle));
    file(&dir, Beside::LogIndex).set_len(0).unwrap();
    let read = store.load(&user("user-1")).await;
    assert!(matches!(read, Err(StoreError::Sealed { .. })), "{read:?}");
    let users = [user("user-1"), user("user-2")];
    for rows in [
        store.load_many(&users).await.unwrap(),
        store.load_first(&users).await.unwrap(),
    ] {
        let is_sealed = |row: &Result<_, _>| matches!(row, Err(StoreError::Sealed { .. }));
        assert!(rows.len() == 2 && rows.iter().all(is_sealed), "{rows:?}");
    }
    let saved = store.set_custom_at("user-1", Idle, 2).await;
    assert!(matches!(saved, Err(StoreError::Sealed { .. })), "{saved:?}");
    let error = store.health().error.unwrap();
    assert!(error.contains("the index of the log was truncated"), "{error}");
    store.close();
    assert_eq!(dir.open().custom("user-1").await, Some(Idle), "a start makes it anew");
}

#[tokio::test]
async fn the_index_is_checked_once_for_users_who_are_read_together() {
    let (_dir, store) = written().await;
    let checks = || {
        let faults = &store.sqlite().inner.health.faults;
        faults.index_checks.load(std::sync::atomic::Ordering::SeqCst)
    };
    let before = checks();
    store
        .load_many(&["user-1", "user-2", "nobody"].map(user))
        .await
        .unwrap();
    assert_eq!(checks(), before + 1);
    store.load(&user("user-1")).await.unwrap();
    assert_eq!(checks(), before + 2);
}
