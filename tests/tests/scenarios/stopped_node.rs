//! A node that stands still for longer than its lease, while some of its clients stay, some leave and some move.

use std::sync::Arc;
use std::time::Duration;

use presence::Status;
use presence::wire::record::Record;
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::lister::Lister;
use presence_tests::poller::Poller;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::recorder::Recorders;
use presence_tests::redis_server::RedisServer;
use presence_tests::wait::{DEADLINE, let_time_pass, timed, timed_within};
use presence_tests::{Daemon, Socket};

use crate::scene::{all_is_well, all_show_the_same, records};
use crate::silence::{Silence, partitions_of_all};
use crate::stored::all_are_stored;

/// Clients that stay, as many that close their connection, and as many that move.
const EACH: usize = 100;
/// For how long the node stands still.
const STOPPED: Duration = Duration::from_secs(40);
/// When clients leave it.
const LEAVES: Duration = Duration::from_secs(5);
/// After the node goes on.
const BACK_WITHIN: Duration = Duration::from_secs(3);
/// After that nothing is out of date.
const RIGHT_WITHIN: Duration = Duration::from_secs(10);

/// How often each node is asked of all users.
const POLL: Duration = Duration::from_secs(1);

async fn connect(node: &Daemon, users: &[String]) -> Vec<Socket> {
    let mut sockets = Vec::new();
    for user in users {
        sockets.push(node.socket(user).await);
    }
    sockets
}

fn named(name: &str) -> Vec<String> {
    (0..EACH).map(|number| format!("{name}-{number}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stands_still_past_its_lease_tells_nothing_old() {
    let redis = Arc::new(RedisServer::start(&[]));
    let cluster = Cluster::start_linked(PostgresServer::shared(), redis, &[]).await;
    let [a, b, c] = cluster.nodes();
    let clock = Stopwatch::start();
    let recorders = Recorders::start(clock, &[("a", a), ("b", b), ("c", c)]).await;
    let (stay, close, moves) = (named("stay"), named("close"), named("move"));
    let (staying, closing, moving) = (
        connect(a, &stay).await,
        connect(a, &close).await,
        connect(a, &moves).await,
    );
    let all = [stay.clone(), close.clone(), moves.clone()].concat();
    recorders.all_show(&all, Status::Online, DEADLINE).await;
    let others = recorders.of(&["b", "c"]);
    let pollers = [("a", a), ("b", b), ("c", c)].map(|(name, node)| Poller::start(clock, name, node, &all, POLL));
    let listers = [("a", a), ("b", b), ("c", c)].map(|(name, node)| Lister::start(clock, name, node));
    let partitions = partitions_of_all(&cluster);

    a.process().stop();
    let stopped = clock.elapsed();
    let silence = Silence::of("a", &cluster, b, partitions).await;
    let until = |at: Duration| let_time_pass((stopped + at).saturating_sub(clock.elapsed()));
    until(LEAVES).await;
    closing.into_iter().for_each(|socket| socket.close_without_answer(1000));
    moving.into_iter().for_each(Socket::reset);
    let moved = connect(b, &moves).await;
    until(STOPPED - POLL).await;
    let left = [stay.clone(), close.clone()].concat();
    others.all_show(&left, Status::Offline, DEADLINE).await;
    silence.took_away(&left, &others, stopped);
    others.are_current(stopped).await;
    let truth = records(b, &all).await;
    // Sent while the node stands still: answered as soon as it goes on.
    let early = async { records(a, &all).await };
    let resume = async {
        until(STOPPED).await;
        a.process().resume();
        clock.elapsed()
    };
    let (early, resumed) = tokio::join!(early, resume);
    tells_nothing_older(&early, &truth);
    let ((), took) = timed(others.all_show(&stay, Status::Online, DEADLINE)).await;
    assert!(took <= BACK_WITHIN, "{took:?}");
    while clock.elapsed() < resumed + BACK_WITHIN {
        tells_nothing_older(&records(a, &all).await, &truth);
    }

    timed_within("all is right", RIGHT_WITHIN, all_show_the_same(&cluster, &all)).await;
    all_is_well(&recorders, &cluster.nodes(), &all).await;
    all_are_stored(&cluster, PostgresServer::shared(), &all).await;
    others.no_change(&close, resumed);
    recorders.no_change(&moves, stopped);
    recorders.of(&["a"]).told_nothing_older(&truth, stopped);
    for lister in &listers {
        lister.lists_again(clock).await;
        lister.never_twice();
    }
    // What is sent while a node stands still is answered as soon as it goes on.
    pollers.iter().for_each(|poller| poller.was_answered_but_for(&[]));
    let never_left = |poller: &Poller| poller.never(&moves, Status::Offline, stopped, clock.elapsed());
    pollers[1..].iter().for_each(never_left);
    is_listed_once(&cluster, &stay).await;
    drop((staying, moved));
}

/// The node that was away is registered once, and has its users once.
async fn is_listed_once(cluster: &Cluster, users: &[String]) {
    for node in cluster.nodes() {
        for record in records(node, users).await {
            assert_eq!(record.nodes, Some(vec!["a".to_owned()]), "{record:?}");
        }
    }
    let registrations = cluster.registrations();
    assert!(registrations.iter().all(|nodes| *nodes == 3), "{registrations:?}");
}

/// What is older than what another node showed before is said to be stale.
fn tells_nothing_older(told: &[Record], truth: &[Record]) {
    for (told, truth) in told.iter().zip(truth) {
        assert!(
            told.stale || told.revision >= truth.revision,
            "{told:?} after {truth:?}"
        );
    }
}
