//! A daemon whose database is a PostgreSQL server: what its users and operators notice when that goes away, and of its
//! password never.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use presence::Status;
use presence::wire::record::Record;
use presence_tests::daemon::Setup;
use presence_tests::postgres_server::{Disk, PostgresServer, make_private};
use presence_tests::{Daemon, Rest, wait_until};
use serde_json::json;
use tempfile::TempDir;

/// Starts a daemon on a new database of this server.
async fn daemon_on(server: &PostgresServer, flags: &[&str]) -> Daemon {
    let url = server.url(&server.create_database());
    let flags = [&["--database", url.as_str()], flags].concat();
    Setup::new(&flags).start().await
}

async fn writes_again(rest: &Rest, user: &str) {
    wait_until("writes are taken again", async || {
        (rest.set_custom_status(user, "IDLE").await.status == 200).then_some(())
    })
    .await;
    wait_until("ready again", async || {
        (rest.get("/readyz").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_stops_writes_alone() {
    let server = PostgresServer::start(Disk::Unsynced);
    let daemon = daemon_on(&server, &["--grace", "0s"]).await;
    let rest = daemon.rest();
    assert_eq!(rest.stats().await.store.kind, "postgres");
    rest.set_custom_status("stored", "DO_NOT_DISTURB").await.ok::<Record>();
    let mut alice = daemon.socket("alice").await;
    alice.set_custom_status("DO_NOT_DISTURB").await;
    let leaving = daemon.socket("leaving").await;
    let mut observer = daemon.observer().await;
    observer.snapshot(json!({"type": "watchAll"})).await;
    daemon.flushed().await;

    server.stop();
    let refused = rest.set_custom_status("alice", "IDLE").await;
    refused.rejected(503, "store_unavailable");
    rest.report("alice", json!({"status": "ONLINE"}))
        .await
        .rejected(503, "store_unavailable");
    let ready = rest.get("/readyz").await;
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert!(
        !ready.body.to_string().contains("127.0.0.1"),
        "nobody is told where it is: {}",
        ready.body
    );
    // Presence goes on: who leaves is seen to leave, who comes is shown, without what is stored.
    leaving.close(Some(1000)).await;
    let left = observer.wait_for_status("leaving", Status::Offline).await;
    let stored = daemon.socket("stored").await;
    let shown = rest.record("stored").await;
    assert!(shown.degraded && shown.status == Status::Online, "{shown:?}");
    assert_eq!(rest.record("alice").await.status, Status::DoNotDisturb);
    assert!(!rest.stats().await.store.writable);

    server.start_again();
    writes_again(&rest, "alice").await;
    observer.wait_for_status("stored", Status::DoNotDisturb).await;
    assert!(!rest.record("stored").await.degraded);
    daemon.flushed().await;
    assert_eq!(rest.record("leaving").await.last_seen, left.last_seen);
    drop(stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_custom_status_survives_a_crash_of_both() {
    let server = PostgresServer::start(Disk::Synced);
    let mut daemon = daemon_on(&server, &[]).await;
    daemon
        .rest()
        .set_custom_status("alice", "DO_NOT_DISTURB")
        .await
        .ok::<Record>();
    server.crash();
    daemon.kill();
    server.start_again();
    daemon.start_again().await;
    assert_eq!(daemon.rest().custom_status("alice").await, "DO_NOT_DISTURB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_one_database_server_is_refused() {
    let server = PostgresServer::shared();
    let url = server.url(&server.create_database());
    let first = Setup::new(&["--database", &url]).start().await;
    let failure = Daemon::start_failure(&new_home(), &["--database", &url]).await;
    assert_eq!(failure.status.code(), Some(1), "{failure:?}");
    assert!(
        failure.stderr.contains("is in use by presenced from 127.0.0.1"),
        "{failure:?}"
    );
    first.rest().set_custom_status("alice", "IDLE").await.ok::<Record>();
}

fn new_home() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

/// A file with a password.
fn password_file(home: &TempDir, text: &str) -> PathBuf {
    let file = home.path().join("password");
    fs::write(&file, text).unwrap();
    make_private(&file);
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_in_no_log_and_no_process_list() {
    const PASSWORD: &str = "hunter2-of-the-daemon";
    let server = PostgresServer::start(Disk::Unsynced);
    let database = server.create_database();
    server.sql(&database, &format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"));
    server.sql(&database, &format!("ALTER DATABASE {database} OWNER TO app"));
    server.authenticate("local all all trust\nhost all all all scram-sha-256\n");
    server.reload();
    let url = server.url(&database).replace("presence@", "app@");
    let (home, wrong) = (new_home(), new_home());
    let (file, wrong_file) = (password_file(&home, PASSWORD), password_file(&wrong, "not-it"));
    let flags = |file: &PathBuf| {
        [
            "--database".to_owned(),
            url.clone(),
            "--database-password-file".to_owned(),
            file.display().to_string(),
        ]
    };
    let wrong_flags = flags(&wrong_file);
    let failure = Daemon::start_failure(&wrong, &wrong_flags.each_ref().map(String::as_str)).await;
    assert_eq!(failure.status.code(), Some(1), "{failure:?}");
    assert!(
        failure.stderr.contains("28P01") && !failure.stderr.contains("not-it"),
        "{failure:?}"
    );

    let own_flags = [flags(&file).as_slice(), &["--log-level".to_owned(), "trace".to_owned()]].concat();
    let own_flags: Vec<&str> = own_flags.iter().map(String::as_str).collect();
    let daemon = Setup::new(&own_flags).start().await;
    daemon.rest().set_custom_status("alice", "IDLE").await.ok::<Record>();
    let pid = daemon.process().id();
    for shown in ["cmdline", "environ"] {
        let shown = fs::read(format!("/proc/{pid}/{shown}")).unwrap();
        assert!(!String::from_utf8_lossy(&shown).contains(PASSWORD));
    }
    assert!(!daemon.log().contains(PASSWORD));
    let metrics = daemon.rest().metrics().await;
    assert!(!metrics.contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_can_not_be_reached_is_one_line_and_exit_code_1() {
    let url = "postgres://presence@127.0.0.1:1/presence";
    let failure = Daemon::start_failure(&new_home(), &["--database", url]).await;
    assert_eq!(failure.status.code(), Some(1), "{failure:?}");
    let lines: Vec<&str> = failure.stderr.lines().collect();
    assert!(lines[0].contains("waiting for the database"), "{lines:?}");
    assert!(
        lines.len() == 2 && lines[1].starts_with("presenced: --database: can't use PostgreSQL at 127.0.0.1:1,"),
        "{lines:?}"
    );
}
