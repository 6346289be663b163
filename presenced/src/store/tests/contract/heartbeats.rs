//! What a start finds: each node's last heartbeat, and the users that may be present.

use presence::{NodeName, Status, Wall};

use super::on_every_backend;
use crate::store::tests::fixture::{Backend, heartbeat, nodes, status};
use crate::store::{HEARTBEAT_KEPT, Heartbeat, Startup, StatusRow, Store};

on_every_backend! {
    a_new_store_has_no_heartbeats_and_no_users,
    each_node_has_its_own_heartbeat,
    the_ceiling_of_a_node_never_goes_down,
    a_node_continues_from_the_last_run_whatever_its_name_and_clock,
    a_run_that_could_not_write_was_alive_to_its_end,
    a_clean_end_counts_more_than_what_was_told_beside,
    a_backup_in_place_is_as_old_as_its_own_heartbeat,
    a_backup_in_place_after_a_run_without_a_write_is_as_old,
    a_run_that_never_wrote_a_heartbeat_was_alive,
    the_heartbeat_of_a_node_gone_for_a_day_is_removed,
    a_start_lists_connected_and_reported_users_alone,
}

async fn save(store: &Store, node: &str, heartbeat: Heartbeat) {
    store.save_heartbeat(&NodeName::new(node), heartbeat).await.unwrap();
}

fn found(startup: &Startup) -> Vec<(&str, Heartbeat)> {
    let heartbeats = startup.heartbeats.iter();
    heartbeats
        .map(|(node, heartbeat)| (node.as_str(), *heartbeat))
        .collect()
}

async fn a_new_store_has_no_heartbeats_and_no_users(backend: Backend) {
    let (store, startup) = backend.start();
    let nothing = Startup {
        identity: startup.identity.clone(),
        ..Startup::default()
    };
    assert_eq!(startup, nothing);
    assert_eq!(startup.latest_heartbeat(), None);
    let (_, startup) = backend.restart(&store);
    assert_eq!(startup, nothing);
    assert!(startup.identity.len() >= 32, "random, and kept");
}

async fn each_node_has_its_own_heartbeat(backend: Backend) {
    let store = backend.open();
    save(&store, "south", heartbeat(1_000, 70, false)).await;
    save(&store, "north", heartbeat(1_500, 90, true)).await;
    save(&store, "south", heartbeat(2_000, 80, true)).await;
    save(&store, "north", heartbeat(1_600, 95, false)).await;
    let (_, startup) = backend.restart(&store);
    let expected = [
        ("north", heartbeat(1_600, 95, false)),
        ("south", heartbeat(2_000, 80, true)),
    ];
    assert_eq!(found(&startup), expected);
}

async fn the_ceiling_of_a_node_never_goes_down(backend: Backend) {
    let store = backend.open();
    save(&store, "here", heartbeat(1_000, 70_000_000, false)).await;
    save(&store, "here", heartbeat(2_000, 60_000_000, true)).await;
    let (_, startup) = backend.restart(&store);
    assert_eq!(found(&startup), [("here", heartbeat(2_000, 70_000_000, true))]);
}

async fn a_node_continues_from_the_last_run_whatever_its_name_and_clock(backend: Backend) {
    let store = backend.open();
    save(&store, "old name", heartbeat(9_000, 100, true)).await;
    // It begins above the ceiling it finds, with a clock that was set back, and crashes.
    save(&store, "new name", heartbeat(5_000, 160, false)).await;
    let (_, startup) = backend.restart(&store);
    assert_eq!(startup.latest_heartbeat(), Some(heartbeat(5_000, 160, false)));
}

/// A heartbeat as the engine makes it: beside the store, then in it.
async fn beat(store: &Store, heartbeat: Heartbeat) -> bool {
    let is_told = store.tell_alive(heartbeat).await;
    let _ = store.save_heartbeat(&NodeName::new("here"), heartbeat).await;
    is_told
}

async fn a_run_that_could_not_write_was_alive_to_its_end(backend: Backend) {
    let store = backend.open();
    assert!(beat(&store, heartbeat(1_000, 70, false)).await);
    store.fail_writes(true);
    // A run that begins above its clock repeats its ceiling until the clock has caught up.
    assert!(beat(&store, heartbeat(2_000, 70, false)).await);
    let (store, startup) = backend.restart(&store);
    assert_eq!(startup.latest_heartbeat(), Some(heartbeat(2_000, 70, false)));
    store.fail_writes(true);
    assert!(beat(&store, heartbeat(-9_000, 80, true)).await);
    let (_, startup) = backend.restart(&store);
    assert_eq!(startup.latest_heartbeat(), Some(heartbeat(-9_000, 80, false)));
}

