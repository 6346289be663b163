//! A disk that fails, a lock that stays, a queue that is full: reads go on, nothing is acknowledged that isn't stored, and
//! service resumes by itself.

use std::io::BufRead as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use presence::CustomStatus::{DoNotDisturb, Idle};
use rusqlite::ffi;

use super::super::fault_injection::Step;
use super::*;
use crate::store::metrics::FailureKind;

/// The longest that a store whose writer waits for a lock may keep its callers waiting: two waits, which are 4 s at most, and
/// the rest for a busy machine. A wait for each batch, or for each request, would be over a minute.
const PATIENCE: Duration = Duration::from_secs(30);

fn is_unavailable<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable { .. }))
}

#[test]
fn every_error_code_has_its_failure_kind() {
    let kind = |code| FailureKind::of(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
    for (code, expected) in [
        (ffi::SQLITE_BUSY, FailureKind::Locked),
        (ffi::SQLITE_BUSY_RECOVERY, FailureKind::Locked),
        (ffi::SQLITE_BUSY_SNAPSHOT, FailureKind::Locked),
        (ffi::SQLITE_LOCKED, FailureKind::Locked),
        (ffi::SQLITE_FULL, FailureKind::Full),
        (ffi::SQLITE_IOERR_WRITE, FailureKind::Io),
        (ffi::SQLITE_IOERR_READ, FailureKind::Io),
        (ffi::SQLITE_IOERR_SHMSIZE, FailureKind::Io),
        (ffi::SQLITE_CANTOPEN, FailureKind::Io),
        (ffi::SQLITE_NOMEM, FailureKind::Io),
        (ffi::SQLITE_READONLY, FailureKind::ReadOnly),
        (ffi::SQLITE_READONLY_DIRECTORY, FailureKind::ReadOnly),
        (ffi::SQLITE_READONLY_DBMOVED, FailureKind::Moved),
        (ffi::SQLITE_IOERR_FSYNC, FailureKind::Fsync),
        (ffi::SQLITE_IOERR_DIR_FSYNC, FailureKind::Fsync),
        (ffi::SQLITE_CORRUPT, FailureKind::Damaged),
        (ffi::SQLITE_CORRUPT_INDEX, FailureKind::Damaged),
        (ffi::SQLITE_IOERR_CORRUPTFS, FailureKind::Damaged),
        (ffi::SQLITE_NOTADB, FailureKind::Damaged),
        (ffi::SQLITE_CONSTRAINT_CHECK, FailureKind::Request),
        (ffi::SQLITE_MISMATCH, FailureKind::Request),
    ] {
        assert_eq!(kind(code), expected, "{code}");
    }
}

#[tokio::test]
async fn one_request_that_fails_does_not_fail_the_others() {
    let dir = DatabaseDir::new();
    let store = dir.open_patient();
    dir.connect()
        .execute_batch(
            "CREATE TRIGGER bad BEFORE INSERT ON report WHEN NEW.source = 'bad'
             BEGIN SELECT RAISE(FAIL, 'this one fails'); END",
        )
        .unwrap();
    let (alice, bob, carol) = (user("alice"), user("bob"), user("carol"));
    let unlocked = hold_writer(&dir, &store).await;
    let (first, failing, beyond, last, ()) = tokio::join!(
        store.save_preference(&alice, preference(Idle, 1), Version::NONE, Revision::new(1)),
        store.save_report(&bob, report("bad", 1), times(1), Version::NONE),
        store.save_preference(&carol, preference(Idle, 1), Version::NONE, Revision::new(u64::MAX)),
        store.save_report(&carol, report("good", 1), times(1), Version::NONE),
        unlocked,
    );
    assert!(first.is_ok() && last.is_ok(), "{first:?} {last:?}");
    assert!(matches!(failing, Err(StoreError::Refused { .. })), "{failing:?}");
    assert!(matches!(beyond, Err(StoreError::Refused { .. })), "{beyond:?}");
    assert_eq!(store.load(&bob).await, Ok(None), "not even half of it is stored");
    assert_eq!(store.load(&carol).await.unwrap().unwrap().durable.reports.len(), 1);
    assert_eq!(store.custom("alice").await, Some(Idle));
    assert!(store.health().writable);
}

#[tokio::test]
async fn a_lock_of_another_process_fails_writes_and_no_reads() {
    let dir = DatabaseDir::new();
    let options = OpenOptions {
        busy_timeout: Duration::from_secs(2),
        batch_max: 16,
        ..patient()
    };
    let (store, _) = dir.start_with(&options);
    store.set_custom_at("alice", Idle, 1).await.unwrap();
    let holder = dir.connect();
    holder
        .execute_batch("BEGIN IMMEDIATE; UPDATE profile SET custom_status = 'ONLINE'")
        .unwrap();

    let writes: Vec<_> = (0..3_000)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.set_custom_at(&format!("user-{number}"), Idle, 1).await })
        })
        .collect();
    assert_eq!(
        store.custom("alice").await,
        Some(Idle),
        "a read does not wait for the lock"
    );
    let answered = async {
        for write in writes {
            assert!(is_unavailable(&write.await.unwrap()));
        }
    };
    tokio::time::timeout(PATIENCE, answered)
        .await
        .expect("no request waits for longer");
    let health = store.health();
    assert!(!health.writable && !health.restart_needed);
    assert!(health.error.unwrap().contains("presence.db"));
    assert_eq!(store.load(&user("user-1")).await, Ok(None));

    holder.execute_batch("ROLLBACK").unwrap();
    store.set_custom_at("alice", DoNotDisturb, 2).await.unwrap();
    assert_eq!(store.custom("alice").await, Some(DoNotDisturb));
    assert!(store.health().writable, "it resumes by itself");
}

