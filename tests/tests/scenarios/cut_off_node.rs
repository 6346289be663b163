//! A node whose link to Redis swallows everything for a minute, while operators end sessions there by the other nodes.

use std::sync::Arc;
use std::time::Duration;

use presence::Status;
use presence::wire::record::Record;
use presence_tests::Daemon;
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::proxy::Flow;
use presence_tests::recorder::Recorders;
use presence_tests::redis_server::RedisServer;
use presence_tests::report_load;
use presence_tests::wait::{let_time_pass, wait_for, within};

/// Clients of the node that stay.
const STAYING: usize = 50;
/// For how long its link is held.
const HELD: Duration = Duration::from_secs(60);
/// The first and the last moment at which users of a node that is silent may become OFFLINE on the others. Others end a node
/// that has been silent for four fifths of a lease, and it ticks once in a fifth: from 9 to 15 s after; then 12 s of grace.
const OFFLINE_FROM: Duration = Duration::from_secs(21);
const OFFLINE_UNTIL: Duration = Duration::from_secs(30);
/// A node says within this time that it may be out of date.
const STALE_WITHIN: Duration = Duration::from_secs(3);
/// Sessions that were ended elsewhere end within this time.
const ENDED_WITHIN: Duration = Duration::from_secs(3);
/// All is right again within this time.
const RIGHT_WITHIN: Duration = Duration::from_secs(10);
/// What is told at once is told within this time: a call that takes longer has failed.
const AT_ONCE: Duration = Duration::from_secs(2);
/// More changes of a partition than its log holds (10,000 entries and what is trimmed late).
const CHANGES: usize = 12_500;

#[tokio::test(flavor = "multi_thread")]
async fn users_who_are_ended_elsewhere_stay_away_when_a_node_is_back() {
    a_node_is_cut_off(&[], 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_are_ended_elsewhere_stay_away_though_the_log_was_trimmed() {
    // All changes go to one log, so fewer are enough.
    a_node_is_cut_off(&["--partitions", "1"], CHANGES).await;
}

async fn a_node_is_cut_off(flags: &[&str], changes: usize) {
    let redis = Arc::new(RedisServer::start(&[]));
    let cluster = Cluster::start_linked(PostgresServer::shared(), redis, flags).await;
    let [a, b, c] = cluster.nodes();
    let clock = Stopwatch::start();
    let recorders = Recorders::start(clock, &[("a", a), ("b", b), ("c", c)]).await;
    let stay: Vec<String> = (0..STAYING).map(|number| format!("stay-{number}")).collect();
    let mut sockets = Vec::new();
    for user in &stay {
        sockets.push(a.socket(user).await);
    }
    let (mut dan, mut eva) = (a.socket("dan").await, a.socket("eva").await);
    let all = [stay.clone(), vec!["dan".to_owned(), "eva".to_owned()]].concat();
    recorders.all_show(&all, Status::Online, RIGHT_WITHIN).await;
    let others = recorders.of(&["b", "c"]);
    let own = recorders.of(&["a"]);

    cluster.link(0).set(Flow::Hold);
    let held = clock.elapsed();
    let until = |at: Duration| let_time_pass((held + at).saturating_sub(clock.elapsed()));
    says_that_it_may_be_out_of_date(a, &stay[0]).await;
    let changing = report_load::make_present(b, 0..changes);
    let meanwhile = async {
        until(Duration::from_secs(10)).await;
        let asked = clock.elapsed();
        assert_eq!(b.rest().kick("dan").await, 1);
        others.all_show(&["dan"], Status::Offline, AT_ONCE).await;
        assert!(clock.elapsed() - asked <= AT_ONCE);
        until(Duration::from_secs(15)).await;
        let asked = clock.elapsed();
        assert_eq!(c.rest().forget("eva").await, 1);
        others.all_show(&["eva"], Status::Offline, AT_ONCE).await;
        assert!(clock.elapsed() - asked <= AT_ONCE);
        // What happens to its own clients is told among them.
        sockets[0].set_custom_status("DO_NOT_DISTURB").await;
        own.all_show(&stay[..1], Status::DoNotDisturb, AT_ONCE).await;
        until(HELD).await;
    };
    tokio::join!(changing, meanwhile);
    left_in_time(&others, &stay, held);

    let healed = clock.elapsed();
    cluster.link(0).set(Flow::Pass);
    let ended = async { (dan.goodbye().await.0, eva.goodbye().await.0) };
    assert_eq!(within("both are ended", ENDED_WITHIN, ended).await, (4003, 4010));
    let left = (healed + RIGHT_WITHIN).saturating_sub(clock.elapsed());
    others.all_show(&stay[1..], Status::Online, left).await;
    let left = (healed + RIGHT_WITHIN).saturating_sub(clock.elapsed());
    others.all_show(&stay[..1], Status::DoNotDisturb, left).await;
    let left = (healed + RIGHT_WITHIN).saturating_sub(clock.elapsed());
    all_show_the_same(&cluster, &all, left).await;
    came_once(&others, &stay, healed);
    for user in ["dan", "eva"] {
        let changes = recorders.changes(user, held);
        let are_gone = changes.iter().all(|change| change.to == Status::Offline);
        assert!(are_gone && changes.len() == 3, "{changes:?}");
    }
    recorders.revisions_grew();
    drop(sockets);
}

async fn says_that_it_may_be_out_of_date(node: &Daemon, user: &str) {
    let what = "the node that is cut off says so";
    wait_for(what, STALE_WITHIN, async || {
        node.rest().record(user).await.stale.then_some(())
    })
    .await;
    wait_for(what, STALE_WITHIN, async || {
        let ready = node.rest().get("/readyz").await;
        assert_eq!(ready.status, 200, "{}", ready.body);
        let warnings = ready.body["warnings"].to_string();
        warnings.contains("Redis can't be reached").then_some(())
    })
    .await;
}

/// On the other nodes the users of the silent one became OFFLINE once, in time.
fn left_in_time(others: &Recorders, users: &[String], held: Duration) {
    for user in users {
        let left: Vec<_> = others.changes(user, held).into_iter().collect();
        let left: Vec<_> = left.iter().filter(|change| change.to == Status::Offline).collect();
        assert_eq!(left.len(), 2, "{left:?}");
        for change in left {
            let after = change.at - held;
            assert!((OFFLINE_FROM..=OFFLINE_UNTIL).contains(&after), "{after:?}: {change:?}");
        }
    }
}

/// On the other nodes all are back, each by one change.
fn came_once(others: &Recorders, users: &[String], healed: Duration) {
    for user in users {
        let changes = others.changes(user, healed);
        assert_eq!(changes.len(), 2, "{changes:?}");
    }
}

async fn all_show_the_same(cluster: &Cluster, users: &[String], deadline: Duration) {
    wait_for("all nodes show the same", deadline, async || {
        let mut all: Vec<Vec<Record>> = Vec::new();
        for node in cluster.nodes() {
            let answer: presence::wire::rest::QueryResponse = node.rest().query(users).await.ok();
            all.push(answer.users);
        }
        (all[0] == all[1] && all[1] == all[2]).then_some(())
    })
    .await;
}
