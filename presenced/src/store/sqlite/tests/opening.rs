//! New, older, newer, damaged, foreign and locked files.

use std::os::unix::fs::PermissionsExt as _;

use presence::CustomStatus::Idle;

use rusqlite::ffi;

use super::super::OpenError;
use super::super::connection::Beside;
use super::super::migration::VERSION;
use super::super::open::on_reserve;
use super::migration::BARE;
use super::*;

#[tokio::test]
async fn an_empty_database_gets_the_schema() {
    let dir = DatabaseDir::new();
    dir.connect().execute_batch("VACUUM").unwrap();
    let store = dir.open();
    store.set_custom_at("alice", Idle, 1).await.unwrap();
    assert_eq!(store.custom("alice").await, Some(Idle));
}

/// A database with one custom status, whose log was not folded in, as `kill -9` leaves it.
async fn killed() -> DatabaseDir {
    let running = DatabaseDir::new();
    let store = running.open();
    store.set_custom_at("alice", Idle, 1).await.unwrap();
    let dir = DatabaseDir::new();
    for (name, bytes) in running.bytes() {
        std::fs::write(dir.directory.path().join(name), bytes).unwrap();
    }
    assert_eq!(dir.bytes().len(), 3, "the database, its log and the index of that");
    dir
}

async fn closed() -> DatabaseDir {
    let dir = DatabaseDir::new();
    let store = dir.open();
    for number in 0..2_000 {
        let row = status(&format!("user-{number:04}"), Status::Online, 1);
        store.save_statuses(vec![row]).await.unwrap();
    }
    store.close();
    assert_eq!(dir.bytes().len(), 1, "the log is folded in and gone");
    dir
}

/// Fails to open, and checks that every byte and every name is as before.
fn refused(dir: &DatabaseDir) -> OpenError {
    let before = dir.bytes();
    let error = dir.try_open().map(|_| ()).unwrap_err();
    assert_eq!(names(&before), names(&dir.bytes()));
    assert!(before == dir.bytes(), "the bytes changed: {error}");
    let line = error.to_string();
    assert!(line.contains("presence.db") && !line.contains('\n'), "{line}");
    error
}

fn names(files: &[(String, Vec<u8>)]) -> Vec<(&str, usize)> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.len())).collect()
}

#[tokio::test]
async fn the_log_that_a_crash_left_is_read() {
    let dir = killed().await;
    assert_eq!(dir.open().custom("alice").await, Some(Idle));
}

#[tokio::test]
async fn a_newer_file_is_refused_and_left_as_it_is() {
    let dir = closed().await;
    dir.connect().pragma_update(None, "user_version", VERSION + 1).unwrap();
    let error = refused(&dir);
    assert!(
        matches!(error, OpenError::Newer { found, known: VERSION, .. } if found == VERSION + 1),
        "{error}"
    );
}

#[tokio::test]
async fn a_newer_file_is_recognized_by_its_log() {
    let dir = killed().await;
    let connection = dir.connect();
    super::super::connection::leave_log(&connection);
    connection.pragma_update(None, "user_version", 7).unwrap();
    drop(connection);
    let header = std::fs::read(dir.path()).unwrap();
    assert_eq!(
        header[60..64],
        [0, 0, 0, VERSION as u8],
        "the new version stands in the log alone"
    );
    assert!(matches!(refused(&dir), OpenError::Newer { found: 7, .. }));
}

#[tokio::test]
async fn a_damaged_file_is_named_and_left_as_it_is() {
    let whole = closed().await;
    let bytes = std::fs::read(whole.path()).unwrap();
    let damage = |damaged: Vec<u8>| {
        let dir = DatabaseDir::new();
        std::fs::write(dir.path(), damaged).unwrap();
        let error = refused(&dir);
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    };
    damage(Vec::new());
    damage(b"not a database".to_vec());
    damage(vec![0xa5; bytes.len()]);
    for length in [
        16,
        99,
        100,
        4_096,
        bytes.len() / 2,
        bytes.len() - 1,
        bytes.len() - 4_096,
    ] {
        damage(bytes[..length].to_vec());
    }
    // A page that is neither in use nor free is not found by reading rows.
    let mut lost = bytes.clone();
    lost[36] ^= 1;
    damage(lost);
    for page in 1..bytes.len() / 4_096 {
        let mut flipped = bytes.clone();
        for byte in &mut flipped[page * 4_096..page * 4_096 + 12] {
            *byte ^= 0xff;
        }
        damage(flipped);
    }
}

#[tokio::test]
async fn a_damaged_file_with_a_log_is_left_as_it_is() {
    let dir = killed().await;
    let mut bytes = std::fs::read(dir.path()).unwrap();
    bytes.truncate(4_096);
    bytes[20..].fill(0xa5);
    std::fs::write(dir.path(), bytes).unwrap();
    std::fs::remove_file(dir.directory.path().join("presence.db-shm")).unwrap();
    let _ = refused(&dir);
}