#[tokio::test]
async fn requests_behind_a_lock_are_answered_with_the_first() {
    let dir = DatabaseDir::new();
    let options = OpenOptions {
        busy_timeout: Duration::from_millis(400),
        answer_within: Duration::from_secs(60),
        ..OpenOptions::default()
    };
    let (store, _) = dir.start_with(&options);
    let holder = dir.connect();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writes: Vec<_> = (0..200)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.set_custom_at(&format!("user-{number}"), Idle, 1).await })
        })
        .collect();
    let answered = async {
        for write in writes {
            assert!(is_unavailable(&write.await.unwrap()));
        }
    };
    tokio::time::timeout(PATIENCE, answered)
        .await
        .expect("one wait for the lock, or two, but not one each");
}

#[tokio::test]
async fn a_failed_transaction_is_answered_to_its_whole_batch() {
    for (step, code) in [
        (Step::Commit, ffi::SQLITE_FULL),
        (Step::Commit, ffi::SQLITE_IOERR_WRITE),
        (Step::Begin, ffi::SQLITE_READONLY),
        (Step::Begin, ffi::SQLITE_NOMEM),
    ] {
        let dir = DatabaseDir::new();
        let store = dir.open();
        store.set_custom_at("alice", Idle, 1).await.unwrap();
        store.sqlite().inner.health.faults.fail(Some((step, code)));
        let (one, other) = tokio::join!(
            store.set_custom_at("alice", DoNotDisturb, 2),
            store.set_custom_at("bob", Idle, 2)
        );
        assert!(is_unavailable(&one) && is_unavailable(&other), "{one:?} {other:?}");
        assert_eq!(store.custom("alice").await, Some(Idle));
        assert_eq!(store.custom("bob").await, None);
        assert!(!store.health().writable);
        store.sqlite().inner.health.faults.fail(None);
        store.set_custom_at("bob", Idle, 3).await.unwrap();
        assert!(store.health().writable);
    }
}

#[tokio::test]
async fn a_read_that_failed_once_is_retried() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    store.set_custom_at("alice", Idle, 1).await.unwrap();
    for code in [ffi::SQLITE_IOERR_READ, ffi::SQLITE_CORRUPT, ffi::SQLITE_IOERR_CORRUPTFS] {
        store.sqlite().inner.health.faults.fail_once(Step::Read, code);
        assert_eq!(store.custom("alice").await, Some(Idle), "{code}");
    }
    assert!(store.health().writable);
}

