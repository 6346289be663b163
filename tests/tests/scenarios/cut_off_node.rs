//! A node whose link to Redis swallows everything for a minute, while operators end sessions there by the other nodes.

use std::sync::Arc;
use std::time::Duration;

use presence::Status;
use presence_tests::Daemon;
use presence_tests::clock::Stopwatch;
use presence_tests::cluster::Cluster;
use presence_tests::poller::Poller;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::proxy::Flow;
use presence_tests::recorder::Recorders;
use presence_tests::redis_server::RedisServer;
use presence_tests::report_load;
use presence_tests::wait::{DEADLINE, let_time_pass, timed, timed_within, wait_until};

use crate::scene::{all_is_well, all_show_the_same, connect};
use crate::silence::{Silence, partitions_of_all};
use crate::stored::all_are_stored;

/// How often each node is asked of all users.
const POLL: Duration = Duration::from_secs(1);
/// Clients of the node that stay.
const STAYING: usize = 50;
/// For how long its link is held.
const HELD: Duration = Duration::from_secs(60);
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
    let mut sockets = connect(a, &stay).await;
    let (mut dan, mut eva) = (a.socket("dan").await, a.socket("eva").await);
    let all = [stay.clone(), vec!["dan".to_owned(), "eva".to_owned()]].concat();
    recorders.all_show(&all, Status::Online, DEADLINE).await;
    let others = recorders.of(&["b", "c"]);
    let own = recorders.of(&["a"]);
    let partitions = partitions_of_all(&cluster);
    let pollers = [("a", a), ("b", b), ("c", c)].map(|(name, node)| Poller::start(clock, name, node, &all, POLL));

    cluster.link(0).set(Flow::Hold);
    let held = clock.elapsed();
    let until = |at: Duration| let_time_pass((held + at).saturating_sub(clock.elapsed()));
    says_that_it_may_be_out_of_date(a, &stay[0]).await;
    let silence = Silence::of("a", &cluster, b, partitions).await;
    until(Duration::from_secs(10)).await;
    are_ended_elsewhere(b, "dan", Ended::Kicked, &others).await;
    until(Duration::from_secs(15)).await;
    are_ended_elsewhere(c, "eva", Ended::Forgotten, &others).await;
    let removals = others.changes("eva", held);
    assert!(removals.iter().all(|change| change.record.is_none()), "{removals:?}");
    // What happens to its own clients is told among them.
    sockets[0].set_custom_status("DO_NOT_DISTURB").await;
    let shown = own.all_show(&stay[..1], Status::DoNotDisturb, DEADLINE);
    timed_within("its own clients are told", AT_ONCE, shown).await;
    others.all_show(&stay, Status::Offline, DEADLINE).await;
    silence.took_away(&stay, &others, held);
    // The log loses what ended both, too.
    report_load::make_present(b, 0..changes).await;
    if changes > 0 {
        silence.was_trimmed(&cluster, 0);
    }
    until(HELD).await;

    let healed = clock.elapsed();
    cluster.link(0).set(Flow::Pass);
    let ended = async { (dan.goodbye().await.0, eva.goodbye().await.0) };
    let heals = async {
        let ended = timed_within("both are ended", ENDED_WITHIN, ended).await;
        assert_eq!(ended, (4003, 4010));
        let both_ended = clock.elapsed();
        others.all_show(&stay[1..], Status::Online, DEADLINE).await;
        others.all_show(&stay[..1], Status::DoNotDisturb, DEADLINE).await;
        all_show_the_same(&cluster, &all).await;
        both_ended
    };
    let both_ended = timed_within("all is right", RIGHT_WITHIN, heals).await;
    came_once(&others, &stay, healed);
    let everybody = [all.clone(), (0..changes).map(report_load::user).collect()].concat();
    // For longer than nobody else becomes OFFLINE (5 s).
    all_is_well(&recorders, &cluster.nodes(), &everybody).await;
    all_are_stored(&cluster, PostgresServer::shared(), &everybody).await;
    stayed_away(&recorders, &pollers, held, both_ended);
    user_is_unknown_everywhere(&cluster, "eva").await;
    others.are_current(held).await;
    own.were_stale_once(held, healed).await;
    drop(sockets);
}

/// How the sessions of a user end.
enum Ended {
    Kicked,
    Forgotten,
}

/// A node ends the one session of the user, which is at the one that is cut off: the others tell so at once.
async fn are_ended_elsewhere(node: &Daemon, user: &str, how: Ended, others: &Recorders) {
    let told = async {
        let ended = match how {
            Ended::Kicked => node.rest().kick(user).await,
            Ended::Forgotten => node.rest().forget(user).await,
        };
        assert_eq!(ended, 1);
        others.all_show(&[user], Status::Offline, DEADLINE).await;
    };
    let ((), took) = timed(told).await;
    assert!(took <= AT_ONCE, "{took:?}");
}

async fn says_that_it_may_be_out_of_date(node: &Daemon, user: &str) {
    let (what, rest) = ("the node that is cut off says so", node.rest());
    let says = async {
        wait_until(what, async || rest.record(user).await.stale.then_some(())).await;
        wait_until(what, async || {
            let ready = rest.get("/readyz").await;
            assert_eq!(ready.status, 200, "{}", ready.body);
            let warnings = ready.body["warnings"].to_string();
            warnings.contains("Redis can't be reached").then_some(())
        })
        .await;
    };
    timed_within(what, STALE_WITHIN, says).await;
}

/// No node tells that one whose session was ended elsewhere is back, and none shows so once the sessions have ended.
fn stayed_away(recorders: &Recorders, pollers: &[Poller], held: Duration, ended: Duration) {
    for user in ["dan", "eva"] {
        let changes = recorders.changes(user, held);
        let are_gone = changes.iter().all(|change| change.to == Status::Offline);
        assert!(are_gone && changes.len() == 3, "{changes:?}");
    }
    for poller in pollers {
        poller.was_answered_but_for(&[]);
        poller.never(&["dan", "eva"], Status::Online, ended, recorders.now());
    }
}

/// Nothing is left of the user anywhere.
async fn user_is_unknown_everywhere(cluster: &Cluster, user: &str) {
    for node in cluster.nodes() {
        let record = node.rest().record(user).await;
        assert!(record.last_seen.is_none() && record.since.is_none(), "{record:?}");
    }
}

/// On the other nodes all are back, each by one change.
fn came_once(others: &Recorders, users: &[String], healed: Duration) {
    for user in users {
        let changes = others.changes(user, healed);
        assert_eq!(changes.len(), 2, "{changes:?}");
    }
}
