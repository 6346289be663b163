//! `presenced import`: a daemon moves from its SQLite file to a PostgreSQL server, whatever comes in between.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use presence::wire::record::Record;
use presence_tests::daemon::Setup;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::process::Process;
use presence_tests::{Daemon, binaries, wait_until};
use rusqlite::Connection;
use tempfile::TempDir;

/// The command that imports a file into a database.
fn import(file: &Path, url: &str) -> Command {
    let mut command = Command::new(binaries::presenced());
    command
        .env_clear()
        .args(["import", "--from", &format!("sqlite:{}", file.display()), "--to", url])
        .stdin(Stdio::null());
    command
}

fn lines(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// Runs an import that must succeed.
fn imported(file: &Path, url: &str) -> Output {
    let output = import(file, url).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

/// Starts a daemon that keeps this file, in a home of its own.
async fn daemon_on_file(home: &Arc<TempDir>) -> Daemon {
    let database = format!("sqlite:{}", home.path().join("presence.db").display());
    Setup::new(&["--database", &database]).start_in(Arc::clone(home)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_moves_to_a_server_shows_users_as_before() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let mut daemon = daemon_on_file(&home).await;
    let rest = daemon.rest();
    rest.set_custom_status("away \u{1f4a4} '\\", "IDLE")
        .await
        .ok::<Record>();
    let mut alice = daemon.socket("alice").await;
    alice.set_custom_status("DO_NOT_DISTURB").await;
    daemon.socket("bob").await.close(Some(1000)).await;
    wait_until("bob has left", async || {
        (rest.record("bob").await.status == presence::Status::Offline).then_some(())
    })
    .await;
    daemon.flushed().await;
    let bob = rest.record("bob").await;

    let server = PostgresServer::shared();
    let (file, url) = (home.path().join("presence.db"), server.url(&server.create_database()));
    let in_use = import(&file, &url).output().unwrap();
    assert_eq!(in_use.status.code(), Some(1), "{in_use:?}");
    let error = lines(&in_use.stderr);
    let holder = format!("presenced with process id {}", daemon.process().id());
    assert!(
        error.starts_with("presenced: --from: ") && error.contains(&holder),
        "{error}"
    );
    daemon.terminate().await;
    let report = lines(&imported(&file, &url).stdout);
    for (name, count) in [
        ("users", 3),
        ("custom statuses", 2),
        ("last seen", 2),
        ("skipped rows", 0),
    ] {
        let line = format!("  {name:<16}{count:>10}\n");
        assert!(report.contains(&line), "{line}{report}");
    }
    let moved = Setup::new(&["--database", &url]).start_in(home).await;
    let rest = moved.rest();
    assert_eq!(rest.custom_status("away \u{1f4a4} '\\").await, "IDLE");
    let in_grace = rest.record("alice").await;
    assert_eq!(
        in_grace.status,
        presence::Status::DoNotDisturb,
        "she may come back in time"
    );
    let same = rest.record("bob").await;
    assert_eq!(
        (same.last_seen, same.last_active, same.since),
        (bob.last_seen, bob.last_active, bob.since)
    );
}

/// Lets inserts into the users' table wait once there are so many, for as long as the table `held` has a row.
fn hold_inserts(server: &PostgresServer, database: &str, count: u32) {
    server.sql(
        database,
        &format!(
            "CREATE TABLE held AS SELECT 1;
             CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF (SELECT count(*) FROM profile) > {count} THEN
                 WHILE EXISTS (SELECT 1 FROM held) LOOP PERFORM pg_sleep(0.02); END LOOP;
               END IF;
               RETURN NULL; END $$;
             CREATE TRIGGER hold AFTER INSERT ON profile EXECUTE FUNCTION hold()"
        ),
    );
}

/// Adds users to the file of a daemon that has ended.
fn add_users(file: &Path) {
    let sql = "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 5000)
         INSERT INTO profile (user_id, last_seen) SELECT 'user-' || n, n FROM number";
    assert_eq!(Connection::open(file).unwrap().execute(sql, []).unwrap(), 5_000);
}

/// An import that has copied two parts, and waits in the third for as long as the table `held` has a row.
async fn held_import(file: &Path, server: &PostgresServer, database: &str) -> Child {
    let url = server.url(database);
    // A daemon that was only tried makes the tables.
    Setup::new(&["--database", &url]).start().await.terminate().await;
    hold_inserts(server, database, 2_500);
    let child = import(file, &url).stderr(Stdio::piped()).stdout(Stdio::null()).spawn();
    wait_until("two parts are there", async || {
        let there = server.try_sql(database, "SELECT count(*) FROM profile, presence_import");
        (lines(&there.stdout).trim() == "2000").then_some(())
    })
    .await;
    child.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_interrupted_says_how_to_go_on() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    daemon_on_file(&home).await.terminate().await;
    let file = home.path().join("presence.db");
    add_users(&file);
    let server = PostgresServer::shared();
    let database = server.create_database();
    let stopped = held_import(&file, server, &database).await;
    Process::of(stopped.id()).interrupt();
    let output = stopped.wait_with_output().unwrap();
    server.sql(&database, "DELETE FROM held");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        lines(&output.stderr).contains("presenced: interrupted. Run the same command again"),
        "{output:?}"
    );
    let report = lines(&imported(&file, &server.url(&database)).stdout);
    assert!(
        report.contains(&format!("  {:<16}{:>10}\n", "users", 5_000)),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_goes_on_when_it_is_run_again() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let mut daemon = daemon_on_file(&home).await;
    let rest = daemon.rest();
    rest.set_custom_status("zoe", "DO_NOT_DISTURB").await.ok::<Record>();
    let file = home.path().join("presence.db");
    let server = PostgresServer::shared();
    let database = server.create_database();
    let url = server.url(&database);

    daemon.terminate().await;
    add_users(&file);
    let mut killed = held_import(&file, server, &database).await;
    let new_home = Arc::new(tempfile::tempdir().unwrap());
    let failure = Daemon::start_failure(&new_home, &["--database", &url]).await;
    assert!(
        failure.stderr.contains("in use by presenced import from"),
        "{failure:?}"
    );
    killed.kill().unwrap();
    killed.wait().unwrap();
    server.sql(&database, "DELETE FROM held");
    let failure = Daemon::start_failure(&new_home, &["--database", &url]).await;
    assert_eq!(failure.status.code(), Some(1), "{failure:?}");
    assert!(
        failure.stderr.contains("finish it with `presenced import`"),
        "{failure:?}"
    );

    let finished = imported(&file, &url);
    assert!(
        lines(&finished.stderr).contains("going on with an import"),
        "{finished:?}"
    );
    let again = imported(&file, &url);
    for report in [lines(&finished.stdout), lines(&again.stdout)] {
        assert!(
            report.contains(&format!("  {:<16}{:>10}\n", "users", 5_001)),
            "{report}"
        );
    }
    let moved = Setup::new(&["--database", &url]).start_in(home).await;
    assert_eq!(moved.rest().custom_status("zoe").await, "DO_NOT_DISTURB");
    assert_eq!(
        server.sql(
            &database,
            "SELECT sum(last_seen) FROM profile WHERE user_id LIKE 'user-%'"
        ),
        "12502500"
    );
}