/// SQLite says that a page is corrupt if the disk fails to read it.
#[tokio::test]
async fn damage_that_a_check_does_not_find_seals_nothing() {
    for step in [Step::Read, Step::Begin, Step::Commit, Step::Checkpoint] {
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_IOERR_CORRUPTFS] {
            let dir = DatabaseDir::new();
            let store = dir.open();
            store.set_custom_at("alice", Idle, 1).await.unwrap();
            store.sqlite().inner.health.faults.fail(Some((step, code)));
            let (loaded, saved) = (
                store.load(&user("alice")).await,
                store.set_custom_at("bob", Idle, 1).await,
            );
            assert_eq!(is_unavailable(&loaded), step == Step::Read, "{step:?} {loaded:?}");
            assert_eq!(
                is_unavailable(&saved),
                matches!(step, Step::Begin | Step::Commit),
                "{step:?} {saved:?}"
            );
            let health = store.health();
            assert!(!health.restart_needed, "{step:?} {health:?}");
            assert!(!health.error.is_some_and(|error| error.contains("backup")));
            store.close();
            let store = dir.open();
            store.set_custom_at("alice", DoNotDisturb, 2).await.unwrap();
            assert_eq!(store.custom("alice").await, Some(DoNotDisturb));
        }
    }
}

#[tokio::test]
async fn a_fold_that_fails_as_if_damaged_seals_no_sound_file() {
    for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_IOERR_CORRUPTFS] {
        let dir = DatabaseDir::new();
        let store = dir.open();
        store.set_custom_at("alice", Idle, 1).await.unwrap();
        store.sqlite().inner.health.faults.fail(Some((Step::Checkpoint, code)));
        // After a forget the log is folded in at once, before the next write.
        store.forget(&user("alice"), Revision::new(9), wall(1)).await.unwrap();
        store.set_custom_at("bob", Idle, 1).await.unwrap();
        store.set_custom_at("bob", DoNotDisturb, 2).await.unwrap();
        assert!(!store.health().restart_needed, "{:?}", store.health());
    }
}

#[tokio::test]
async fn a_forget_whose_commit_failed_drops_no_later_write() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    store.set_custom_at("alice", Idle, 1).await.unwrap();
    store
        .sqlite()
        .inner
        .health
        .faults
        .fail(Some((Step::Commit, ffi::SQLITE_FULL)));
    assert!(is_unavailable(
        &store.forget(&user("alice"), Revision::new(9), wall(1)).await
    ));
    store.sqlite().inner.health.faults.fail(None);
    store.set_custom_at("alice", DoNotDisturb, 5).await.unwrap();
    assert_eq!(store.custom("alice").await, Some(DoNotDisturb));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let dir = DatabaseDir::new();
    let options = OpenOptions {
        queue_max: 4,
        ..patient()
    };
    let (store, _) = dir.start_with(&options);
    let unlocked = hold_writer(&dir, &store).await;
    let waiting: Vec<_> = (0..4)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.set_custom_at(&format!("user-{number}"), Idle, 1).await })
        })
        .collect();
    wait_until(|| store.requests().writes.waiting() == 4).await;
    assert_eq!(store.set_custom_at("alice", Idle, 1).await, Err(StoreError::Overloaded));
    unlocked.await;
    for write in waiting {
        write.await.unwrap().unwrap();
    }
    store.set_custom_at("alice", Idle, 1).await.unwrap();
}

