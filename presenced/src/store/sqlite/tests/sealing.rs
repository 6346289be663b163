//! What seals the store until a restart: a failed fsync, a file that is damaged, removed or replaced. It is named and left
//! alone, and reads go on where they can.

use std::io::Write as _;

use presence::CustomStatus::{DoNotDisturb, Idle};
use rusqlite::ffi;

use super::super::connection::Beside;
use super::super::fault_injection::Step;
use super::*;

fn is_sealed(result: &Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Sealed { .. }))
}

#[tokio::test]
async fn a_failed_fsync_seals_the_store() {
    for step in [Step::Commit, Step::Checkpoint] {
        let dir = DatabaseDir::new();
        let store = dir.open();
        store.set_custom_at("alice", Idle, 1).await.unwrap();
        store
            .sqlite()
            .inner
            .health
            .faults
            .fail(Some((step, ffi::SQLITE_IOERR_FSYNC)));
        let mut number = 2;
        while !store.health().restart_needed && number < 4_000 {
            let _ = store
                .set_custom_at(&format!("user-{number}"), DoNotDisturb, number)
                .await;
            number += 1;
        }
        assert!(store.health().error.unwrap().contains("restart needed"), "{step:?}");
        store.sqlite().inner.health.faults.fail(None);
        let before = dir.data();
        assert!(is_sealed(&store.set_custom_at("alice", DoNotDisturb, number).await));
        assert_eq!(store.custom("alice").await, Some(Idle), "reads go on");
        store.close();
        assert!(before == dir.data(), "closing writes nothing either");
        assert_eq!(dir.open().custom("alice").await, Some(Idle));
    }
}

#[tokio::test]
async fn a_file_damaged_while_open_is_named_and_left_alone() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    for number in 0..500 {
        let row = status(&format!("user-{number:04}"), Status::Online, 1);
        store.save_statuses(vec![row]).await.unwrap();
    }
    store.close();
    let store = dir.open();
    let mut file = std::fs::OpenOptions::new().write(true).open(dir.path()).unwrap();
    file.write_all(&vec![0xa5; std::fs::metadata(dir.path()).unwrap().len() as usize])
        .unwrap();
    drop(file);
    let before = dir.data();
    let read = store.load(&user("user-0499")).await;
    assert!(matches!(read, Err(StoreError::Sealed { .. })), "{read:?}");
    assert!(is_sealed(&store.set_custom_at("alice", Idle, 1).await));
    let health = store.health();
    assert!(!health.writable);
    let error = health.error.unwrap();
    assert!(error.contains("presence.db") && error.contains("damaged"), "{error}");
    store.close();
    assert!(before == dir.data());
}

#[tokio::test]
async fn a_removed_or_replaced_file_takes_no_writes() {
    type Harm = fn(&DatabaseDir);
    let harms: [(&str, Harm); 4] = [
        ("removed", |dir| std::fs::remove_file(dir.path()).unwrap()),
        ("removed with all beside it", |dir| {
            std::fs::remove_dir_all(dir.directory.path()).unwrap();
        }),
        ("replaced", |dir| {
            let other = dir.directory.path().join("backup");
            std::fs::copy(dir.path(), &other).unwrap();
            std::fs::rename(other, dir.path()).unwrap();
        }),
        ("without its log", |dir| {
            std::fs::remove_file(Beside::Log.path(&dir.path())).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let dir = DatabaseDir::new();
        let store = dir.open();
        store.set_custom_at("alice", Idle, 1).await.unwrap();
        harm(&dir);
        let saved = store.set_custom_at("alice", DoNotDisturb, 2).await;
        assert!(is_sealed(&saved), "{what}: {saved:?}");
        let error = store.health().error.unwrap();
        assert!(
            error.contains("presence.db") && error.contains("restart needed"),
            "{error}"
        );
        let names = |dir: &DatabaseDir| std::fs::read_dir(dir.directory.path()).map_or(0, Iterator::count);
        let before = names(&dir);
        store.close();
        assert_eq!(
            names(&dir),
            before,
            "{what}: closing removes nothing that is not its own"
        );
    }
}
