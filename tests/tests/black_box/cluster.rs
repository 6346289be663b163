//! Three daemons on one PostgreSQL and one Redis: what users, watchers and operators notice of it, which is nothing but
//! that a node that goes away takes nobody with it.

use std::time::Duration;

use presence::wire::record::{Record, Update};
use presence::{CustomStatus, Status};
use presence_tests::clock::wall_now;
use presence_tests::cluster::Cluster;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::websocket::{ConnectionEnd, Snapshot};
use presence_tests::{Daemon, Socket, wait_until};
use serde_json::json;

/// Timers short enough to wait for.
const QUICK: [&str; 8] = [
    "--lease",
    "2s",
    "--node-grace",
    "2s",
    "--grace",
    "2s",
    "--restart-grace",
    "4s",
];

/// Changes the custom status of a user who is present: whatever is told of the user before that is from before it.
async fn change(node: &Daemon, user: &str, custom: &str) {
    node.rest().set_custom_status(user, custom).await.ok::<Record>();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_show_the_same_of_a_user_of_one() {
    let cluster = Cluster::start(&[]).await;
    let [a, b, c] = cluster.nodes();
    let mut observers = Cluster::observers(&[a, b, c]).await;
    let alice = a.socket("alice").await;
    observers.told("alice", Status::Online).await;
    let record = Cluster::agree(&[a, b, c], "alice", Status::Online).await;
    assert_eq!(record.nodes, Some(vec!["a".to_owned()]), "{record:?}");
    for node in cluster.nodes() {
        assert_eq!(node.rest().list("").await.counts.online, 1);
    }

    let chosen: Record = c.rest().set_custom_status("alice", "DO_NOT_DISTURB").await.ok();
    let chosen = c.logged(chosen).await;
    assert_eq!(chosen.status, Status::DoNotDisturb);
    for told in observers.told("alice", Status::DoNotDisturb).await {
        assert_eq!(told.last().map(|record| record.revision), Some(chosen.revision));
    }
    let record = Cluster::agree(&[a, b, c], "alice", Status::DoNotDisturb).await;
    assert_eq!(record.revision, chosen.revision);
    assert_eq!(record.custom_status, Some(CustomStatus::DoNotDisturb));
    assert_eq!(b.rest().custom_status("alice").await, "DO_NOT_DISTURB");

    let explain = b.rest().explain("alice").await;
    let connections: Vec<_> = explain
        .nodes
        .iter()
        .map(|node| (node.node.as_str(), node.connections))
        .collect();
    assert_eq!(connections, [("a", 1)], "{explain:?}");
    assert_eq!(a.rest().explain("alice").await.sessions[0].session_id, alice.session);
    cluster.online_is(&["alice"]).await;

    let _phone = c.socket("alice").await;
    wait_until("both nodes of the user are known", async || {
        let record = Cluster::agree(&[a, b, c], "alice", Status::DoNotDisturb).await;
        (record.nodes == Some(vec!["a".to_owned(), "c".to_owned()])).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_moves_to_another_node_makes_no_event() {
    let cluster = Cluster::start(&QUICK).await;
    let [a, b, c] = cluster.nodes();
    let mut observers = Cluster::observers(&[a, b, c]).await;
    let old = a.socket("alice").await;
    observers.told("alice", Status::Online).await;
    let new = b.socket("alice").await;
    old.reset();
    wait_until("the grace of the lost session is over", async || {
        let explain = b.rest().explain("alice").await;
        (explain.nodes.is_empty() && explain.sessions.len() == 1).then_some(())
    })
    .await;
    change(c, "alice", "IDLE").await;
    observers.told_only("alice", Status::Online, Status::Idle).await;
    Cluster::agree(&[a, b, c], "alice", Status::Idle).await;
    drop(new);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_show_the_same_times_of_a_present_user() {
    let cluster = Cluster::start(&["--ping-interval", "3s", "--ping-timeout", "2s"]).await;
    let _ada = cluster.a.socket("ada").await;
    Cluster::agree(&cluster.nodes(), "ada", Status::Online).await;
    let connected = cluster.a.rest().record("ada").await.last_seen;
    wait_until("a pong came since", async || {
        let explain = cluster.a.rest().explain("ada").await;
        (Some(explain.sessions[0].last_heard) > connected).then_some(())
    })
    .await;
    Cluster::is_same_everywhere(&cluster.nodes(), &["ada"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_one_node_resumes_on_another() {
    let cluster = Cluster::start(&QUICK).await;
    let [a, b, c] = cluster.nodes();
    let users = ["alice", "bea", "carl"];
    let mut alice = a.socket("alice").await;
    let _bea = c.socket("bea").await;
    Cluster::agree(&[a, b, c], "alice", Status::Online).await;
    Cluster::agree(&[a, b, c], "bea", Status::Online).await;
    let mut watcher = a.socket("watcher").await;
    let told = watcher.watch(&users).await;
    // A cursor is at or before what all partitions have told, so one of a moment later lists nothing again.
    let cursor = wait_until("a cursor after all that is known", async || {
        let request = json!({"type": "watch", "userIds": users, "since": watcher.cursor()});
        let Snapshot {
            cursor, resumed, users, ..
        } = watcher.snapshot(request).await;
        (resumed && users.is_empty()).then_some(cursor)
    })
    .await;
    watcher.reset();
    alice.set_custom_status("DO_NOT_DISTURB").await;
    Cluster::agree(&[a, b, c], "alice", Status::DoNotDisturb).await;
    for node in [b, c] {
        let mut watcher = node.socket("watcher").await;
        let request = json!({"type": "watch", "userIds": users, "since": cursor});
        let resumed = watcher.snapshot(request).await;
        assert!(resumed.resumed, "{resumed:?}");
        let is_newer = |update: &Update| update.revision() > told.record(update.user_id().as_str()).revision;
        assert!(resumed.users.iter().all(is_newer), "{resumed:?}");
        assert_eq!(resumed.record("alice").status, Status::DoNotDisturb);
    }
}

/// Another node has written the row, and this one has not read the entry of the log yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_ahead_of_the_log_is_told_below_it() {
    const AHEAD: Duration = Duration::from_millis(700);
    let cluster = Cluster::start(&[]).await;
    let mut watcher = cluster.a.socket("watcher").await;
    for attempt in 0.. {
        let user = format!("ahead-{attempt}");
        let revision = (wall_now().as_millis() as u64 + AHEAD.as_millis() as u64) * 1_000;
        let row = format!("INSERT INTO profile (user_id, status, revision) VALUES ('{user}', 'ONLINE', {revision})");
        PostgresServer::shared().sql(cluster.rows(), &row);
        let told = watcher.watch(&[&user]).await.record(&user);
        assert_eq!(told.status, Status::Offline, "the log has no session");
        // Once the log is further than that, the row is not ahead.
        if (wall_now().as_millis() as u64) * 1_000 < revision {
            // Not as of a user who was never seen: the row was read.
            let told = told.revision.get();
            assert!(0 < told && told < revision, "{told} with a row of {revision}");
            return;
        }
        assert!(attempt < 50, "the machine is too slow");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_users_of_a_crashed_node_are_offline_unless_they_are_back() {
    let mut cluster = Cluster::start(&QUICK).await;
    let (mut mover, gone) = (cluster.a.socket("mover").await, cluster.a.socket("gone").await);
    let _stays = cluster.c.socket("stays").await;
    for user in ["mover", "gone", "stays"] {
        Cluster::agree(&cluster.nodes(), user, Status::Online).await;
    }
    let mut observers = Cluster::observers(&[&cluster.b, &cluster.c]).await;
    cluster.a.kill();
    assert_eq!(mover.ended().await, ConnectionEnd::Lost);
    let _back = cluster.b.socket("mover").await;
    observers.told("gone", Status::Offline).await;
    let nodes = [&cluster.b, &cluster.c];
    Cluster::agree(&nodes, "gone", Status::Offline).await;
    drop(gone);
    cluster.online_is(&["mover", "stays"]).await;

    // Nothing of its earlier life remains.
    cluster.a.start_again().await;
    Cluster::agree(&cluster.nodes(), "gone", Status::Offline).await;
    let record = Cluster::agree(&cluster.nodes(), "mover", Status::Online).await;
    assert_eq!(record.nodes, Some(vec!["b".to_owned()]), "{record:?}");
    assert!(cluster.b.rest().explain("mover").await.nodes.is_empty());
    cluster.online_is(&["mover", "stays"]).await;
    assert_eq!(cluster.registrations(), [3; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn movers_from_a_crashed_node_make_no_event() {
    let mut cluster = Cluster::start(&QUICK).await;
    let mut movers = Vec::new();
    for user in ["mia", "max"] {
        movers.push(cluster.a.socket(user).await);
        Cluster::agree(&cluster.nodes(), user, Status::Online).await;
    }
    let gone = cluster.a.socket("gone").await;
    Cluster::agree(&cluster.nodes(), "gone", Status::Online).await;
    let mut observers = Cluster::observers(&[&cluster.b, &cluster.c]).await;
    cluster.a.kill();
    let (_mia, _max) = (cluster.b.socket("mia").await, cluster.c.socket("max").await);
    // Restarted at once, under the same name.
    cluster.a.start_again().await;
    assert_eq!(cluster.registrations(), [3; 4]);
    let nodes = cluster.nodes();
    Cluster::agree(&nodes, "gone", Status::Offline).await;
    for user in ["mia", "max"] {
        change(&cluster.a, user, "DO_NOT_DISTURB").await;
        let explain = cluster.a.rest().explain(user).await;
        assert_eq!(explain.nodes.len(), 1, "{explain:?}");
    }
    observers.told_only("mia", Status::Online, Status::DoNotDisturb).await;
    let mut observers = Cluster::observers(&nodes).await;
    change(&cluster.b, "max", "IDLE").await;
    observers.told_only("max", Status::DoNotDisturb, Status::Idle).await;
    cluster.online_is(&["max", "mia"]).await;
    drop(gone);
}

/// Reads the goodbye of a node that stops, and connects the user to another one.
async fn move_to(mut socket: Socket, node: &Daemon, user: &str) -> Socket {
    let (code, reason, _) = socket.goodbye().await;
    assert_eq!(code, 1012, "{reason}");
    node.socket(user).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_makes_no_event() {
    let mut cluster = Cluster::start(&["--restart-grace", "10s"]).await;
    let mut on_a = cluster.a.socket("ada").await;
    let mut on_b = cluster.b.socket("bob").await;
    for user in ["ada", "bob"] {
        Cluster::agree(&cluster.nodes(), user, Status::Online).await;
    }
    let mut observers = Cluster::observers(&[&cluster.c]).await;
    cluster.a.process().terminate();
    on_a = move_to(on_a, &cluster.b, "ada").await;
    assert_eq!(cluster.a.ended().await.code(), Some(0));
    cluster.a.start_again().await;
    cluster.b.process().terminate();
    on_a = move_to(on_a, &cluster.a, "ada").await;
    on_b = move_to(on_b, &cluster.a, "bob").await;
    assert_eq!(cluster.b.ended().await.code(), Some(0));
    cluster.b.start_again().await;
    for user in ["ada", "bob"] {
        let record = Cluster::agree(&cluster.nodes(), user, Status::Online).await;
        assert_eq!(record.nodes, Some(vec!["a".to_owned()]), "{record:?}");
        change(&cluster.b, user, "IDLE").await;
        observers.told_only(user, Status::Online, Status::Idle).await;
    }
    assert_eq!(cluster.registrations(), [3; 4]);
    drop((on_a, on_b));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kick_on_another_node_ends_the_sessions() {
    let cluster = Cluster::start(&[]).await;
    let [a, b, c] = cluster.nodes();
    let mut dan = a.socket("dan").await;
    Cluster::agree(&[a, b, c], "dan", Status::Online).await;
    let mut observers = Cluster::observers(&[a, b, c]).await;
    assert_eq!(b.rest().kick("dan").await, 1);
    assert_eq!(dan.goodbye().await.0, 4003);
    observers.told("dan", Status::Offline).await;
    Cluster::agree(&[a, b, c], "dan", Status::Offline).await;
    cluster.online_is(&[]).await;
    let _again = c.socket("dan").await;
    observers.told("dan", Status::Online).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_forgotten_on_another_node_is_removed_everywhere() {
    let cluster = Cluster::start(&[]).await;
    let [a, b, c] = cluster.nodes();
    let mut eva = a.socket("eva").await;
    eva.set_custom_status("DO_NOT_DISTURB").await;
    Cluster::agree(&[a, b, c], "eva", Status::DoNotDisturb).await;
    let mut observers = Cluster::observers(&[a, b, c]).await;
    assert_eq!(b.rest().forget("eva").await, 1);
    assert_eq!(eva.goodbye().await.0, 4010);
    observers.told_removal("eva").await;
    let record = Cluster::agree(&[a, b, c], "eva", Status::Offline).await;
    assert_eq!((record.since, record.last_seen), (None, None), "{record:?}");
    cluster.online_is(&[]).await;
    let _again = c.socket("eva").await;
    observers.told("eva", Status::Online).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stood_still_tells_nothing_old() {
    let cluster = Cluster::start(&QUICK).await;
    let nodes = cluster.nodes();
    let [a, b, c] = nodes;
    let (_stays, leaves, moves) = (
        a.socket("stays").await,
        a.socket("leaves").await,
        a.socket("moves").await,
    );
    for user in ["stays", "leaves", "moves"] {
        Cluster::agree(&nodes, user, Status::Online).await;
    }
    let mut observers = Cluster::observers(&[b, c]).await;
    let mut own = Cluster::observers(&[a]).await;
    a.process().stop();
    leaves.reset();
    moves.reset();
    let _moved = b.socket("moves").await;
    for user in ["stays", "leaves"] {
        observers.told(user, Status::Offline).await;
        Cluster::agree(&[b, c], user, Status::Offline).await;
    }
    change(b, "moves", "DO_NOT_DISTURB").await;
    observers.told_only("moves", Status::Online, Status::DoNotDisturb).await;

    a.process().resume();
    for told in observers.told("stays", Status::Online).await {
        assert_eq!(told.len(), 1, "{told:?}");
    }
    Cluster::agree(&nodes, "stays", Status::Online).await;
    Cluster::agree(&nodes, "leaves", Status::Offline).await;
    let record = Cluster::agree(&nodes, "moves", Status::DoNotDisturb).await;
    assert_eq!(record.nodes, Some(vec!["b".to_owned()]), "{record:?}");
    own.told_only("moves", Status::Online, Status::DoNotDisturb).await;
    cluster.online_is(&["moves", "stays"]).await;
    wait_until("A is registered in all partitions again", async || {
        (cluster.registrations() == [3; 4]).then_some(())
    })
    .await;
    // Who left in the meantime is not told to be back by anybody.
    let marker = b.socket("leaves").await;
    observers.told_only("leaves", Status::Offline, Status::Online).await;
    drop(marker);
}
