//! Redis comes back empty, one node has died before, and another starts right after, before the others are back.

use std::ops::RangeInclusive;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use presence::wire::record::Record;
use presence::{Status, Wall};
use presence_tests::clock::wall_now;
use presence_tests::lister::Lister;
use presence_tests::proxy::Flow;
use presence_tests::recorder::{Change, Recorders};
use presence_tests::{DEADLINE, Daemon};
use serde_json::json;

use crate::scene::{Scene, connect, named, seconds};

/// Requests under way at once.
const REQUESTS: usize = 16;

/// Everybody who is present before, by what happens to them.
struct Users {
    /// With connections to a and b, which stay.
    on_a: Vec<String>,
    on_b: Vec<String>,
    /// With connections to the node that dies: some come back elsewhere.
    gone: Vec<String>,
    moved: Vec<String>,
    /// With a report alone: some end in the outage.
    reported: Vec<String>,
    ended: Vec<String>,
}

impl Users {
    fn living(&self) -> Vec<String> {
        [&self.on_a, &self.on_b, &self.moved, &self.reported]
            .map(Vec::as_slice)
            .concat()
    }

    fn all(&self) -> Vec<String> {
        [self.living(), self.gone.clone(), self.ended.clone()].concat()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_redis_and_a_dead_node_take_no_other_users_away() {
    let mut scene = Scene::start(&[]).await;
    let users = Users {
        on_a: named("on-a", 350),
        on_b: named("on-b", 350),
        gone: named("gone", 200),
        moved: named("moved", 100),
        reported: named("reported", 450),
        ended: named("ended", 50),
    };
    let _on_a = connect(&scene.cluster.a, &users.on_a).await;
    let _on_b = connect(&scene.cluster.b, &users.on_b).await;
    let _gone = connect(&scene.cluster.c, &users.gone).await;
    let _before = connect(&scene.cluster.c, &users.moved).await;
    for (node, some) in scene.cluster.nodes().iter().zip(users.reported.chunks(150)) {
        report(node, some, "ONLINE").await;
    }
    report(&scene.cluster.b, &users.ended, "ONLINE").await;
    scene.all_are_online(&users.all()).await;
    scene.poll(&users.all());

    let (died, began) = (wall_now(), scene.now());
    scene.cluster.c.kill();
    scene.until(began + seconds(1)).await;
    let lost = scene.now();
    scene.cluster.redis().kill();
    scene.until(began + seconds(3)).await;
    let _moved = connect(&scene.cluster.a, &users.moved).await;
    report(&scene.cluster.b, &users.ended[..25], "OFFLINE").await;
    report(&scene.cluster.a, &users.ended[25..], "OFFLINE").await;
    scene.until(began + seconds(11)).await;
    let over = scene.now();
    // The others come back later than the new node begins.
    (0..2).for_each(|node| scene.cluster.link(node).set(Flow::Hold));
    scene.cluster.redis().start_again();
    let returned = scene.now();
    scene.until(returned + seconds(1)).await;
    let d = scene.start_further("d").await;
    let lister = Lister::start(scene.recorders.clock(), "d", &d);
    shows_the_living(&d, &users.living()).await;
    lister.lists_again(scene.recorders.clock()).await;
    (0..2).for_each(|node| scene.cluster.link(node).set(Flow::Pass));

    let nodes = [&scene.cluster.a, &scene.cluster.b, &d];
    are_told(&scene, &users, returned, died).await;
    scene.recorders.of(&["a", "b"]).no_change(&users.living(), began);
    for node in ["a", "b"] {
        let poller = scene.poller(node);
        poller.never(&users.living(), Status::Offline, began, scene.now());
        poller.was_answered_but_for(&[]);
    }
    let is_dead = began.saturating_sub(seconds(1))..Duration::MAX;
    scene.poller("c").was_answered_but_for(&[is_dead]);
    scene.online_is(&users.living()).await;
    scene.all_is_well(&nodes, &users.all()).await;
    scene.recorders.of(&["a", "b"]).no_change(&users.living(), began);
    scene.recorders.of(&["a", "b"]).were_stale_once(lost, over).await;
    never_shown_as_offline(&scene, &users.living());
    lister.never_twice();
    assert_ne!(lister.always_had(&users.living(), began, scene.now()), 0);
}

/// The new node shows nobody of these as OFFLINE.
async fn shows_the_living(node: &Daemon, living: &[String]) {
    for some in living.chunks(1_000) {
        let answer = node.rest().query(some).await;
        let records: Vec<Record> = serde_json::from_value(answer.body["users"].clone()).expect("records");
        let wrong: Vec<_> = records.iter().filter(|one| one.status == Status::Offline).collect();
        assert!(wrong.is_empty(), "{} of {}: {wrong:?}", wrong.len(), some.len());
    }
}

/// Its observer was never told that one of these is OFFLINE, also by not being told of them.
fn never_shown_as_offline(scene: &Scene, living: &[String]) {
    let recorder = scene.recorders.of(&["d"]);
    for user in living {
        let changes = recorder.changes(user, Duration::ZERO);
        let is_told_once = matches!(&changes[..], [change] if change.to == Status::Online);
        assert!(is_told_once, "{user}: {changes:?}");
    }
}

/// Those whose reports ended are OFFLINE soon after the return, those of the dead node after its lease and grace, with times
/// of before it died.
async fn are_told(scene: &Scene, users: &Users, returned: Duration, died: Wall) {
    let all = scene.recorders.of(&["a", "b", "d"]);
    all.all_show(&users.ended, Status::Offline, DEADLINE).await;
    all.all_show(&users.gone, Status::Offline, seconds(60)).await;
    let told_once = scene.recorders.of(&["a", "b"]);
    for user in &users.ended {
        let changes = told_once.changes(user, Duration::ZERO);
        was_told_within(&changes, &told_once, returned, Duration::ZERO..=seconds(15));
    }
    for user in &users.gone {
        let changes = told_once.changes(user, Duration::ZERO);
        was_told_within(&changes, &told_once, returned, seconds(27)..=seconds(40));
        for change in changes {
            let record = change.record.expect("a record");
            let last_seen = record.last_seen.expect("a time");
            assert!(last_seen <= died, "{record:?}, died at {died:?}");
        }
    }
}

/// The two recorders were told once that the user came, and once so long after the return that it left.
fn was_told_within(changes: &[Change], told: &Recorders, returned: Duration, after: RangeInclusive<Duration>) {
    let left: Vec<_> = changes.iter().filter(|change| change.to == Status::Offline).collect();
    let is_in_time = |change: &&Change| {
        let late = told.late_between(returned, change.at);
        (returned + *after.start()..=returned + *after.end() + late).contains(&change.at)
    };
    assert!(
        changes.len() == 4 && left.len() == 2 && left.iter().all(is_in_time),
        "{after:?} after {returned:?}: {changes:#?}"
    );
}

/// Reports this of each of the users to the node, which takes it.
async fn report(node: &Daemon, users: &[String], status: &str) {
    let rest = node.rest();
    let reports = stream::iter(users).map(|user| rest.report(user, json!({"status": status})));
    let answers: Vec<_> = reports.buffered(REQUESTS).collect().await;
    for answer in answers {
        answer.ok::<Record>();
    }
}
