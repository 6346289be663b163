//! A user who leaves while Redis is away.

use std::ops::RangeInclusive;
use std::time::Duration;

use presence::{Status, Wall};
use presence_tests::clock::wall_now;
use presence_tests::wait::timed_within;
use presence_tests::{DEADLINE, Daemon, Socket, wait_until};

use crate::scene::{Scene, seconds};

/// How long Redis is away.
const AWAY: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_leaves_in_an_outage_is_offline_after_it() {
    let mut scene = Scene::start(&[]).await;
    let cem = scene.cluster.a.socket("cem").await;
    let stays = scene.cluster.b.socket("stays").await;
    let users = ["cem".to_owned(), "stays".to_owned()];
    scene.all_are_online(&users).await;
    scene.poll(&users);

    let began = scene.now();
    scene.redis_process.stop();
    scene.until(began + seconds(5)).await;
    let closed = close(cem).await;
    scene.until(began + AWAY).await;
    let returned = scene.now();
    scene.redis_process.resume();
    let is_told = scene.recorders.all_show(&users[..1], Status::Offline, DEADLINE);
    timed_within("cem is OFFLINE", seconds(10), is_told).await;
    left_once(&scene, &["a", "b", "c"], returned, &closed);
    let nodes = scene.cluster.nodes();
    rest_says_when(&nodes, &closed).await;
    for node in ["a", "b", "c"] {
        scene.poller(node).was_answered_but_for(&[]);
        scene.poller(node).never(&["cem"], Status::Offline, began, returned);
        scene
            .poller(node)
            .never(&["stays"], Status::Offline, began, scene.now());
    }
    scene.all_is_well(&nodes, &users).await;
    left_once(&scene, &["a", "b", "c"], returned, &closed);
    scene.recorders.no_change(&["stays"], began);
    scene.recorders.were_stale_once(began, returned).await;
    scene.online_is(&users[1..]).await;
    drop(stays);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_leaves_in_an_outage_is_offline_though_the_node_stops() {
    let mut scene = Scene::start(&[]).await;
    let cem = scene.cluster.a.socket("cem").await;
    let stays = scene.cluster.b.socket("stays").await;
    let users = ["cem".to_owned(), "stays".to_owned()];
    scene.all_are_online(&users).await;
    scene.poll(&users);

    let began = scene.now();
    scene.redis_process.stop();
    scene.until(began + seconds(5)).await;
    let closed = close(cem).await;
    scene.until(began + seconds(10)).await;
    let ends = scene.now().saturating_sub(seconds(1));
    let status = timed_within("a ends", seconds(10), scene.cluster.a.terminate()).await;
    assert_eq!(status.code(), Some(0));
    scene.until(began + AWAY).await;
    let returned = scene.now();
    scene.redis_process.resume();
    let others = scene.recorders.of(&["b", "c"]);
    let is_told = others.all_show(&users[..1], Status::Offline, seconds(45) + DEADLINE);
    timed_within("cem is OFFLINE", seconds(45), is_told).await;
    left_once(&scene, &["b", "c"], returned, &closed);
    scene.poller("a").was_answered_but_for(&[ends..Duration::MAX]);
    let nodes = [&scene.cluster.b, &scene.cluster.c];
    rest_says_when(&nodes, &closed).await;
    for node in ["b", "c"] {
        scene.poller(node).was_answered_but_for(&[]);
        scene.poller(node).never(&["cem"], Status::Offline, began, returned);
        scene
            .poller(node)
            .never(&["stays"], Status::Offline, began, scene.now());
    }
    scene.all_is_well(&nodes, &users).await;
    left_once(&scene, &["b", "c"], returned, &closed);
    others.no_change(&["stays"], began);
    others.were_stale_once(began, returned).await;
    scene.online_is(&users[1..]).await;
    drop(stays);
}

/// These nodes told one change of cem, after the return of Redis, with the times of the close.
fn left_once(scene: &Scene, nodes: &[&str], returned: Duration, closed: &RangeInclusive<Wall>) {
    for node in nodes {
        let changes = scene.recorders.of(&[node]).changes("cem", seconds(0));
        let [_, left] = changes.as_slice() else {
            panic!("not one change of cem: {changes:#?}");
        };
        assert!(left.to == Status::Offline && left.at >= returned, "{left:?}");
        let record = left.record.as_ref().expect("a record");
        are_about(&[record.last_seen, record.last_active], closed);
    }
}

async fn rest_says_when(nodes: &[&Daemon], closed: &RangeInclusive<Wall>) {
    for node in nodes {
        let record = wait_until("cem is OFFLINE", async || {
            let record = node.rest().record("cem").await;
            (record.status == Status::Offline).then_some(record)
        })
        .await;
        assert_eq!(record.last_seen, record.last_active);
        are_about(&[record.last_seen, record.last_active], closed);
    }
}

/// Closes the connection. When that was: from before it to when the node had answered.
async fn close(socket: Socket) -> RangeInclusive<Wall> {
    let from = wall_now();
    socket.close(Some(1000)).await;
    from..=wall_now()
}

/// Each time is within a second of these.
fn are_about(times: &[Option<Wall>], expected: &RangeInclusive<Wall>) {
    let from = expected.start().as_millis() - 1_000;
    let to = expected.end().as_millis() + 1_000;
    for time in times {
        let time = time.expect("a time");
        assert!(
            (from..=to).contains(&time.as_millis()),
            "{time:?} is not about {expected:?}"
        );
    }
}
