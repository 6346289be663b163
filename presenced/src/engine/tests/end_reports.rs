//! Ending all reports of one source, on engines whose time the test owns.

use std::sync::Arc;
use std::time::Duration;

use presence::wire::record::{Record, Viewer};
use presence::{EndReason, ReportInput, Source, Status, UserId};
use tokio::task::JoinSet;

use super::fixture::user;
use super::stepped_engine::Stepped;
use crate::engine::end_reports::EndedOfSource;
use crate::store::StoreError;

fn source(name: &str) -> Source {
    name.parse().expect("a source")
}

async fn report(stepped: &Stepped, name: &str, from: &str, status: Status) {
    let input = ReportInput {
        source: source(from),
        status,
        ttl: None,
        update_last_active: true,
    };
    let reported = stepped.engine.report(&user(name), input).await;
    reported.expect("a record");
}

async fn end(stepped: &Stepped, from: &str, after: Option<UserId>) -> EndedOfSource {
    let ended = stepped.engine.end_reports_of(&source(from), after).await;
    ended.expect("an end")
}

async fn record(stepped: &Stepped, name: &str) -> Record {
    let record = stepped.engine.record(&user(name), Viewer::Internal).await;
    record.expect("a record")
}

fn all(ended: u64) -> EndedOfSource {
    EndedOfSource { ended, next: None }
}

#[tokio::test]
async fn the_reports_of_one_source_end_and_no_others() {
    let stepped = Stepped::new().await;
    let watcher = stepped.connect("watcher").await;
    stepped.watch(&watcher, &["ann", "bob", "cid", "dan"]).await;
    let _bob = stepped.connect("bob").await;
    for (name, from) in [
        ("ann", "gone"),
        ("bob", "gone"),
        ("cid", "other"),
        ("dan", "gone"),
        ("dan", "other"),
    ] {
        report(&stepped, name, from, Status::Online).await;
    }
    stepped.deliver();
    watcher.read_all();
    let before = record(&stepped, "ann").await;
    stepped.advance(Duration::from_secs(60));
    assert_eq!(end(&stepped, "gone", None).await, all(3));
    stepped.deliver();
    assert_eq!(
        watcher.told(),
        [("ann".to_owned(), Some(Status::Offline))],
        "the others are still present"
    );
    let after = record(&stepped, "ann").await;
    assert_eq!(
        (after.last_seen, after.last_active),
        (before.last_seen, before.last_active),
        "nobody was heard"
    );
    assert!(after.revision > before.revision);
    for name in ["bob", "cid", "dan"] {
        assert_eq!(stepped.status(name).await, Status::Online, "{name}");
    }
    assert_eq!(end(&stepped, "gone", None).await, all(0), "again");
    let row = stepped.stored("ann").await.expect("a row");
    assert_eq!(
        (row.last_seen, row.last_active),
        (before.last_seen, before.last_active),
        "on disk neither"
    );
    let stored = stepped.stored("dan").await.expect("a row").durable.reports;
    assert_eq!(
        stored.iter().map(|one| one.source.as_str()).collect::<Vec<_>>(),
        ["other"]
    );
    let stepped = stepped.crash(Duration::from_secs(1)).await;
    assert_eq!(
        stepped.status("ann").await,
        Status::Offline,
        "off the disk before it was told"
    );
}

#[tokio::test]
async fn an_ended_idle_or_dnd_report_changes_the_status_of_those_still_present() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    report(&stepped, "ann", "gone", Status::DoNotDisturb).await;
    assert_eq!(stepped.status("ann").await, Status::DoNotDisturb);
    assert_eq!(end(&stepped, "gone", None).await, all(1));
    assert_eq!(stepped.status("ann").await, Status::Online);
}

#[tokio::test]
async fn many_reports_are_ended_page_by_page() {
    let stepped = Stepped::new().await;
    let mut reports = JoinSet::new();
    for number in 0..1_200 {
        let engine = Arc::clone(&stepped.engine);
        let input = ReportInput {
            source: source("gone"),
            status: Status::Online,
            ttl: None,
            update_last_active: false,
        };
        reports.spawn(async move { engine.report(&user(&format!("u{number:04}")), input).await });
    }
    assert!(reports.join_all().await.iter().all(Result::is_ok));
    let first = end(&stepped, "gone", None).await;
    assert_eq!((first.ended, first.next.as_deref()), (1_000, Some("u0999")));
    let after = UserId::new("u0999").ok();
    assert_eq!(end(&stepped, "gone", after).await, all(200));
    assert_eq!(stepped.engine.stats().users.total(), 0);
}

#[tokio::test]
async fn a_report_of_a_user_in_grace_ends_and_the_grace_period_stays() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    report(&stepped, "ann", "gone", Status::Online).await;
    stepped.disconnect(&ann, EndReason::Lost);
    assert_eq!(end(&stepped, "gone", None).await, all(1));
    assert_eq!(stepped.status("ann").await, Status::Online);
    stepped.advance(Duration::from_secs(6));
    assert_eq!(stepped.status("ann").await, Status::Offline);
}

#[tokio::test]
async fn a_report_of_a_user_that_could_not_be_read_ends_too() {
    let stepped = Stepped::new().await;
    report(&stepped, "ann", "gone", Status::Online).await;
    let sql = "UPDATE profile SET connected_on = ?1 WHERE user_id = 'ann'";
    stepped.database().execute(sql, ["[1]"]).expect("a row");
    // A row that can't be understood is left out of the start.
    let stepped = stepped.crash(Duration::from_secs(1)).await;
    let _ann = stepped.connect("ann").await;
    stepped.database().execute(sql, ["[]"]).expect("a row");
    assert_eq!(end(&stepped, "gone", None).await, all(1));
    let row = stepped.stored("ann").await.expect("a row");
    assert!(row.durable.reports.is_empty());
}

#[tokio::test]
async fn a_report_that_may_be_on_disk_makes_the_caller_come_again() {
    let stepped = Stepped::new().await;
    let _ann = stepped.connect("ann").await;
    stepped.write().await;
    let held = stepped.store.hold_commits();
    let input = ReportInput {
        source: source("gone"),
        status: Status::Online,
        ttl: None,
        update_last_active: false,
    };
    let late = stepped.store.give_up(stepped.engine.report(&user("ann"), input)).await;
    assert_eq!(late, Err(StoreError::UnknownOutcome.into()));
    let gone = source("gone");
    let ended = stepped.store.give_up(stepped.engine.end_reports_of(&gone, None)).await;
    assert_eq!(ended, Err(StoreError::UnknownOutcome.into()));
    drop(held);
    stepped.engine.settle_unknown_outcomes().await;
    assert_eq!(end(&stepped, "gone", None).await, all(1));
}
