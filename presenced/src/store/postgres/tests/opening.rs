//! Opening a database: new, of another program, of a newer version, in use.

use presence::CustomStatus::Idle;

use super::super::migration::VERSION;
use super::TestDatabase;
use crate::store::tests::fixture::user;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_nodes_that_start_at_once_make_one_schema() {
    let database = TestDatabase::shared();
    let opening = (0..10).map(|_| database.open_node());
    let stores = futures_util::future::join_all(opening).await;
    for (number, store) in stores.iter().enumerate() {
        store.set_custom(&format!("user-{number}"), Idle, 1).await.unwrap();
    }
    assert_eq!(
        database.sql("SELECT count(*), min(version) FROM presence_database"),
        format!("1|{VERSION}")
    );

    assert_eq!(database.sql("SELECT count(*) FROM profile"), "10");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_program_is_left_as_it_is() {
    let database = TestDatabase::shared();
    database.sql("CREATE TABLE profile (id INT)");
    let error = database.open_error(&database.url(), None).await;
    assert!(error.contains("\"profile\" of another program"), "{error}");
    assert_eq!(
        database.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
        "1"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_in_utf_8_is_refused() {
    let database = TestDatabase::shared();
    let name = format!("{}_latin", database.name);
    database.sql(&format!(
        "CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    ));
    let error = database.open_error(&database.server.url(&name), None).await;
    assert!(error.contains("LATIN1") && error.contains("ENCODING 'UTF8'"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_an_error_after_a_while() {
    let database = TestDatabase::shared();
    let url = database.url().replace(&database.server.port().to_string(), "1");
    let error = database.open_error(&url, None).await;
    assert!(error.contains("127.0.0.1:1") && error.contains("refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_can_not_be_understood_fails_alone() {
    let database = TestDatabase::shared();
    let store = database.open().await;
    store.report("alice", "app").await;
    store.report("bob", "app").await;
    database.sql("UPDATE profile SET revision = -1 WHERE user_id = 'alice'");
    let users = [user("alice"), user("bob")];
    let rows = store.load_many(&users).await.unwrap();
    assert!(
        rows[0].is_err() && rows[1].as_ref().is_ok_and(Option::is_some),
        "{rows:?}"
    );
    store.close();
    let (_, startup) = database.start().await;
    let present: Vec<_> = startup.present.iter().map(|(user, _)| user.as_str()).collect();
    assert_eq!(present, ["bob"]);
}
