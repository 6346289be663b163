//! Three daemons whose Redis or PostgreSQL goes away and comes back: nobody becomes OFFLINE for it, what may be out of date
//! says so, and all is right again without a restart.

use std::sync::Arc;

use presence::wire::record::Record;
use presence::{CustomStatus, Status};
use presence_tests::cluster::{Cluster, Observers};
use presence_tests::postgres_server::{Disk, PostgresServer};
use presence_tests::redis_server::RedisServer;
use presence_tests::{Daemon, wait_until};
use reqwest::Method;
use serde_json::json;

/// Timers short enough to wait for. The lease and all graces are over before the outage is.
const QUICK: [&str; 8] = [
    "--lease",
    "1s",
    "--node-grace",
    "1s",
    "--grace",
    "1s",
    "--restart-grace",
    "1s",
];

async fn is_stale(node: &Daemon, user: &str) {
    wait_until("the node says that it may be out of date", async || {
        node.rest().record(user).await.stale.then_some(())
    })
    .await;
}

/// What all nodes answer while their Redis is away.
async fn is_served_alone(cluster: &Cluster) {
    for node in cluster.nodes() {
        for user in ["ada", "bob", "cem"] {
            is_stale(node, user).await;
        }
        let rest = node.rest();
        assert_eq!(rest.record("ada").await.status, Status::Online);
        assert_eq!(rest.record("bob").await.status, Status::DoNotDisturb);
        assert_eq!(rest.get("/readyz").await.status, 200);
        let kick = rest.internal(Method::DELETE, "/api/presence/ada/sessions");
        assert_eq!(presence_tests::rest::send(kick).await.status, 503);
    }
}

/// Two users stay, one moves, one leaves and one comes while Redis is away.
async fn an_outage_makes_no_event(redis: Arc<RedisServer>) {
    let cluster = Cluster::start_on(PostgresServer::shared(), redis, &QUICK).await;
    let [a, b, c] = cluster.nodes();
    let _ada = a.socket("ada").await;
    let mut bob = b.socket("bob").await;
    bob.set_custom_status("DO_NOT_DISTURB").await;
    let (mover, cem) = (a.socket("mover").await, c.socket("cem").await);
    for user in ["ada", "mover", "cem"] {
        Cluster::agree(&[a, b, c], user, Status::Online).await;
    }
    Cluster::agree(&[a, b, c], "bob", Status::DoNotDisturb).await;
    let mut observers = Cluster::observers(&[a, b, c]).await;

    cluster.redis().kill();
    is_served_alone(&cluster).await;
    mover.reset();
    let _moved = c.socket("mover").await;
    cem.close(Some(1000)).await;
    let comes = b.socket("comes").await;
    assert_eq!(comes.user.as_ref().map(|user| user.status), Some(Status::Online));
    assert_eq!(b.rest().record("comes").await.status, Status::Online);
    wait_until("the close is noticed", async || {
        (c.rest().record("cem").await.sessions == Some(0)).then_some(())
    })
    .await;
    assert_eq!(
        c.rest().record("cem").await.status,
        Status::Online,
        "not while Redis is away"
    );

    cluster.redis().start_again();
    all_is_right_again(&cluster, &mut observers).await;
}

