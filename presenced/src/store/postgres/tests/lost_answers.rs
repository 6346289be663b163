//! A commit whose answer is lost: what the server did with it is found out, and told.

use presence::CustomStatus::{DoNotDisturb, Idle};
use presence::{SystemWall, Version};

use super::proxy::{Network, Proxy};
use super::{DEADLINE, TestDatabase, fails_with, is_unavailable, until};
use crate::store::{OpenOptions, Store, StoreError};

/// How many transactions are begun and not ended.
const OPEN_TRANSACTIONS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()";

pub(super) async fn through_proxy(database: &TestDatabase<'_>) -> (Store, Proxy) {
    through_proxy_with(database, &OpenOptions::patient()).await
}

async fn through_proxy_with(database: &TestDatabase<'_>, options: &OpenOptions) -> (Store, Proxy) {
    let port = database.server.port();
    let proxy = Proxy::before(port).await;
    let url = proxy.url(&database.url(), port);
    let (store, _) = database.start_with(&url, None, options).await.unwrap();
    (store, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_done_is_acknowledged_though_its_answer_is_lost() {
    let database = TestDatabase::shared();
    let (store, proxy) = through_proxy(&database).await;
    proxy.set(Network::LosesAnswer);
    let saved = store.set_custom("alice", Idle, 1).await.unwrap();
    assert_eq!(saved.version, Version::new(1), "and it was not done twice");
    assert_eq!(store.durable("alice").await, saved);
    assert!(store.health().writable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_was_lost_is_done_again() {
    let database = TestDatabase::shared();
    let (store, proxy) = through_proxy(&database).await;
    proxy.set(Network::LosesNextCommit);
    let saved = store.set_custom("alice", Idle, 1).await.unwrap();
    assert_eq!(saved.version, Version::new(1), "and it was done once");
    assert_eq!(store.durable("alice").await, saved);
    assert!(store.health().writable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_always_lost_is_not_acknowledged_and_not_done_later() {
    let database = TestDatabase::shared();
    let (store, proxy) = through_proxy(&database).await;
    proxy.set(Network::LosesCommits);
    let lost = store.set_custom("alice", DoNotDisturb, 1).await;
    assert!(is_unavailable(&lost), "{lost:?}");
    proxy.set(Network::Works);
    until(async || store.settle_unknown_outcomes().await.is_ok()).await;
    assert_eq!(store.custom("alice").await, None);
    store.set_custom("alice", Idle, 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_number_another_one_has_is_done_again() {
    let database = TestDatabase::shared();
    let (store, proxy) = through_proxy(&database).await;
    proxy.set(Network::LosesAnswerAndBreaks);
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.set_custom("alice", Idle, 1).await }
    });
    until(async || proxy.is(Network::Down)).await;
    // As if a server had taken over that gave the number to another transaction.
    database.sql("DELETE FROM profile");
    proxy.set(Network::Works);
    let saved = writing.await.unwrap().unwrap();
    assert_eq!(store.durable("alice").await, saved);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_whose_answer_is_lost_is_done_again_unless_it_is_there() {
    let database = TestDatabase::shared();
    let (store, proxy) = through_proxy(&database).await;
    let revoke =
        |store: Store, user: u8| async move { store.revoke_tokens([user; 32], SystemWall::from_millis(1_000)).await };
    proxy.set(Network::LosesAnswer);
    let saved = revoke(store.clone(), 1).await.unwrap();
    proxy.set(Network::Works);
    assert_eq!(store.revocations_after(0).await, Ok(vec![saved]));

    proxy.set(Network::LosesAnswerAndBreaks);
    let writing = tokio::spawn(revoke(store.clone(), 2));
    until(async || proxy.is(Network::Down)).await;
    // As if a server had taken over that gave the number to another transaction.
    database.sql("DELETE FROM revocation WHERE number > (SELECT min(number) FROM revocation)");
    proxy.set(Network::Works);
    let again = writing.await.unwrap().unwrap();
    assert_eq!(store.revocations_after(0).await, Ok(vec![saved, again]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_unknown_until_the_server_tells() {
    let database = TestDatabase::shared();
    let (store, proxy) = through_proxy_with(&database, &OpenOptions::default()).await;
    proxy.set(Network::SwallowsCommit);
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.set_custom("alice", DoNotDisturb, 1).await }
    });
    until(async || database.sql(OPEN_TRANSACTIONS) == "1").await;
    // Nobody finds out before its caller gives up.
    proxy.set(Network::SwallowsAll);
    assert_eq!(writing.await.unwrap(), Err(StoreError::UnknownOutcome));
    let other = store.set_custom("bob", Idle, 1).await;
    assert!(other.is_err(), "nothing overtakes it: {other:?}");
    store.answer_within(DEADLINE);
    proxy.set(Network::Works);
    until(async || store.settle_unknown_outcomes().await.is_ok()).await;
    assert_eq!(
        store.custom("alice").await,
        None,
        "its connection was ended by the next one"
    );
    store.set_custom("alice", Idle, 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_undecided_at_the_end_stays_unknown() {
    let database = TestDatabase::shared();
    let patient = OpenOptions {
        answer_within: DEADLINE,
        ..OpenOptions::default()
    };
    let (store, proxy) = through_proxy_with(&database, &patient).await;
    proxy.set(Network::SwallowsCommit);
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.set_custom("alice", Idle, 1).await }
    });
    until(async || database.sql(OPEN_TRANSACTIONS) == "1").await;
    proxy.set(Network::SwallowsAll);
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
    assert_eq!(writing.await.unwrap(), Err(StoreError::UnknownOutcome));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_in_whose_place_another_came_writes_no_more() {
    let database = TestDatabase::shared();
    let (store, proxy) = through_proxy(&database).await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    proxy.set(Network::Down);
    database.end_connections();
    let other = database.open().await;
    other.set_custom("alice", DoNotDisturb, 2).await.unwrap();
    proxy.set(Network::Works);
    until(async || matches!(store.set_custom("alice", Idle, 3).await, Err(StoreError::Sealed { .. }))).await;
    assert!(
        store.health().restart_needed && fails_with(&store, "another daemon"),
        "{:?}",
        store.health()
    );
    assert_eq!(other.custom("alice").await, Some(DoNotDisturb));
    other.set_custom("alice", Idle, 4).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_put_in_place_of_the_opened_one_is_not_written() {
    let database = TestDatabase::shared();
    let store = database.open().await;
    store.set_custom("alice", Idle, 1).await.unwrap();
    database.sql("UPDATE presence_database SET identity = 'of another one'");
    database.end_connections();
    until(async || matches!(store.set_custom("alice", Idle, 3).await, Err(StoreError::Sealed { .. }))).await;
    assert!(fails_with(&store, "another database"), "{:?}", store.health());
    let version = database.sql("SELECT version FROM profile WHERE user_id = 'alice'");
    assert_eq!(version, "1");
}
