//! PostgreSQL dies and a standby takes its place, which the nodes know by a URL that names both: presence goes on, and custom
//! statuses are taken again without a restart.

use std::sync::Arc;
use std::time::Duration;

use presence::wire::record::Record;
use presence::{CustomStatus, Status};
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::poller::Poller;
use presence_tests::postgres_server::{Disk, PostgresServer};
use presence_tests::recorder::Recorders;
use presence_tests::redis_server::RedisServer;
use presence_tests::wait::{timed, wait_until};
use presence_tests::{DEADLINE, Socket};

use crate::scene::{all_is_well, connect, named, seconds};

/// Users of each node.
const EACH: usize = 10;
/// Once the standby takes writes, so do the nodes within this time.
const RIGHT_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_the_place_of_postgres_without_an_event() {
    let primary = PostgresServer::start(Disk::Unsynced);
    let standby = PostgresServer::standby_of(&primary);
    let rows = primary.create_database();
    let url = primary.url_of_either(&standby, &rows);
    let cluster = Cluster::start_linked_at(url, rows, Arc::new(RedisServer::start(&[])), &[]).await;
    let nodes = cluster.nodes();
    let clock = Stopwatch::start();
    let recorders = Recorders::start(clock, &[("a", nodes[0]), ("b", nodes[1]), ("c", nodes[2])]).await;
    let (on_a, on_b) = (named("on-a", EACH), named("on-b", EACH));
    let (mut of_a, _of_b) = (connect(nodes[0], &on_a).await, connect(nodes[1], &on_b).await);
    let rest = cluster.a.rest();
    for (user, custom) in [("on-b-0", "DO_NOT_DISTURB"), ("gus", "IDLE")] {
        rest.set_custom_status(user, custom).await.ok::<Record>();
    }
    let all = [on_a.as_slice(), &on_b[1..]].concat();
    recorders.all_show(&all, Status::Online, DEADLINE).await;
    recorders.all_show(&on_b[..1], Status::DoNotDisturb, DEADLINE).await;
    wait_until("the standby has all", async || {
        standby.has_all_of(&primary).then_some(())
    })
    .await;
    let stayed = [&on_a[1..], &on_b].concat();
    let pollers = [("a", nodes[0]), ("b", nodes[1]), ("c", nodes[2])]
        .map(|(name, node)| Poller::start(clock, name, node, &stayed, seconds(1)));
    let processes = nodes.map(|node| node.process().id());

    let died = clock.elapsed();
    primary.crash();
    for node in nodes {
        let answer = node.rest().set_custom_status("on-b-1", "IDLE").await;
        answer.rejected(503, "store_unavailable");
    }
    of_a.remove(1).reset();
    let _moved = cluster.c.socket(&on_a[1]).await;
    of_a.remove(0).close(Some(1000)).await;
    recorders.all_show(&on_a[..1], Status::Offline, DEADLINE).await;

    standby.promote();
    let ((), took) = timed(all_take_writes(&cluster)).await;
    assert!(took <= RIGHT_WITHIN, "{took:?}");
    let gus = connects_as_before(&cluster).await;
    let left = Cluster::agree(&nodes, &on_a[0], Status::Offline).await;
    wait_until("the new primary has the record of who left", async || {
        let select = format!("SELECT status, revision FROM profile WHERE user_id = '{}'", on_a[0]);
        let row = standby.sql(cluster.rows(), &select);
        (row == format!("OFFLINE|{}", left.revision.get())).then_some(())
    })
    .await;
    let all = [on_a.as_slice(), &on_b, &["gus".to_owned(), "absent".to_owned()]].concat();
    all_is_well(&recorders, &nodes, &all).await;
    recorders.no_change(&stayed, died);
    recorders.are_current(died).await;
    assert_eq!(processes, nodes.map(|node| node.process().id()));
    for poller in &pollers {
        poller.was_answered_but_for(&[]);
        poller.never(&stayed, Status::Offline, died, clock.elapsed());
    }
    drop((of_a, gus));
}

/// Connects gus, who is as was acknowledged before.
async fn connects_as_before(cluster: &Cluster) -> Socket {
    let gus = cluster.c.socket("gus").await;
    // A database that does not answer in time on a busy machine is said to be so.
    let is_as_before = |user: &Record| user.degraded || user.status == Status::Idle;
    assert!(gus.user.as_ref().is_some_and(is_as_before), "{:?}", gus.user);
    wait_until("the database was read", async || {
        let record = Cluster::agree(&cluster.nodes(), "gus", Status::Idle).await;
        (record.custom_status == Some(CustomStatus::Idle) && !record.degraded).then_some(())
    })
    .await;
    gus
}

/// Each node takes a custom status.
async fn all_take_writes(cluster: &Cluster) {
    for node in cluster.nodes() {
        let rest = node.rest();
        wait_until("custom statuses are taken again", async || {
            let answer = rest.set_custom_status("absent", "IDLE").await;
            (answer.status == 200).then_some(())
        })
        .await;
    }
}