async fn all_is_right_again(cluster: &Cluster, observers: &mut Observers) {
    let nodes = cluster.nodes();
    Cluster::agree(&nodes, "cem", Status::Offline).await;
    for (user, status) in [
        ("ada", Status::Online),
        ("bob", Status::DoNotDisturb),
        ("mover", Status::Online),
        ("comes", Status::Online),
    ] {
        Cluster::agree(&nodes, user, status).await;
    }
    cluster.online_is(&["ada", "bob", "comes", "mover"]).await;
    assert_eq!(cluster.registrations(), [3; 4]);
    for (user, had) in [
        ("ada", Status::Online),
        ("bob", Status::DoNotDisturb),
        ("mover", Status::Online),
        ("comes", Status::Online),
    ] {
        cluster.a.rest().set_custom_status(user, "IDLE").await.ok::<Record>();
        observers.told_only(user, had, Status::Idle).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_away_for_longer_than_a_lease_makes_no_event() {
    let kept = ["--appendonly", "yes", "--appendfsync", "always"];
    an_outage_makes_no_event(Arc::new(RedisServer::start(&kept))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_that_comes_back_empty_makes_no_event() {
    an_outage_makes_no_event(Arc::new(RedisServer::start(&[]))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_away_stops_writes_alone_on_all_nodes() {
    let postgres = PostgresServer::start(Disk::Unsynced);
    let cluster = Cluster::start_on(&postgres, Arc::new(RedisServer::start(&[])), &QUICK).await;
    let [a, b, c] = cluster.nodes();
    let mut fay = a.socket("fay").await;
    fay.set_custom_status("DO_NOT_DISTURB").await;
    let leaves = c.socket("leaves").await;
    Cluster::agree(&[a, b, c], "fay", Status::DoNotDisturb).await;
    Cluster::agree(&[a, b, c], "leaves", Status::Online).await;
    let mut observers = Cluster::observers(&[a, b, c]).await;

    postgres.stop();
    for node in [a, b, c] {
        let rest = node.rest();
        rest.set_custom_status("fay", "IDLE")
            .await
            .rejected(503, "store_unavailable");
        let report = rest.report("fay", json!({"status": "ONLINE"})).await;
        report.rejected(503, "store_unavailable");
    }
    let second = b.socket("fay").await;
    let shown = second.user.as_ref().map(|user| (user.status, user.degraded));
    assert_eq!(shown, Some((Status::DoNotDisturb, false)));
    let _comes = b.socket("comes").await;
    observers.told("comes", Status::Online).await;
    leaves.close(Some(1000)).await;
    observers.told("leaves", Status::Offline).await;
    let left = Cluster::agree(&[a, b, c], "leaves", Status::Offline).await;

    postgres.start_again();
    for node in [a, b, c] {
        wait_until("custom statuses are taken again", async || {
            let answer = node.rest().set_custom_status("comes", "IDLE").await;
            (answer.status == 200).then_some(())
        })
        .await;
        node.flushed().await;
    }
    a.rest().set_custom_status("fay", "IDLE").await.ok::<Record>();
    observers.told_only("fay", Status::DoNotDisturb, Status::Idle).await;
    let record = Cluster::agree(&[a, b, c], "comes", Status::Idle).await;
    assert_eq!(
        (record.custom_status, record.degraded),
        (Some(CustomStatus::Idle), false)
    );
    let stored = Cluster::agree(&[a, b, c], "leaves", Status::Offline).await;
    assert_eq!((stored.since, stored.last_seen), (left.since, left.last_seen));
}

/// Waits until all nodes and the set for other services have these users and nobody else.
async fn all_have(cluster: &Cluster, users: &[&str]) {
    for user in users {
        Cluster::agree(&cluster.nodes(), user, Status::Online).await;
    }
    cluster.online_is(users).await;
    wait_until("every node is registered", async || {
        (cluster.registrations() == [3; 4]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_flushed_and_its_keys_deleted_makes_no_event() {
    let cluster = Cluster::start_on(PostgresServer::shared(), Arc::new(RedisServer::start(&[])), &QUICK).await;
    let nodes = cluster.nodes();
    let users = ["ada", "bob", "cem", "dan", "eva", "fay", "gus", "hal"];
    let mut sockets = Vec::new();
    for (user, node) in users.iter().zip(nodes.iter().cycle()) {
        sockets.push(node.socket(user).await);
    }
    all_have(&cluster, &users).await;
    let mut observers = Cluster::observers(&nodes).await;
    let of_all = |name: &str| {
        (0..4)
            .map(|number| format!("presence:{{{number}}}:{name}"))
            .collect::<Vec<_>>()
    };
    for name in ["state", "log"] {
        let keys = of_all(name);
        let keys = keys.iter().map(String::as_str);
        cluster.command(&std::iter::once("DEL").chain(keys).collect::<Vec<_>>());
        all_have(&cluster, &users).await;
    }
    for words in [
        &["SCRIPT", "FLUSH"] as &[&str],
        &["CLIENT", "KILL", "TYPE", "normal"],
        &["DEBUG", "SLEEP", "3"],
        &["FLUSHALL"],
        &["CLIENT", "KILL", "TYPE", "normal"],
    ] {
        cluster.command(words);
        all_have(&cluster, &users).await;
    }
    // Half of them leave: once that is told, it could have been told falsely of the others too.
    let staying = sockets.split_off(users.len() / 2);
    for socket in sockets {
        socket.close(Some(1000)).await;
    }
    let (left, stayed) = users.split_at(users.len() / 2);
    for user in left {
        observers.told_only(user, Status::Online, Status::Offline).await;
    }
    for user in stayed {
        cluster.a.rest().set_custom_status(user, "IDLE").await.ok::<Record>();
        observers.told_only(user, Status::Online, Status::Idle).await;
    }
    drop(staying);
}