#[tokio::test]
async fn a_caller_is_answered_even_if_the_disk_hangs() {
    let dir = DatabaseDir::new();
    let options = OpenOptions {
        busy_timeout: Duration::from_secs(60),
        answer_within: Duration::from_millis(100),
        ..OpenOptions::default()
    };
    let (store, _) = dir.start_with(&options);
    let holder = dir.connect();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(
        is_unavailable(&store.set_custom_at("alice", Idle, 1).await),
        "not taken, so withdrawn"
    );
    assert!(!store.health().writable);
    holder.execute_batch("ROLLBACK").unwrap();
    wait_until(|| store.requests().writes.waiting() == 0).await;
    store.answer_within(PATIENCE);
    store.set_custom_at("bob", Idle, 1).await.unwrap();
    assert!(store.health().writable);
    drop(holder);
    let count = "SELECT count(*) FROM profile WHERE user_id = 'alice'";
    let withdrawn: i64 = dir.connect().query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(withdrawn, 0, "what was withdrawn is not stored later");
}

#[tokio::test]
async fn a_write_under_way_when_its_caller_gives_up_is_unknown() {
    let dir = DatabaseDir::new();
    let options = OpenOptions {
        answer_within: Duration::from_millis(50),
        ..OpenOptions::default()
    };
    let (store, _) = dir.start_with(&options);
    let begun = async {
        loop {
            let held = store.hold_commits();
            match store.set_custom_at("alice", Idle, 1).await {
                // The writer had not begun it by then: it is withdrawn, and made again.
                answer if is_unavailable(&answer) => drop(held),
                answer => return (answer, held),
            }
        }
    };
    let begun = tokio::time::timeout(PATIENCE, begun).await;
    let (answer, held) = begun.expect("the writer begins");
    assert_eq!(answer, Err(StoreError::UnknownOutcome));
    assert!(!store.health().writable);
    drop(held);
    wait_until(|| store.health().writable).await;
    let custom = "SELECT custom_status FROM profile WHERE user_id = 'alice'";
    let stored: String = dir.connect().query_row(custom, [], |row| row.get(0)).unwrap();
    assert_eq!(stored, "IDLE", "it may still be done, and was");
}

#[tokio::test]
async fn a_closed_store_refuses() {
    let dir = DatabaseDir::new();
    let store = dir.open();
    store.close();
    assert_eq!(store.set_custom_at("alice", Idle, 1).await, Err(StoreError::Closed));
    assert_eq!(store.load(&user("alice")).await, Err(StoreError::Closed));
    store.close();
}

/// Runs in a process of its own, whose files may not grow beyond a limit that it sets itself.
#[tokio::test]
async fn a_full_disk_stops_writes_alone() {
    const CHILD: &str = "PRESENCED_TEST_FULL_DISK";
    if let Some(directory) = std::env::var_os(CHILD) {
        return fill_disk(Arc::from(std::path::PathBuf::from(directory))).await;
    }
    let dir = DatabaseDir::new();
    // The signal of a file that would grow too large is ignored, so that SQLite sees an error, as on a full disk.
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "store::sqlite::tests::faults::a_full_disk_stops_writes_alone",
            "--nocapture",
        ])
        .env(CHILD, dir.directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(child.stdout.take().unwrap());
    let lines: Vec<_> = output.lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("resumed")), "{lines:?}");
    assert_eq!(dir.open().custom("alice").await, Some(DoNotDisturb));
}

async fn fill_disk(directory: Arc<std::path::Path>) {
    let path = directory.join("presence.db");
    let (store, _) = Store::open(&path, &patient(), metrics()).unwrap();
    store.set_custom_at("alice", Idle, 1).await.unwrap();
    let unlimited = rustix::process::getrlimit(rustix::process::Resource::Fsize);
    let limit = |current| {
        let limit = rustix::process::Rlimit { current, ..unlimited };
        rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    };
    limit(
        std::fs::metadata(directory.join("presence.db-wal"))
            .map(|log| Some(log.len()))
            .unwrap(),
    );
    let failed = store.set_custom_at("alice", DoNotDisturb, 2).await;
    assert!(is_unavailable(&failed), "{failed:?}");
    assert!(!store.health().writable);
    assert_eq!(store.custom("alice").await, Some(Idle), "reads go on");
    assert_eq!(store.load(&user("never")).await, Ok(None));
    limit(unlimited.current);
    store.set_custom_at("alice", DoNotDisturb, 3).await.unwrap();
    assert!(store.health().writable);
    store.close();
    println!("resumed");
}
