//! How the server finds the rows of a request: by an index, however many there are.

use presence::CustomStatus::Idle;

use super::{TestDatabase, statuses, until};
use crate::store::tests::fixture::user;

/// Users that are stored in the end.
const USERS: usize = 2_000;
/// How often each statement runs while there are few: from the sixth time on the server keeps the plan.
const FEW_TIMES: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_some_users_look_at_no_others() {
    let database = TestDatabase::shared();
    let store = database.open_node().await;
    for revision in 1..=FEW_TIMES {
        store.set_custom("user-0", Idle, revision).await.unwrap();
        store.save_statuses(statuses(0..1, revision)).await.unwrap();
        store.load(&user("user-0")).await.unwrap();
        store.load_many(&[user("user-0")]).await.unwrap();
    }
    store.save_statuses(statuses(0..USERS, FEW_TIMES + 1)).await.unwrap();
    store.set_custom("user-0", Idle, FEW_TIMES + 2).await.unwrap();
    store.load(&user("user-0")).await.unwrap();
    store.load_many(&[user("user-0")]).await.unwrap();
    drop(store);
    // A connection that ends tells the server what it did.
    until(async || {
        let connections = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'presenced'";
        database.sql(connections) == "0"
    })
    .await;
    let passes = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'profile'";
    assert_eq!(database.sql(passes), "0", "rows that a pass over the table read");
}
