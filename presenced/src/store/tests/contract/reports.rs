//! Reports end one by one, together, or by their deadline; an expiry deletes the version that expired and no other.

use presence::Version;

use super::on_every_backend;
use crate::store::tests::fixture::{Backend, report, times, user, wall};
use crate::store::{ExpiredReport, Store};

on_every_backend! {
    a_report_ends_alone_or_with_all_others_of_its_user,
    an_expiry_deletes_only_the_version_that_expired,
    an_expiry_raises_the_version_of_users_that_had_the_report,
    a_long_list_of_expiries_is_done_as_a_whole,
}

async fn sources(store: &Store, name: &str) -> String {
    let reports = store.durable(name).await.reports;
    reports.iter().map(|report| report.source.to_string()).collect()
}

fn expired(name: &str, source: &str, version: Version) -> ExpiredReport {
    ExpiredReport {
        user: user(name),
        source: source.parse().unwrap(),
        version,
    }
}

async fn a_report_ends_alone_or_with_all_others_of_its_user(backend: Backend) {
    let store = backend.open();
    let alice = user("alice");
    store.report("bob", "a").await;
    for source in ["b", "a", "c"] {
        store.report("alice", source).await;
    }
    assert_eq!(sources(&store, "alice").await, "abc", "ordered by source");
    let source = "b".parse().unwrap();
    let ended = store.end_report(&alice, &source, times(2_000), Version::NONE);
    ended.await.unwrap();
    assert_eq!(sources(&store, "alice").await, "ac");
    assert_eq!(store.row("alice").await.unwrap().last_seen, Some(wall(2_000)));
    store.end_reports(&alice, Version::NONE).await.unwrap();
    assert_eq!(sources(&store, "alice").await, "");
    assert_eq!(sources(&store, "bob").await, "a");
}

async fn an_expiry_deletes_only_the_version_that_expired(backend: Backend) {
    let store = backend.open();
    let alice = user("alice");
    let (kept, ended) = (
        store.report("alice", "kept").await,
        store.report("alice", "ended").await,
    );
    // Refreshed within the same millisecond, or with a clock that was set back: only the version differs.
    let refreshed = store.save_report(&alice, report("kept", 1_000), times(1_000), Version::NONE);
    let refreshed = refreshed.await.unwrap().version;
    let expiries = vec![
        expired("alice", "kept", kept.version),
        expired("alice", "ended", ended.version),
        expired("unknown", "kept", kept.version),
    ];
    store.expire_reports(expiries.clone()).await.unwrap();
    assert_eq!(sources(&store, "alice").await, "kept");
    store.expire_reports(expiries).await.unwrap();
    assert_eq!(sources(&store, "alice").await, "kept", "again");
    assert_eq!(store.row("unknown").await, None);
    let higher = vec![expired("alice", "kept", refreshed.next())];
    store.expire_reports(higher).await.unwrap();
    assert_eq!(sources(&store, "alice").await, "kept");
    store
        .expire_reports(vec![expired("alice", "kept", refreshed)])
        .await
        .unwrap();
    assert_eq!(sources(&store, "alice").await, "");
}

async fn an_expiry_raises_the_version_of_users_that_had_the_report(backend: Backend) {
    let store = backend.open();
    let before = store.report("alice", "app").await;
    store
        .expire_reports(vec![expired("alice", "app", before.version)])
        .await
        .unwrap();
    let after = store.durable("alice").await;
    assert_eq!(after.version, before.version.next());
    store
        .expire_reports(vec![expired("alice", "app", before.version)])
        .await
        .unwrap();
    assert_eq!(store.durable("alice").await, after, "there was nothing to end");
}

async fn a_long_list_of_expiries_is_done_as_a_whole(backend: Backend) {
    let store = backend.open();
    let names: Vec<_> = (0..600).map(|number| format!("user-{number}")).collect();
    let mut expiries = Vec::new();
    for name in &names {
        let version = store.report(name, "app").await.version;
        expiries.push(expired(name, "app", version));
    }
    store.expire_reports(expiries).await.unwrap();
    let users: Vec<_> = names.iter().map(|name| user(name)).collect();
    let stored = store.rows(&users).await;
    assert!(
        stored
            .iter()
            .all(|row| row.as_ref().unwrap().durable.reports.is_empty())
    );
}
