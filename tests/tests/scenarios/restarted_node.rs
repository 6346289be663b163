//! A node that is killed and started again at once, under the same name and on the same data directory: nothing of its earlier
//! life remains, and its clients notice no more than a lost connection.

use std::ops::RangeInclusive;
use std::time::Duration;

use presence::wire::record::Record;
use presence::wire::rest::QueryResponse;
use presence::{Status, Wall};
use presence_tests::clock::wall_now;
use presence_tests::cluster::Cluster;
use presence_tests::recorder::Recorders;
use presence_tests::wait::{DEADLINE, wait_for, wait_until};

use crate::scene::{Scene, connect, named, seconds};
use crate::stored::read_states;

/// Clients that come back to the node, as many that go to another one, and as many that stay away.
const EACH: usize = 40;
/// The default of `--restart-grace`.
const RESTART_GRACE: Duration = Duration::from_secs(30);
/// What nodes take after the grace period: 0.2 s, a moment of their own within a second, and a busy machine.
const CLEAN_UP: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_remains_of_the_earlier_life_of_a_node() {
    let mut scene = Scene::start(&[]).await;
    let (back, moved, gone) = (named("back", EACH), named("moved", EACH), named("gone", EACH));
    let all = [back.as_slice(), &moved, &gone].concat();
    let before = connect(&scene.cluster.a, &all).await;
    scene.all_are_online(&all).await;
    scene.poll(&all);
    let earlier = incarnations_of(&scene.cluster, "a").await;

    let (died, began) = (wall_now(), scene.now());
    scene.cluster.a.kill();
    scene.cluster.a.start_again().await;
    let started = scene.now();
    let on_a = connect(&scene.cluster.a, &back).await;
    let on_b = connect(&scene.cluster.b, &moved).await;
    drop(before);
    // From its start on it is one node, with the connections of its present life alone.
    let nodes = scene.cluster.nodes();
    let later = wait_for("it is listed by its present life", seconds(10), async || {
        let later = incarnations_of(&scene.cluster, "a").await;
        (later.len() == 1 && later != earlier).then_some(later)
    })
    .await;
    assert_eq!(scene.cluster.registrations(), [3; 16]);
    for (users, node) in [(&back, "a"), (&moved, "b")] {
        wait_until("the sessions of before were taken over", async || {
            let mut records = Vec::new();
            for each in nodes {
                let answer: QueryResponse = each.rest().query(users).await.ok();
                records.extend(answer.users);
            }
            let is_here = |record: &Record| {
                (record.sessions, record.nodes.as_deref()) == (Some(1), Some([node.to_owned()].as_slice()))
            };
            records.iter().all(is_here).then_some(())
        })
        .await;
    }

    let others = scene.recorders.of(&["b", "c"]);
    let in_time = began + RESTART_GRACE..=started + RESTART_GRACE + CLEAN_UP;
    others.all_show(&gone, Status::Offline, RESTART_GRACE + DEADLINE).await;
    left_once(&others, &gone, began, in_time, died);
    let stayed = [back.as_slice(), &moved].concat();
    others.no_change(&stayed, began);
    for node in ["b", "c"] {
        scene.poller(node).never(&stayed, Status::Offline, began, scene.now());
        scene.poller(node).was_answered_but_for(&[]);
    }
    let is_away = began.saturating_sub(seconds(1))..started + seconds(1);
    scene.poller("a").was_answered_but_for(&[is_away]);
    wait_for("no state names its earlier life", seconds(10), async || {
        let named = all_contributors(&scene.cluster).await;
        let is_earlier = named.iter().any(|one| earlier.contains(one));
        (!is_earlier && later.iter().all(|one| named.contains(one))).then_some(())
    })
    .await;
    scene.online_is(&stayed).await;
    scene.all_is_well(&nodes, &all).await;
    others.no_change(&stayed, began);
    drop((on_a, on_b));
}

/// These users became OFFLINE once on each of the nodes, in time, and were last seen before their node died.
fn left_once(nodes: &Recorders, users: &[String], began: Duration, in_time: RangeInclusive<Duration>, died: Wall) {
    for user in users {
        let changes = nodes.changes(user, began);
        assert_eq!(changes.len(), 2, "{changes:?}");
        for change in changes {
            let record = change.record.as_ref().expect("a record");
            let last_seen = record.last_seen.expect("a time");
            assert!(last_seen <= died, "{record:?}, died at {died:?}");
            let late = nodes.late_between(*in_time.start(), change.at);
            let is_in_time = (*in_time.start()..=*in_time.end() + late).contains(&change.at);
            assert!(is_in_time, "not in {in_time:?}, {late:?} late: {change:?}");
        }
    }
}

/// The runs by which the nodes know the node with this name.
async fn incarnations_of(cluster: &Cluster, name: &str) -> Vec<String> {
    let mut all = Vec::new();
    for node in cluster.nodes() {
        let nodes = node.rest().nodes().await.nodes;
        all.extend(
            nodes
                .into_iter()
                .filter(|node| node.name == name)
                .map(|node| node.incarnation),
        );
    }
    all.sort();
    all.dedup();
    all
}

/// The runs that contribute to some user's state, as Redis has it.
async fn all_contributors(cluster: &Cluster) -> Vec<String> {
    let states = read_states(cluster).await;
    let shares = states.values().flat_map(|(_, state)| &state.contributions);
    let all: Vec<String> = shares.map(|share| share.incarnation.to_string()).collect();
    assert!(!all.is_empty(), "states of present users");
    all
}
