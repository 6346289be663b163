//! Imports that do not begin: from a file that is in use, or into a database that holds something else. All stays as it was.

use presence::CustomStatus::Idle;

use super::TestDatabase;
use super::imports::SourceFile;

/// Why an import is refused.
async fn rejection(database: &TestDatabase<'_>, file: &SourceFile) -> String {
    let imported = database.import(&file.path()).await;
    imported.expect_err("it was imported").to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_a_daemon_uses_is_not_imported() {
    let (file, database) = (SourceFile::with_users(3), TestDatabase::shared());
    let (store, _) = file.start();
    let imported = database.try_import(&database.url(), &file.path()).await;
    let error = imported.expect_err("it was imported").to_string();
    assert!(
        error.starts_with("--from: ") && error.contains("is in use by presenced"),
        "{error}"
    );
    store.close();
    assert_eq!(database.sql("SELECT to_regclass('profile') IS NULL"), "t");
    database.import(&file.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_daemon_starts_during_an_import_and_no_import_beside_a_daemon() {
    let (file, database) = (SourceFile::with_users(3), TestDatabase::shared());
    let store = database.open().await;
    let error = rejection(&database, &file).await;
    assert!(
        error.starts_with("--to: ") && error.contains("is in use by presenced"),
        "{error}"
    );
    store.close();
    // An empty one that was only started is as good as new.
    database.import(&file.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_with_other_users_is_left_as_it_is() {
    let (file, database) = (SourceFile::with_users(3), TestDatabase::shared());
    let store = database.open().await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    store.close();
    let contents = database.contents();
    let error = rejection(&database, &file).await;
    assert!(
        error.contains("holds 1 users") && error.contains("new database"),
        "{error}"
    );
    assert_eq!(database.contents(), contents);
    // What the error says helps.
    let tables = error.split_once("DROP TABLE").unwrap().1;
    database.sql(&format!("DROP TABLE{tables}"));
    database.import(&file.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_imported_database_that_was_used_is_not_imported_into() {
    let (file, database) = (SourceFile::with_users(3), TestDatabase::shared());
    database.import(&file.path()).await.unwrap();
    let store = database.open().await;
    store.set_custom("user-1", Idle, 9_000).await.unwrap();
    store.close();
    let contents = database.contents();
    let error = rejection(&database, &file).await;
    assert!(error.contains("a daemon has used it"), "{error}");
    assert_eq!(database.contents(), contents);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_file_does_not_go_on_with_an_import() {
    let (file, database) = (SourceFile::with_users(3), TestDatabase::shared());
    database.import(&file.path()).await.unwrap();
    let error = rejection(&database, &SourceFile::with_users(4)).await;
    assert!(error.contains(&file.path().display().to_string()), "{error}");
    // A copy is the same data.
    let copy = SourceFile::new();
    std::fs::copy(file.path(), copy.path()).unwrap();
    database.import(&copy.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_state_of_the_file_does_not_replace_a_later_one() {
    let (file, database) = (SourceFile::with_users(3), TestDatabase::shared());
    file.sql("INSERT INTO heartbeat VALUES ('here', 1000, 70, 1)");
    database.import(&file.path()).await.unwrap();
    file.sql("UPDATE heartbeat SET ceiling = 60");
    let error = rejection(&database, &file).await;
    assert!(error.contains("is the file a backup?"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_of_newer_versions_are_refused_on_both_sides() {
    let (file, database) = (SourceFile::with_users(3), TestDatabase::shared());
    database.open().await.close();
    database.sql("UPDATE presence_database SET version = 99");
    let error = rejection(&database, &file).await;
    assert!(
        error.starts_with("--to: ") && error.contains("schema version 99"),
        "{error}"
    );
    file.sql("PRAGMA user_version = 98");
    let error = rejection(&database, &file).await;
    assert!(
        error.starts_with("--from: ") && error.contains("schema version 98"),
        "{error}"
    );
    let missing = rejection(&database, &SourceFile::new()).await;
    assert!(missing.contains("there is no database"), "{missing}");
}
