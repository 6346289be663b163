//! The data directory: lock, damaged and newer databases, migration, permissions; and the configuration file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use presence::{CustomStatus, Status, Wall};
use presence_tests::Daemon;
use presence_tests::daemon::{Setup, StartFailure};
use presence_tests::wait::wait_until;
use rusqlite::Connection;
use tempfile::TempDir;

/// Makes a data directory of a daemon that had users and stopped.
async fn used_home() -> Arc<TempDir> {
    let mut daemon = Daemon::start(&[]).await;
    for index in 0..300 {
        daemon.rest().set_custom_status(&format!("user-{index}"), "IDLE").await;
    }
    assert!(daemon.terminate().await.success());
    Arc::clone(daemon.home())
}

fn assert_fails_naming(failure: &StartFailure, name: &Path) {
    assert!(!failure.status.success(), "{failure:?}");
    assert_eq!(failure.stdout, "", "it never said that it listens");
    assert!(
        failure.stderr.contains(name.to_str().unwrap()),
        "names the file: {failure:?}"
    );
    assert!(!failure.stderr.contains("panicked"), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_names_the_first_and_exits() {
    let mut daemon = Daemon::start(&[]).await;
    let alice = daemon.socket("alice").await;
    let failure = Daemon::start_failure(daemon.home(), &[]).await;
    assert!(!failure.status.success());
    assert!(
        failure.stderr.contains(&daemon.process().id().to_string()),
        "names the first: {failure:?}"
    );
    let address = std::fs::read_to_string(daemon.file("address")).unwrap();
    assert!(
        address.contains(&daemon.address().to_string()),
        "the first one's address stays: {address}"
    );
    assert_eq!(daemon.rest().record("alice").await.status, Status::Online);
    drop(alice);
    // The files of a dead process don't prevent a start.
    daemon.crash_and_start_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_an_earlier_run_is_removed_before_anything_can_fail() {
    let home = used_home().await;
    let address = home.path().join("state/address");
    assert!(address.exists());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    Daemon::start_failure(&home, &["--metrics-listen", &listen]).await;
    assert!(!address.exists(), "another program may be there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_named_and_left_unchanged() {
    let home = used_home().await;
    let path = home.path().join("state/presence.db");
    let sound = std::fs::read(&path).unwrap();
    assert!(sound.len() > 16 * 1024, "{}", sound.len());
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("another kind of file", b"This is no database. ".repeat(1_000)),
        ("a broken header", [&[0xff; 100], &sound[100..]].concat()),
        ("a file cut off", sound[..sound.len() / 2 + 100].to_vec()),
        (
            "zeros in the middle",
            [
                &sound[..4096],
                &vec![0; sound.len() - 8192],
                &sound[sound.len() - 4096..],
            ]
            .concat(),
        ),
        (
            "noise in the middle",
            [
                &sound[..4096],
                &vec![0xa5; sound.len() - 8192],
                &sound[sound.len() - 4096..],
            ]
            .concat(),
        ),
    ];
    for (what, damaged) in cases {
        std::fs::write(&path, &damaged).unwrap();
        let failure = Daemon::start_failure(&home, &[]).await;
        assert_fails_naming(&failure, &path);
        assert!(
            std::fs::read(&path).unwrap() == damaged,
            "{what}: untouched byte for byte"
        );
    }
    std::fs::write(&path, &sound).unwrap();
    let daemon = Setup::new(&[]).start_in(home).await;
    assert_eq!(
        daemon.rest().custom_status("user-299").await,
        "IDLE",
        "the sound file serves again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_rejected_and_left_unchanged() {
    let home = used_home().await;
    let path = home.path().join("state/presence.db");
    {
        let file = Connection::open(&path).unwrap();
        let version: i64 = file.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert!(version > 0);
        file.pragma_update(None, "user_version", version + 1).unwrap();
        file.pragma_update(None, "wal_checkpoint", "TRUNCATE").ok();
    }
    let newer = std::fs::read(&path).unwrap();
    let failure = Daemon::start_failure(&home, &[]).await;
    assert_fails_naming(&failure, &path);
    assert!(std::fs::read(&path).unwrap() == newer, "untouched byte for byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_schema_is_migrated() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let state = home.path().join("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700)).unwrap();
    {
        let old = Connection::open(state.join("presence.db")).unwrap();
        old.execute_batch(
            "CREATE TABLE profile(user_id TEXT PRIMARY KEY, status TEXT NOT NULL DEFAULT 'OFFLINE', last_seen INTEGER NOT NULL);
             INSERT INTO profile VALUES ('alice', 'ONLINE', 1700000000123), ('bob', 'OFFLINE', 0), ('carol', 'IDLE', 1700000000999);",
        )
        .unwrap();
    }
    let daemon = Setup::new(&[]).start_in(home).await;
    let rest = daemon.rest();
    let alice = rest.record("alice").await;
    assert_eq!(
        (alice.status, alice.custom_status),
        (Status::Offline, Some(CustomStatus::Online))
    );
    assert_eq!(alice.last_seen, Some(Wall::from_millis(1_700_000_000_123)));
    assert_eq!(rest.record("bob").await.last_seen, None, "0 is never");
    assert_eq!(rest.custom_status("carol").await, "ONLINE");
    assert_eq!(rest.list("").await.users, [], "nobody of them is here");
    rest.set_custom_status("alice", "DO_NOT_DISTURB")
        .await
        .ok::<presence::wire::record::Record>();
    assert_eq!(
        daemon.socket("alice").await.user.as_ref().unwrap().status,
        Status::DoNotDisturb
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_directory_is_private() {
    let daemon = Daemon::start(&[]).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&daemon.file("")), 0o700);
    for entry in std::fs::read_dir(daemon.file("")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{path:?} {:o}", mode(&path));
    }
    for name in ["presence.db", "secret", "jwt-key", "address"] {
        assert_eq!(mode(&daemon.file(name)), 0o600, "{name}");
    }
    assert!(daemon.secret().len() >= 32 && daemon.jwt_key().len() >= 32);
    assert_ne!(daemon.secret(), daemon.jwt_key());
    let other = Daemon::start(&[]).await;
    assert_ne!(daemon.secret(), other.secret());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_file_readable_by_others_is_rejected() {
    let home = used_home().await;
    for name in ["secret", "jwt-key"] {
        let path = home.path().join("state").join(name);
        for mode in [0o640, 0o604, 0o644] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let failure = Daemon::start_failure(&home, &[]).await;
            assert_fails_naming(&failure, &path);
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    Setup::new(&[]).start_in(home).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_setting_exits_with_2_and_one_line() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let bad: &[(&[&str], &str)] = &[
        (&["--no-such-flag"], "no-such-flag"),
        (&["--grace", "5 apples"], "grace"),
        (&["--grace=-1s"], "grace"),
        (&["--ping-interval", "0s"], "ping"),
        (&["--ping-interval", "5s", "--ping-timeout", "5s"], "ping-timeout"),
        (&["--grace", "31s"], "grace"),
        (&["--idle-after", "25s"], "idle-after"),
        (&["--database", "mysql://localhost/x"], "database"),
        (&["--redis", "memcached://localhost"], "redis"),
        (&["--trusted-proxy", "everyone"], "trusted-proxy"),
        (&["--config", "/nowhere/presenced.toml"], "/nowhere/presenced.toml"),
        (&["--log-format", "xml"], "log-format"),
    ];
    for (flags, named) in bad {
        let failure = Daemon::start_failure(&home, flags).await;
        assert_eq!(failure.status.code(), Some(2), "{flags:?} {failure:?}");
        assert!(failure.stderr.contains(named), "{flags:?} {failure:?}");
        assert!(
            failure.stderr.trim().lines().count() == 1,
            "{flags:?} {}",
            failure.stderr
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_take_precedence_over_the_configuration_file() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let path = home.path().join("presenced.toml");
    let config = path.to_str().unwrap().to_owned();
    std::fs::write(&path, "grace = \"0s\"\nidle-after = \"400s\"\n").unwrap();
    let daemon = Setup::new(&["--config", &config]).start_in(Arc::clone(&home)).await;
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice"]).await;
    let alice = daemon.socket("alice").await;
    // If alice left before bob is notified, the connect and the disconnect might be conflated.
    bob.wait_for_status("alice", Status::Online).await;
    alice.reset();
    bob.wait_for_status("alice", Status::Offline).await;
    drop(daemon);
    for (text, named) in [
        ("graze = \"0s\"", "graze"),
        ("grace = 5", "grace"),
        ("grace", "presenced.toml"),
    ] {
        std::fs::write(&path, text).unwrap();
        let failure = Daemon::start_failure(&home, &["--config", &config]).await;
        assert_eq!(failure.status.code(), Some(2), "{text} {failure:?}");
        assert!(failure.stderr.contains(named), "{text} {failure:?}");
    }
}

/// The programs of a release are linked with musl, which names this error otherwise.
fn in_words_of_glibc(text: &str) -> String {
    text.replace("Address in use", "Address already in use")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_file_or_address_is_named_once_with_its_setting() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let bad: [(&[&str], &str); 5] = [
        (
            &["--secret-file", "/nope"],
            "--secret-file: can't use \"/nope\": No such file or directory (os error 2)",
        ),
        (
            &["--jwt-key", "/nope"],
            "--jwt-key: can't use \"/nope\": No such file or directory (os error 2)",
        ),
        (&["--jwt-key", "/etc/hostname"], "--jwt-key: \"/etc/hostname\""),
        (&["--database", "sqlite:/nope/x.db"], "--database: "),
        (
            &["--metrics-listen", &taken],
            "Address already in use (os error 98); another program listens there",
        ),
    ];
    for (flags, text) in bad {
        let failure = Daemon::start_failure(&home, flags).await;
        // The log's own thread may write its last lines after it.
        let line = failure.stderr.lines().find(|line| line.starts_with("presenced: --"));
        let line = line.unwrap_or_else(|| panic!("{flags:?} {}", failure.stderr));
        assert!(in_words_of_glibc(line).contains(text), "{flags:?} {line}");
        assert!(line.contains(flags[0]), "{flags:?} {line}");
        assert_eq!(
            line.matches("os error").count(),
            usize::from(line.contains("os error")),
            "once: {line}"
        );
    }
    let listen = Setup::new(&[]).listening_on(&taken).try_start().await.unwrap_err();
    assert!(
        in_words_of_glibc(&listen.stderr).contains(&format!("presenced: --listen {taken}: Address already in use")),
        "{listen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exposed_listener_without_a_named_proxy_is_logged() {
    let exposed = Setup::new(&["--insecure"]).listening_on("0.0.0.0:0").start().await;
    let local = Daemon::start(&["--insecure"]).await;
    for (daemon, is_exposed) in [(exposed, true), (local, false)] {
        // Logged before this line.
        wait_until("the daemon accepts", async || {
            daemon.log().contains("accepting").then_some(())
        })
        .await;
        let text = "--listen is not loopback and --insecure is set";
        assert_eq!(daemon.log().contains(text), is_exposed, "{}", daemon.log());
    }
}
