//! Who may connect, how many, and with which password.

use presence::CustomStatus::Idle;

use super::{TestDatabase, fails_with, is_unavailable, set_until_done, until};
use crate::store::tests::postgres_server::{Disk, PostgresServer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_named_and_never_shown() {
    let server = PostgresServer::start(Disk::Unsynced);
    let database = TestDatabase::on(&server);
    database.sql("CREATE ROLE app LOGIN PASSWORD 'first'");
    database.sql(&format!("ALTER DATABASE {} OWNER TO app", database.name));
    server.authenticate("local all all trust\nhost all all all scram-sha-256\n");
    server.reload();
    let url = database.url().replace("presence@", "app@");
    let file = database.password_file();
    let error = database.open_error(&url, None).await;
    assert!(error.contains("--database-password-file"), "{error}");
    database.write_password("hunter2\n");
    let error = database.open_error(&url, Some(&file)).await;
    assert!(
        error.contains("28P01") && error.contains("--database-password-file"),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");

    database.write_password("first\n");
    let store = database.open_at(&url, Some(&file)).await.unwrap();
    store.set_custom("alice", Idle, 1).await.unwrap();
    // Changed while it runs: the server first, then the file.
    database.sql("ALTER ROLE app PASSWORD 'second'");
    database.end_connections();
    until(async || store.set_custom("alice", Idle, 2).await.is_err()).await;
    assert!(
        fails_with(&store, "28P01") && !fails_with(&store, "first"),
        "{:?}",
        store.health()
    );
    database.write_password("second");
    set_until_done(&store, "alice", Idle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let database = TestDatabase::shared();
    let file = database.password_file();
    let error = database.open_error(&database.url(), Some(&file)).await;
    assert!(error.contains("password"), "there is none: {error}");
    database.write_password("hunter2\n");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = database.open_error(&database.url(), Some(&file)).await;
    assert!(error.contains("chmod 600") && !error.contains("hunter2"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_missing_is_named() {
    let database = TestDatabase::shared();
    let url = database.url().replace(&database.name, "nowhere");
    let error = database.open_error(&url, None).await;
    assert!(error.contains("nowhere") && error.contains("create it"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_connections_pass() {
    let database = TestDatabase::shared();
    let role = format!("app_{}", database.name);
    database.sql(&format!("CREATE ROLE {role} LOGIN"));
    database.sql(&format!("ALTER DATABASE {} OWNER TO {role}", database.name));
    let url = database.url().replace("presence@", &format!("{role}@"));
    let store = database.open_at(&url, None).await.unwrap();
    database.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT 0"));
    database.end_connections();
    until(async || is_unavailable(&store.set_custom("alice", Idle, 1).await)).await;
    assert!(fails_with(&store, "53300"), "{:?}", store.health());
    database.sql(&format!("ALTER ROLE {role} CONNECTION LIMIT -1"));
    set_until_done(&store, "alice", Idle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_without_rights_is_told_which_it_needs() {
    let database = TestDatabase::shared();
    let role = format!("guest_{}", database.name);
    database.sql(&format!("CREATE ROLE {role} LOGIN"));
    database.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let url = database.url().replace("presence@", &format!("{role}@"));
    let error = database.open_error(&url, None).await;
    assert!(
        error.contains("42501") && error.contains("grant the role CREATE"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_reached_through_its_socket() {
    let database = TestDatabase::shared();
    let url = database.server.socket_url(&database.name);
    let store = database.open_at(&url, None).await.unwrap();
    store.set_custom("alice", Idle, 1).await.unwrap();
}
