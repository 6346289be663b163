//! What other services read in Redis, with three daemons: whatever becomes of it by hand, it is exact again within 10 s, and it
//! has the custom statuses of absent users.

use std::sync::Arc;
use std::time::Duration;

use presence::wire::record::Record;
use presence_tests::cluster::Cluster;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::redis_server::RedisServer;
use presence_tests::wait::timed;

/// Within what time the lists are as they should be.
const RIGHT_WITHIN: Duration = Duration::from_secs(10);

/// The users who are present, in order, and the custom statuses of all, likewise.
async fn lists_are(cluster: &Cluster, online: &[&str], custom: &[(&str, &str)]) {
    let lists = async {
        cluster.online_is(online).await;
        cluster.custom_statuses_are(custom).await;
    };
    let ((), took) = timed(lists).await;
    assert!(took <= RIGHT_WITHIN, "{took:?}");
}

/// The key of each partition.
fn keys(name: &str) -> [String; 4] {
    [0, 1, 2, 3].map(|number| format!("presence:{{{number}}}:{name}"))
}

/// Adds a user that nobody knows to all lists.
fn add_strangers(cluster: &Cluster) {
    for key in keys("online") {
        cluster.command(&["SADD", &key, "stranger"]);
    }
    for key in keys("custom-status") {
        cluster.command(&["HSET", &key, "stranger", "IDLE"]);
    }
}

#[tokio::test]
async fn lists_changed_by_hand_are_exact_within_10_s() {
    let cluster = Cluster::start(&[]).await;
    let nodes = cluster.nodes();
    let users = ["ada", "bob", "cem", "dan", "eva", "fay"];
    let mut sockets = Vec::new();
    for (user, node) in users.iter().zip(nodes.iter().cycle()) {
        sockets.push(node.socket(user).await);
    }
    let custom = [
        ("absent-1", "IDLE"),
        ("absent-2", "DO_NOT_DISTURB"),
        ("ada", "DO_NOT_DISTURB"),
        ("eva", "IDLE"),
    ];
    for (user, status) in custom
        .into_iter()
        .chain([("changed-mind", "IDLE"), ("changed-mind", "ONLINE")])
    {
        cluster.b.rest().set_custom_status(user, status).await.ok::<Record>();
    }
    lists_are(&cluster, &users, &custom).await;
    for name in ["online", "custom-status"] {
        let keys = keys(name);
        let keys = keys.iter().map(String::as_str);
        cluster.command(&std::iter::once("DEL").chain(keys).collect::<Vec<_>>());
        lists_are(&cluster, &users, &custom).await;
    }
    for key in keys("custom-status") {
        cluster.command(&["HDEL", &key, "absent-1"]);
    }
    lists_are(&cluster, &users, &custom).await;
    // In the first lease of an epoch who is in no state may be another node's to offer.
    add_strangers(&cluster);
    cluster.online_is(&users).await;
    lists_are(&cluster, &users, &custom).await;
    add_strangers(&cluster);
    lists_are(&cluster, &users, &custom).await;
    drop(sockets);
}

#[tokio::test]
async fn an_emptied_redis_has_the_custom_statuses_of_absent_users_again() {
    let redis = Arc::new(RedisServer::start(&[]));
    let cluster = Cluster::start_on(PostgresServer::shared(), redis, &[]).await;
    let _ada = cluster.a.socket("ada").await;
    let custom = [("absent", "DO_NOT_DISTURB"), ("ada", "IDLE")];
    for (user, status) in custom.into_iter().chain([("forgotten", "IDLE")]) {
        cluster.c.rest().set_custom_status(user, status).await.ok::<Record>();
    }
    cluster.b.rest().forget("forgotten").await;
    lists_are(&cluster, &["ada"], &custom).await;
    cluster.command(&["FLUSHALL"]);
    lists_are(&cluster, &["ada"], &custom).await;
}