async fn a_clean_end_counts_more_than_what_was_told_beside(backend: Backend) {
    let store = backend.open();
    assert!(beat(&store, heartbeat(1_000, 70, false)).await);
    assert!(beat(&store, heartbeat(1_000, 70, true)).await);
    let (store, startup) = backend.restart(&store);
    assert_eq!(startup.latest_heartbeat(), Some(heartbeat(1_000, 70, true)));
    // Written without a word beside it, as by a run that could not write there.
    save(&store, "here", heartbeat(2_000, 75, true)).await;
    let (_, startup) = backend.restart(&store);
    assert_eq!(startup.latest_heartbeat(), Some(heartbeat(2_000, 75, true)));
    assert_eq!(startup.lost_heartbeat(), None);
}

async fn a_backup_in_place_is_as_old_as_its_own_heartbeat(backend: Backend) {
    let store = backend.open();
    beat(&store, heartbeat(1_000, 70, false)).await;
    let (store, _) = backend.restart(&store);
    let backup = backend.copy(&store);
    let store = backend.open();
    beat(&store, heartbeat(9_000, 90, false)).await;
    beat(&store, heartbeat(9_001, 91, false)).await;
    backend.replace(&store, &backup);
    let (_, startup) = backend.start();
    let expected = heartbeat(1_000, 91, false);
    assert_eq!(
        startup.latest_heartbeat(),
        Some(expected),
        "and no revision below what was told"
    );
    assert_eq!(startup.lost_heartbeat(), Some(Wall::from_millis(9_000)));
}

async fn a_backup_in_place_after_a_run_without_a_write_is_as_old(backend: Backend) {
    let store = backend.open();
    beat(&store, heartbeat(1_000, 70, false)).await;
    let backup = backend.copy(&store);
    let store = backend.open();
    beat(&store, heartbeat(9_000, 90, false)).await;
    let (store, _) = backend.restart(&store);
    // The next run tells it beside the store alone.
    assert!(store.tell_alive(heartbeat(9_500, 95, false)).await);
    backend.replace(&store, &backup);
    let (_, startup) = backend.start();
    assert_eq!(startup.latest_heartbeat(), Some(heartbeat(1_000, 95, false)));
}

async fn a_run_that_never_wrote_a_heartbeat_was_alive(backend: Backend) {
    let store = backend.open();
    assert!(store.tell_alive(heartbeat(9_000, 90, false)).await);
    let (_, startup) = backend.restart(&store);
    assert_eq!(startup.heartbeats, []);
    assert_eq!(startup.latest_heartbeat(), Some(heartbeat(9_000, 90, false)));
}

async fn the_heartbeat_of_a_node_gone_for_a_day_is_removed(backend: Backend) {
    let store = backend.open();
    let day = i64::try_from(HEARTBEAT_KEPT.as_millis()).unwrap();
    save(&store, "gone", heartbeat(0, 10, true)).await;
    save(&store, "highest", heartbeat(0, 1_000, true)).await;
    save(&store, "recent", heartbeat(1, 10, true)).await;
    save(&store, "here", heartbeat(day, 20, false)).await;
    save(&store, "here", heartbeat(day + 1, 20, false)).await;
    let (_, startup) = backend.restart(&store);
    let names: Vec<_> = found(&startup).iter().map(|(node, _)| *node).collect();
    assert_eq!(names, ["here", "highest", "recent"], "no ceiling is lost");
}

async fn a_start_lists_connected_and_reported_users_alone(backend: Backend) {
    let store = backend.open();
    let elsewhere = StatusRow {
        connected_on: nodes(&["elsewhere"]),
        ..status("b connected", Status::Online, 1)
    };
    let statuses = vec![
        status("c gone", Status::Offline, 2),
        elsewhere,
        status("d here", Status::Idle, 3),
    ];
    store.save_statuses(statuses).await.unwrap();
    store.report("a reported", "app").await;
    store.report("a reported", "phone").await;
    store
        .set_custom("absent", presence::CustomStatus::Idle, 3)
        .await
        .unwrap();
    let (_, startup) = backend.restart(&store);
    let listed: Vec<_> = startup
        .present
        .iter()
        .map(|(user, row)| (user.as_str(), row.connected_on.clone(), row.durable.reports.len()))
        .collect();
    let expected = [
        ("a reported", nodes(&[]), 2),
        ("b connected", nodes(&["elsewhere"]), 0),
        ("d here", nodes(&["here"]), 0),
    ];
    assert_eq!(listed, expected);
}