#[tokio::test]
async fn a_log_without_its_database_is_not_lost() {
    let dir = killed().await;
    std::fs::remove_file(dir.path()).unwrap();
    assert!(matches!(refused(&dir), OpenError::Damaged { .. }));
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_as_it_is() {
    for sql in [
        "CREATE TABLE bookmarks (url TEXT)",
        "CREATE TABLE profile (user_id TEXT, bio TEXT)",
        "CREATE TABLE profile(user_id TEXT PRIMARY KEY, status TEXT, last_seen INTEGER); CREATE TABLE more (x)",
        "CREATE TABLE bookmarks (url TEXT); PRAGMA user_version = 1",
        "PRAGMA application_id = 7; CREATE TABLE bookmarks (url TEXT)",
        "PRAGMA journal_mode = wal; CREATE TABLE bookmarks (url TEXT)",
    ] {
        let dir = DatabaseDir::new();
        dir.connect().execute_batch(sql).unwrap();
        assert!(matches!(refused(&dir), OpenError::Foreign { .. }), "{sql}");
    }
}

#[tokio::test]
async fn a_file_that_another_process_has_locked_is_named() {
    let dir = closed().await;
    let holder = dir.connect();
    for lock in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"] {
        holder.execute_batch(lock).unwrap();
        let error = dir.try_open().map(|_| ()).unwrap_err();
        assert!(matches!(error, OpenError::Locked { .. }), "{lock}: {error}");
        assert!(error.to_string().contains("presence.db"), "{error}");
        holder.execute_batch("ROLLBACK").unwrap();
    }
    holder
        .execute_batch("PRAGMA locking_mode = exclusive; BEGIN IMMEDIATE; COMMIT")
        .unwrap();
    assert!(matches!(dir.try_open(), Err(OpenError::Locked { .. })));
    drop(holder);
    dir.try_open().unwrap();
}

#[tokio::test]
async fn the_oldest_table_of_a_program_that_still_writes_is_locked() {
    let dir = DatabaseDir::new();
    let holder = dir.connect();
    holder.execute_batch(BARE).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert!(matches!(dir.try_open(), Err(OpenError::Locked { .. })));
}

#[tokio::test]
async fn a_file_open_in_an_idle_shell_can_be_opened() {
    let dir = killed().await;
    let shell = dir.connect();
    shell.query_row("SELECT count(*) FROM profile", [], |_| Ok(())).unwrap();
    assert_eq!(dir.open().custom("alice").await, Some(Idle));
}

#[tokio::test]
async fn the_files_are_private_to_their_owner() {
    let dir = DatabaseDir::new();
    let modes = async || -> Vec<u32> {
        let store = dir.open();
        store.set_custom_at("alice", Idle, 1).await.unwrap();
        let entries = std::fs::read_dir(dir.directory.path()).unwrap();
        let mode = |entry: std::fs::DirEntry| entry.metadata().unwrap().permissions().mode() & 0o7777;
        let modes = entries.map(|entry| mode(entry.unwrap())).collect();
        store.close();
        modes
    };
    assert_eq!(modes().await, [0o600; 3], "a new one");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(modes().await, [0o600; 3], "one that others could read");
}

#[test]
fn an_interrupted_start_leaves_no_damaged_file() {
    let dir = DatabaseDir::new();
    std::fs::write(dir.directory.path().join("presence.db.new"), b"half").unwrap();
    dir.open().close();
    assert_eq!(dir.bytes().len(), 1);
}

#[tokio::test]
async fn a_database_made_by_another_start_meanwhile_is_not_replaced() {
    let dir = killed().await;
    let before = dir.data();
    let made = super::super::open::create(&dir.path(), Duration::ZERO);
    assert!(matches!(made, Err(OpenError::InUse { .. })));
    assert!(before == dir.data());
}

#[test]
fn of_starts_that_make_one_database_the_others_find_it_in_use() {
    for _ in 0..200 {
        let dir = DatabaseDir::new();
        let (path, together) = (dir.path(), std::sync::Barrier::new(4));
        let start = || {
            together.wait();
            super::super::open::create(&path, Duration::ZERO)
        };
        let made: Vec<_> = std::thread::scope(|scope| {
            let starts = [(); 4].map(|()| scope.spawn(start));
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let other = |made: &&Result<_, OpenError>| !matches!(made, Ok(_) | Err(OpenError::InUse { .. }));
        assert!(made.iter().find(other).is_none(), "{made:?}");
        assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
    }
}

#[test]
fn a_start_on_a_full_disk_uses_the_space_in_reserve() {
    let full = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_SHMSIZE), None);
    let dir = DatabaseDir::new();
    let alive = Beside::Alive.path(&dir.path());
    let length = || std::fs::metadata(&alive).map_or(0, |metadata| metadata.len());
    let mut attempts = 0;
    let mut open = || {
        attempts += 1;
        match length() {
            ..=100 => Ok(()),
            _ => Err(full()),
        }
    };
    std::fs::write(&alive, vec![b'.'; 60_000]).unwrap();
    on_reserve(&dir.path(), &mut open).unwrap();
    assert_eq!(attempts, 2);
    let refused = on_reserve(&dir.path(), || Err::<(), _>(full()));
    assert!(refused.is_err(), "without a reserve it is tried once");
}

#[test]
fn a_missing_directory_is_named() {
    let dir = DatabaseDir::new();
    let path = dir.directory.path().join("none/presence.db");
    let error = Store::open(&path, &OpenOptions::default(), metrics())
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error}");
}
