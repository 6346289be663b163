//! What a start finds: each node's last heartbeat, and the users that may be present.

use presence::{NodeName, Status};

use super::on_every_backend;
use crate::store::tests::fixture::{Backend, heartbeat, nodes, status};
use crate::store::{HEARTBEAT_KEPT, Heartbeat, Startup, StatusRow, Store};

on_every_backend! {
    a_new_store_has_no_heartbeats_and_no_users,
    each_node_has_its_own_heartbeat,
    the_ceiling_of_a_node_never_goes_down,
    a_node_continues_from_the_last_run_whatever_its_name_and_clock,
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
    assert_eq!(startup, Startup::default());
    assert_eq!(startup.latest_heartbeat(), None);
    let (_, startup) = backend.restart(&store);
    assert_eq!(startup, Startup::default());
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
