//! Daemons that share a Redis: how they start and stop, and what keeps one from starting. What their users notice is in the
//! other tests, which run on a cluster of one node too.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use presence::Status;
use presence::wire::record::Record;
use presence_tests::binaries;
use presence_tests::daemon::{Setup, StartFailure};
use presence_tests::ports::free_port;
use presence_tests::postgres_server::{PostgresServer, make_private};
use presence_tests::process::Process;
use presence_tests::redis_server::RedisServer;
use presence_tests::websocket::shows;
use presence_tests::{Daemon, wait_until};
use tempfile::TempDir;

fn new_home() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

/// Starts a daemon that must not start, with these flags on a data directory of its own. What it says.
async fn refused(flags: &[&str]) -> String {
    let StartFailure { status, stdout, stderr } = Daemon::start_failure(&new_home(), flags).await;
    assert_eq!((status.code(), stdout.as_str()), (Some(1), ""), "{stderr}");
    stderr
}

/// Starts a daemon without waiting for it.
fn spawn(home: &Path, redis: &str) -> Child {
    Command::new(binaries::presenced())
        .args(["--listen", "127.0.0.1:0", "--redis", redis, "--data-dir"])
        .arg(home.join("state"))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Somebody who was asked for a connection and has no Redis to offer. The port is free when this returns.
async fn asked_in_vain(listener: TcpListener) {
    let asked = tokio::task::spawn_blocking(move || listener.accept().map(drop));
    asked.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_waits_for_redis_and_says_so() {
    let port = free_port().to_string();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let url = format!("redis://127.0.0.1:{port}");
    let flags = ["--redis", url.as_str()];
    let start_later = async {
        asked_in_vain(listener).await;
        tokio::task::spawn_blocking(move || RedisServer::start(&["--port", &port, "--bind", "127.0.0.1"]))
            .await
            .unwrap()
    };
    let (daemon, _redis) = tokio::join!(Setup::new(&flags).start(), start_later);
    let log = wait_until("the log says so", async || {
        let log = daemon.log();
        let is_said = log.contains("waiting for Redis") && log.contains("127.0.0.1");
        is_said.then_some(log)
    })
    .await;
    assert_eq!(log.matches("waiting for Redis").count(), 1, "at a low rate: {log}");
    assert_eq!(daemon.rest().get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_start_that_waits_for_redis() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let home = new_home();
    let mut daemon = spawn(home.path(), &format!("redis://127.0.0.1:{port}"));
    asked_in_vain(listener).await;
    Process::of(daemon.id()).terminate();
    let status = wait_until("the daemon exits", async || daemon.try_wait().unwrap()).await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_another_database_or_partitions_is_refused() {
    let redis = RedisServer::shared();
    let url = redis.url(redis.new_database());
    let first = Setup::new(&["--redis", &url]).start().await;
    let error = refused(&["--redis", &url]).await;
    for part in [
        first.file("presence.db").to_str().unwrap(),
        "state/presence.db",
        "--database",
        "delete the keys",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(error.matches("identity").count(), 2, "both are named: {error}");
    let error = refused(&["--redis", &url, "--partitions", "8"]).await;
    assert!(
        error.contains("into 16 partitions") && error.contains("is 8"),
        "{error}"
    );
    assert_eq!(first.rest().get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_for_redis_is_named_and_never_shown() {
    let redis = RedisServer::start(&[]);
    let url = redis.url(0);
    redis.command(0, &["ACL", "SETUSER", "app", "on", ">hunter2", "+@all", "~presence:*"]);
    redis.command(0, &["ACL", "SETUSER", "default", "off"]);
    let url = format!("{url}&user=app");
    let home = new_home();
    let file = home.path().join("password");
    let flags = ["--redis", url.as_str(), "--redis-password-file", file.to_str().unwrap()];
    std::fs::write(&file, "hunter1\n").unwrap();
    make_private(&file);
    let error = refused(&flags).await;
    assert!(
        error.contains("--redis-password-file") && !error.contains("hunter"),
        "{error}"
    );
    std::fs::write(&file, "hunter2\n").unwrap();
    let daemon = Setup::new(&flags).start().await;
    assert_eq!(daemon.rest().get("/readyz").await.status, 200);
    assert!(!daemon.log().contains("hunter"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_with_one_name_is_refused_and_the_first_goes_on() {
    let postgres = PostgresServer::shared();
    let database = postgres.url(&postgres.create_database());
    let redis = RedisServer::shared();
    let redis = redis.url(redis.new_database());
    let flags = [
        "--database",
        &database,
        "--redis",
        &redis,
        "--lease",
        "2s",
        "--node-name",
        "one",
    ];
    let mut first = Setup::new(&flags).start().await;
    let error = refused(&flags).await;
    let address = first.address().to_string();
    assert!(
        error.contains("the name \"one\"") && error.contains(&address),
        "{error}"
    );
    assert_eq!(first.rest().get("/readyz").await.status, 200);
    // Its data directory is lost with its machine: the name is free after a lease.
    first.kill();
    let second = Setup::new(&flags).start().await;
    assert!(second.log().contains("waiting for a lease"), "{}", second.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_leaves_no_registration() {
    let redis = RedisServer::shared();
    let database = redis.new_database();
    let mut daemon = Setup::new(&["--redis", &redis.url(database), "--partitions", "1"])
        .start()
        .await;
    let registrations = || {
        let fields = redis.command(database, &["HKEYS", "presence:{0}:state"]);
        fields.lines().filter(|field| field.starts_with("\u{1}n")).count()
    };
    let alice = daemon.socket("alice").await;
    wait_until("others can read who is present", async || {
        (redis.command(database, &["SMEMBERS", "presence:{0}:online"]) == "alice").then_some(())
    })
    .await;
    assert_eq!(registrations(), 1);
    let run = std::fs::read_to_string(daemon.file("incarnation")).unwrap();
    assert_eq!(daemon.terminate().await.code(), Some(0));
    assert_eq!(registrations(), 0);
    drop(alice);
    daemon.start_again().await;
    assert_eq!(registrations(), 1);
    assert_ne!(std::fs::read_to_string(daemon.file("incarnation")).unwrap(), run);
    // It ends what a crash left, and does not wait for a lease.
    daemon.crash_and_start_again().await;
    assert_eq!(registrations(), 1);
    assert!(!daemon.log().contains("waiting for a lease"), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_one_node_is_seen_on_the_other() {
    let postgres = PostgresServer::shared();
    let database = postgres.url(&postgres.create_database());
    let redis = RedisServer::shared();
    let redis = redis.url(redis.new_database());
    let node = async |name: &str| {
        let flags = ["--database", &database, "--redis", &redis, "--node-name", name];
        Setup::new(&flags).start().await
    };
    let (north, south) = tokio::join!(node("north"), node("south"));
    let mut bob = south.socket("bob").await;
    bob.watch(&["alice"]).await;
    let mut alice = north.socket("alice").await;
    bob.wait_for_status("alice", Status::Online).await;
    alice.set_custom_status("DO_NOT_DISTURB").await;
    bob.wait_for_status("alice", Status::DoNotDisturb).await;
    assert_eq!(south.rest().custom_status("alice").await, "DO_NOT_DISTURB");
    alice.close(Some(1000)).await;
    bob.wait_for_status("alice", Status::Offline).await;
    assert_eq!(north.rest().record("alice").await.status, Status::Offline);
}

/// Killed and started again with nothing in it: nobody becomes OFFLINE by that, and nothing needs a restart.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_redis_makes_records_stale_and_nobody_offline() {
    let redis = RedisServer::start(&[]);
    let url = redis.url_of(Path::new("outage"));
    let daemon = Daemon::start(&["--redis", &url]).await;
    let rest = daemon.rest();
    let mut bob = daemon.socket("bob").await;
    bob.watch(&["alice"]).await;
    let _alice = daemon.socket("alice").await;
    bob.wait_for_status("alice", Status::Online).await;
    let warned = async || {
        let ready = rest.get("/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.body);
        ready.body["warnings"].to_string().contains("records may be stale")
    };
    assert!(!warned().await);

    redis.kill();
    wait_until("records are stale", async || {
        (rest.record("alice").await.stale && warned().await).then_some(())
    })
    .await;
    // Own changes are seen meanwhile, and are stored.
    let _carol = daemon.socket("carol").await;
    assert_eq!(rest.record("carol").await.status, Status::Online);
    let saved: Record = rest.set_custom_status("alice", "DO_NOT_DISTURB").await.ok();
    assert_eq!((saved.status, saved.stale), (Status::DoNotDisturb, true));
    rest.try_kick("carol").await.rejected(503, "cluster_unavailable");

    redis.start_again();
    wait_until("records are right again", async || {
        let record = rest.record("alice").await;
        (!record.stale && record.status == Status::DoNotDisturb && !warned().await).then_some(())
    })
    .await;
    assert_eq!(rest.record("carol").await.status, Status::Online);
    // Whatever the watcher was told since the outage began, up to a change after it.
    let marker = async { rest.set_custom_status("alice", "IDLE").await.ok::<Record>() };
    let told = bob.updates_until("alice is IDLE", |update| shows(update, "alice", Status::Idle));
    let (_, told) = tokio::join!(marker, told);
    assert!(
        told.iter().any(|update| shows(update, "alice", Status::DoNotDisturb)),
        "{told:?}"
    );
    assert!(
        !told.iter().any(|update| shows(update, "alice", Status::Offline)),
        "{told:?}"
    );
}
