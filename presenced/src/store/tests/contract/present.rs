//! A node of a cluster reads who is present page by page, when it needs to know.

use presence::{CustomStatus, Status, UserId};

use super::on_every_backend;
use crate::store::tests::fixture::{Backend, status, user};
use crate::store::{Store, StoreError};

on_every_backend! {
    a_start_of_a_node_loads_no_present_users,
    pages_have_every_present_user_once_in_order,
    a_page_beyond_the_last_user_is_empty,
    present_users_are_found_among_many_who_are_not,
    users_with_another_custom_status_than_online_are_listed,
    a_listed_row_that_can_not_be_understood_fails_alone,
    a_list_that_can_not_be_read_is_an_error,
}

/// All pages of this size, each user with how many reports it has.
async fn pages(store: &Store, limit: usize) -> Vec<Vec<(String, usize)>> {
    let (mut pages, mut after) = (Vec::new(), None::<UserId>);
    loop {
        let page = store.load_present(after.as_ref(), limit).await.unwrap();
        let is_last = page.len() < limit;
        after = page.last().map(|(user, _)| user.clone());
        let found = page.into_iter().map(|(user, row)| {
            let reports = row.unwrap().durable.reports.len();
            (user.as_str().to_owned(), reports)
        });
        pages.push(found.collect());
        if is_last {
            return pages;
        }
    }
}

fn named(names: &[(&str, usize)]) -> Vec<(String, usize)> {
    names
        .iter()
        .map(|(name, reports)| ((*name).to_owned(), *reports))
        .collect()
}

async fn a_start_of_a_node_loads_no_present_users(backend: Backend) {
    let store = backend.open();
    store.report("alice", "app").await;
    store.close();
    let (node, startup) = backend.start_node();
    assert_eq!((startup.present.len(), startup.past_changes), (0, None));
    assert_eq!(pages(&node, 10).await, [named(&[("alice", 1)])]);
    node.close();
    assert_eq!(backend.start().1.present.len(), 1, "one that is alone does");
}

async fn pages_have_every_present_user_once_in_order(backend: Backend) {
    let store = backend.node();
    assert_eq!(pages(&store, 2).await, [named(&[])]);
    store.report("b", "app").await;
    store.report("b", "phone").await;
    // Known, and not present.
    store.set_custom("c", CustomStatus::Idle, 1).await.unwrap();
    let mut lost = status("d", Status::Offline, 1);
    lost.connected_on = status("d", Status::Online, 1).connected_on;
    let rows = vec![
        status("a", Status::Online, 1),
        lost,
        status("e", Status::Offline, 1),
        status("\u{10ffff}", Status::Idle, 1),
        status("\u{e000}", Status::Idle, 1),
    ];
    store.save_statuses(rows).await.unwrap();
    let all = named(&[("a", 0), ("b", 2), ("d", 0), ("\u{e000}", 0), ("\u{10ffff}", 0)]);
    for limit in 1..=6 {
        let pages = pages(&store, limit).await;
        assert!(pages.iter().rev().skip(1).all(|page| page.len() == limit), "{pages:?}");
        assert_eq!(pages.concat(), all, "pages of {limit}");
    }
}

async fn a_page_beyond_the_last_user_is_empty(backend: Backend) {
    let store = backend.node();
    store.report("a", "app").await;
    for (after, found) in [("a", 0), ("A", 1), ("b", 0)] {
        let page = store.load_present(Some(&user(after)), 5).await.unwrap();
        assert_eq!(page.len(), found, "after {after}");
    }
    assert_eq!(store.load_present(None, 0).await.unwrap().len(), 0);
}

async fn present_users_are_found_among_many_who_are_not(backend: Backend) {
    const USERS: u64 = 20_000;
    let store = backend.node();
    let rows = (0..USERS).map(|number| {
        let status_of = match number % 5_000 {
            4_999 => Status::Online,
            _ => Status::Offline,
        };
        status(&format!("user-{number:05}"), status_of, 1)
    });
    store.save_statuses(rows.collect()).await.unwrap();
    let found = pages(&store, 3).await;
    let found: Vec<&str> = found.iter().flatten().map(|(name, _)| name.as_str()).collect();
    assert_eq!(found, ["user-04999", "user-09999", "user-14999", "user-19999"]);
}

async fn users_with_another_custom_status_than_online_are_listed(backend: Backend) {
    let store = backend.node();
    for (number, custom) in [CustomStatus::Idle, CustomStatus::Online, CustomStatus::DoNotDisturb]
        .into_iter()
        .enumerate()
    {
        store.set_custom(&format!("user-{number}"), custom, 1).await.unwrap();
    }
    store.report("present", "app").await;
    store.report("user-2", "app").await;
    store.report("user-2", "phone").await;
    for limit in 1..=4 {
        let (mut found, mut after) = (Vec::new(), None::<UserId>);
        loop {
            let page = store.load_chosen(after.as_ref(), limit).await.unwrap();
            after = page.last().map(|(user, _)| user.clone());
            let is_last = page.len() < limit;
            found.extend(page.into_iter().map(|(user, row)| {
                let custom = row.unwrap().durable.preference.custom;
                (user.as_str().to_owned(), custom)
            }));
            if is_last {
                break;
            }
        }
        let wanted = [("user-0", CustomStatus::Idle), ("user-2", CustomStatus::DoNotDisturb)];
        let wanted = wanted.map(|(user, custom)| (user.to_owned(), custom));
        assert_eq!(found, wanted, "pages of {limit}");
    }
}

async fn a_listed_row_that_can_not_be_understood_fails_alone(backend: Backend) {
    let store = backend.node();
    for name in ["alice", "bob", "carol"] {
        store.report(name, "app").await;
    }
    backend.sql(
        "UPDATE profile SET revision = -1 WHERE user_id = 'alice';
         INSERT INTO profile (user_id, status) VALUES (' no id ', 'ONLINE'), ('zz ', 'ONLINE');",
    );
    let page = store.load_present(None, 10).await.unwrap();
    let found: Vec<_> = page.iter().map(|(user, row)| (user.as_str(), row.is_ok())).collect();
    assert_eq!(found, [("alice", false), ("bob", true), ("carol", true)]);
    assert!(matches!(page[0].1, Err(StoreError::Refused { .. })));
    // The one that is left out is no end of the list.
    let pages = store.load_present(None, 1).await.unwrap();
    assert_eq!(pages[0].0, user("alice"));
}

async fn a_list_that_can_not_be_read_is_an_error(backend: Backend) {
    let store = backend.node();
    store.report("alice", "app").await;
    store.fail_reads(true);
    let failed = store.load_present(None, 10).await;
    assert!(matches!(failed, Err(StoreError::Unavailable { .. })), "{failed:?}");
    store.fail_reads(false);
    assert_eq!(store.load_present(None, 10).await.unwrap().len(), 1);
    store.close();
    assert_eq!(store.load_present(None, 10).await, Err(StoreError::Closed));
}
