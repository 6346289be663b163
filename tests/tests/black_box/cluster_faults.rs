//! Three daemons whose Redis loses keys, and whose PostgreSQL goes away, with short timers. The scenarios have more of that.

use std::sync::Arc;

use presence::Status;
use presence::wire::record::Record;
use presence_tests::cluster::Cluster;
use presence_tests::postgres_server::{Disk, PostgresServer};
use presence_tests::redis_server::RedisServer;
use presence_tests::wait_until;
use serde_json::json;

/// Timers short enough to wait for. The lease and all graces are over before the outage is.
const QUICK: [&str; 8] = [
    "--lease",
    "2s",
    "--node-grace",
    "2s",
    "--grace",
    "2s",
    "--restart-grace",
    "2s",
];

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
        &["DEBUG", "SLEEP", "6"],
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

/// A connect that nobody could answer is no answer for the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_back_without_postgres_is_degraded_until_it_is_read() {
    let postgres = PostgresServer::start(Disk::Unsynced);
    let cluster = Cluster::start_on(&postgres, Arc::new(RedisServer::start(&[])), &QUICK).await;
    let [a, b, c] = cluster.nodes();
    a.rest().set_custom_status("gus", "DO_NOT_DISTURB").await.ok::<Record>();
    wait_until("the user is in no state", async || {
        let states = (0..4).map(|number| format!("presence:{{{number}}}:state"));
        let mut held = states.map(|state| cluster.command(&["HEXISTS", &state, "gus"]));
        held.all(|is_held| is_held == "0").then_some(())
    })
    .await;
    postgres.stop();
    for number in 0..4 {
        cluster.command(&["DEL", &format!("presence:{{{number}}}:custom-status")]);
    }
    for _ in 0..2 {
        let socket = b.socket("gus").await;
        let shown = socket.user.as_ref().map(|user| (user.status, user.degraded));
        assert_eq!(shown, Some((Status::Online, true)));
        Cluster::agree(&[a, b, c], "gus", Status::Online).await;
        socket.close(Some(1000)).await;
        Cluster::agree(&[a, b, c], "gus", Status::Offline).await;
    }
    let _back = b.socket("gus").await;
    Cluster::agree(&[a, b, c], "gus", Status::Online).await;
    postgres.start_again();
    let record = Cluster::agree(&[a, b, c], "gus", Status::DoNotDisturb).await;
    assert!(!record.degraded, "{record:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_in_an_emptied_redis_again_once_postgres_is_back() {
    let postgres = PostgresServer::start(Disk::Unsynced);
    let cluster = Cluster::start_on(&postgres, Arc::new(RedisServer::start(&[])), &QUICK).await;
    let nodes = cluster.nodes();
    let users = ["ada", "bob", "cem"];
    for (user, node) in users.iter().zip(nodes) {
        let report = node.rest().report(user, json!({"status": "ONLINE"})).await;
        report.ok::<Record>();
    }
    all_have(&cluster, &users).await;
    for node in nodes {
        node.flushed().await;
    }
    let mut observers = Cluster::observers(&nodes).await;

    postgres.stop();
    cluster.command(&["FLUSHALL"]);
    // A lease and 5 s later each node asks the database for the reports, which are no node's.
    for node in nodes {
        wait_until("the node asks the database in vain", async || {
            let asks = "users whom the log asks for can't be read yet";
            node.log().contains(asks).then_some(())
        })
        .await;
    }
    cluster.online_is(&[]).await;
    postgres.start_again();
    all_have(&cluster, &users).await;
    nodes[0].rest().set_custom_status("ada", "IDLE").await.ok::<Record>();
    observers.told_only("ada", Status::Online, Status::Idle).await;
}
