//! What ends writing until a restart: a disk that lost what it took, a file that rots, is removed or replaced. It is named
//! and left alone, and reads go on where they can.

use std::io::Write as _;

use presence::CustomStatus::{DoNotDisturb, Idle};
use rusqlite::ffi;

use super::super::connection::Beside;
use super::super::health::Step;
use super::*;

fn is_sealed(result: &Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Sealed { .. }))
}

#[tokio::test]
async fn a_disk_that_lost_what_it_took_is_never_written_again() {
    for step in [Step::Commit, Step::Checkpoint] {
        let place = Place::new();
        let store = place.open();
        store.choose("alice", Idle, 1).await.unwrap();
        store.inner.health.seam.fail(Some((step, ffi::SQLITE_IOERR_FSYNC)));
        let mut number = 2;
        while !store.health().restart_needed && number < 4_000 {
            let _ = store.choose(&format!("user-{number}"), DoNotDisturb, number).await;
            number += 1;
        }
        assert!(store.health().error.unwrap().contains("restart needed"), "{step:?}");
        store.inner.health.seam.fail(None);
        let before = place.data();
        assert!(is_sealed(&store.choose("alice", DoNotDisturb, number).await));
        assert_eq!(store.chosen("alice").await, Some(Idle), "reads go on");
        store.close();
        assert!(before == place.data(), "closing writes nothing either");
        assert_eq!(place.open().chosen("alice").await, Some(Idle));
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_while_it_is_open_is_named_and_left_alone() {
    let place = Place::new();
    let store = place.open();
    for number in 0..500 {
        let line = status(&format!("user-{number:04}"), Status::Online, 1);
        store.save_statuses(vec![line]).await.unwrap();
    }
    store.close();
    let store = place.open();
    let mut file = std::fs::OpenOptions::new().write(true).open(place.path()).unwrap();
    file.write_all(&vec![0xa5; std::fs::metadata(place.path()).unwrap().len() as usize])
        .unwrap();
    drop(file);
    let before = place.data();
    let read = store.load(&user("user-0499")).await;
    assert!(matches!(read, Err(StoreError::Sealed { .. })), "{read:?}");
    assert!(is_sealed(&store.choose("alice", Idle, 1).await));
    let health = store.health();
    assert!(!health.writable);
    let error = health.error.unwrap();
    assert!(error.contains("presence.db") && error.contains("damaged"), "{error}");
    store.close();
    assert!(before == place.data());
}

#[tokio::test]
async fn a_file_that_is_gone_or_another_one_takes_no_writes() {
    type Harm = fn(&Place);
    let harms: [(&str, Harm); 4] = [
        ("removed", |place| std::fs::remove_file(place.path()).unwrap()),
        ("removed with all beside it", |place| {
            std::fs::remove_dir_all(place.directory.path()).unwrap();
        }),
        ("replaced", |place| {
            let other = place.directory.path().join("backup");
            std::fs::copy(place.path(), &other).unwrap();
            std::fs::rename(other, place.path()).unwrap();
        }),
        ("without its log", |place| {
            std::fs::remove_file(Beside::Log.path(&place.path())).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let place = Place::new();
        let store = place.open();
        store.choose("alice", Idle, 1).await.unwrap();
        harm(&place);
        let chosen = store.choose("alice", DoNotDisturb, 2).await;
        assert!(is_sealed(&chosen), "{what}: {chosen:?}");
        let error = store.health().error.unwrap();
        assert!(
            error.contains("presence.db") && error.contains("restart needed"),
            "{error}"
        );
        let names = |place: &Place| std::fs::read_dir(place.directory.path()).map_or(0, Iterator::count);
        let before = names(&place);
        store.close();
        assert_eq!(
            names(&place),
            before,
            "{what}: closing takes away what it does not know"
        );
    }
}
