//! Two daemons never share a database or a data directory, whatever names lead there and whatever files were removed; what
//! is no regular file is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use presence_tests::Daemon;
use presence_tests::daemon::{Setup, StartFailure};
use presence_tests::wait::within_deadline;

fn flag(database: &Path) -> String {
    format!("sqlite:{}", database.display())
}

/// Starts a second daemon with a data directory of its own on that database; it must fail.
async fn second_on(database: &Path) -> StartFailure {
    let home = Arc::new(tempfile::tempdir().unwrap());
    Daemon::start_failure(&home, &["--database", &flag(database)]).await
}

fn assert_names_the_first(failure: &StartFailure, first: &Daemon, how: &str) {
    let pid = first.process().id().to_string();
    assert!(!failure.status.success(), "{how} {failure:?}");
    assert_eq!(failure.stdout, "", "{how}");
    assert!(
        failure.stderr.contains(&format!("process id {pid}")),
        "{how} names the first: {failure:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_one_database_is_refused() {
    let mut first = Daemon::start(&[]).await;
    let database = first.file("presence.db");
    let links = tempfile::tempdir_in(first.home().path()).unwrap();
    let (hard, soft) = (links.path().join("hard.db"), links.path().join("soft.db"));
    fs::hard_link(&database, &hard).unwrap();
    std::os::unix::fs::symlink(&database, &soft).unwrap();
    let directory = links.path().join("directory");
    std::os::unix::fs::symlink(first.file(""), &directory).unwrap();
    for (how, path) in [
        ("by its name", database.clone()),
        ("by a hard link", hard),
        ("by a symbolic link", soft.clone()),
        ("through another directory", directory.join("presence.db")),
    ] {
        assert_names_the_first(&second_on(&path).await, &first, how);
    }
    first.rest().set_custom_status("alice", "IDLE").await;
    first.kill();
    let second = Setup::new(&["--database", &flag(&soft)]).start().await;
    assert_eq!(
        second.rest().custom_status("alice").await,
        "IDLE",
        "a lock ends with its process"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_daemons_makes_a_new_database() {
    let shared = tempfile::tempdir().unwrap();
    let database = shared.path().join("presence.db");
    let flag = flag(&database);
    let both = [0; 2].map(|_| Setup::new(&["--database", &flag]).try_start());
    let [one, other] = both;
    let (one, other) = tokio::join!(one, other);
    assert_eq!(
        [&one, &other].iter().filter(|started| started.is_ok()).count(),
        1,
        "{one:?} {other:?}"
    );
    let failure = one.err().or(other.err()).unwrap();
    assert!(failure.stderr.contains("in use by"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_lock_file_lets_no_second_daemon_in() {
    let first = Daemon::start(&[]).await;
    let elsewhere = first.home().path().join("elsewhere.db");
    for flags in [&[][..], &["--database", &flag(&elsewhere)][..]] {
        fs::remove_file(first.file("lock")).unwrap();
        let failure = Daemon::start_failure(first.home(), flags).await;
        assert_names_the_first(&failure, &first, "without the file");
        fs::write(first.file("lock"), "").unwrap();
        let failure = Daemon::start_failure(first.home(), flags).await;
        assert_names_the_first(&failure, &first, "with an empty one");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_held_by_another_program_is_named() {
    let daemon = Daemon::start(&[]).await;
    let home = Arc::clone(daemon.home());
    let (lock, database) = (daemon.file("lock"), daemon.file("presence.db"));
    drop(daemon);
    for path in [lock, database] {
        let file = fs::File::open(&path).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let failure = Daemon::start_failure(&home, &[]).await;
        let own = format!("process id {}:", std::process::id());
        assert!(failure.stderr.contains(&own), "{path:?} {failure:?}");
        drop(file);
    }
    Setup::new(&[]).start_in(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fifo_in_place_of_a_file_is_refused() {
    let mut daemon = Daemon::start(&[]).await;
    let home = Arc::clone(daemon.home());
    daemon.terminate().await;
    let state = home.path().join("state");
    for name in [
        "presence.db",
        "presence.db-wal",
        "presence.db-shm",
        "secret",
        "jwt-key",
        "lock",
    ] {
        let path: PathBuf = state.join(name);
        let kept = path.exists().then(|| fs::read(&path).unwrap());
        fs::remove_file(&path).ok();
        let made = Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().unwrap();
        assert!(made.success());
        let starting = Daemon::start_failure(&home, &[]);
        let failure = within_deadline("a start with a fifo", starting).await;
        let named = failure.stderr.contains(path.to_str().unwrap()) && failure.stderr.contains("not a regular file");
        assert!(named, "{name} {failure:?}");
        fs::remove_file(&path).unwrap();
        if let Some(kept) = kept {
            fs::write(&path, kept).unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
    }
    Setup::new(&[]).start_in(home).await;
}
