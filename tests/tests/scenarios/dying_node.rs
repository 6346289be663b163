//! A node that is killed: the custom status that it has acknowledged and could tell nobody before it died, and its users, some of
//! whom come back elsewhere.

use std::ops::Range;
use std::time::Duration;

use presence::Status;
use presence::wire::record::Record;
use presence::wire::server_message::ServerMessage;
use presence_tests::DEADLINE;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::proxy::Flow;
use presence_tests::wait::{let_time_pass, timed, timed_within, wait_until};

use crate::scene::{Scene, connect, named, seconds};
use crate::silence::{Silence, partitions_of_all};

/// Users of the node that dies who come back elsewhere, and as many who don't.
const EACH: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_status_of_a_dying_node_is_shown() {
    let mut scene = Scene::start(&[]).await;
    let mut ann = scene.cluster.b.socket("ann").await;
    let users = ["ann".to_owned()];
    let (moved, gone) = (named("moved", EACH), named("gone", EACH));
    let all = [users.as_slice(), &moved, &gone].concat();
    let before = connect(&scene.cluster.a, &all[1..]).await;
    scene.all_are_online(&all).await;
    scene.poll(&all);
    let partitions = partitions_of_all(&scene.cluster);

    let rest = scene.cluster.a.rest();
    // Both connections, to the node and from it to the database, are open then.
    rest.set_custom_status("bob", "IDLE").await.ok::<Record>();
    scene.cluster.link(0).set(Flow::Hold);
    let held = scene.now();
    let (set, took) = timed(rest.set_custom_status("ann", "DO_NOT_DISTURB")).await;
    assert!(took <= Duration::from_millis(500), "{took:?}");
    let set: Record = set.ok();
    assert_eq!(set.status, Status::DoNotDisturb);
    let_time_pass(Duration::from_millis(50)).await;
    let died = scene.now();
    scene.cluster.a.kill();
    scene.cluster.link(0).drop_held();
    scene.cluster.link(0).set(Flow::Pass);
    let silence = Silence::of("a", &scene.cluster, &scene.cluster.b, partitions).await;
    drop(before);
    let (on_b, on_c) = moved.split_at(EACH / 2);
    let back = (
        connect(&scene.cluster.b, on_b).await,
        connect(&scene.cluster.c, on_c).await,
    );

    let others = scene.recorders.of(&["b", "c"]);
    let are_told = async {
        let ann_is_told = ann.wait_for_status("ann", Status::DoNotDisturb);
        let others_are = others.all_show(&users, Status::DoNotDisturb, DEADLINE);
        tokio::join!(ann_is_told, others_are)
    };
    let (record, ()) = timed_within("ann and the others are told", seconds(20), are_told).await;
    let told = scene.now();
    row_is_right(&scene, &record).await;
    others.all_show(&gone, Status::Offline, DEADLINE).await;
    silence.took_away(&gone, &others, died);

    scene.cluster.a.start_again().await;
    let started = scene.now();
    scene.recorders.all_show(&users, Status::DoNotDisturb, DEADLINE).await;
    scene.until(scene.now() + seconds(20)).await;
    others.no_change(&users, told);
    others.no_change(&moved, died);
    others.no_change(&gone, started);
    others.are_current(held).await;
    let changes = others.changes("ann", held);
    assert_eq!(changes.len(), 2, "{changes:?}");
    row_is_right(&scene, &record).await;
    was_answered(&scene, &moved, died..started);
    scene.all_is_well(&scene.cluster.nodes(), &all).await;
    let mut unread = ann.unseen();
    // A node that the machine gives no time says so.
    unread.retain(|message| !matches!(message, ServerMessage::Stale { .. }));
    assert!(unread.is_empty(), "{unread:?}");
    drop(back);
}

/// Every request was answered but by the node that was dead then, and who moved was not shown as OFFLINE.
fn was_answered(scene: &Scene, moved: &[String], dead: Range<Duration>) {
    for node in ["b", "c"] {
        scene.poller(node).was_answered_but_for(&[]);
        scene
            .poller(node)
            .never(moved, Status::Offline, dead.start, scene.now());
    }
    let is_away = dead.start.saturating_sub(seconds(1))..dead.end + seconds(1);
    scene.poller("a").was_answered_but_for(&[is_away]);
}

/// The database has what was told, and knows that it was.
async fn row_is_right(scene: &Scene, record: &Record) {
    let select = "SELECT status, custom_status, revision, unpublished IS NULL FROM profile WHERE user_id = 'ann'";
    let revision = record.revision.get();
    let expected = format!("DO_NOT_DISTURB|DO_NOT_DISTURB|{revision}|t");
    wait_until("the row is as told", async || {
        let row = PostgresServer::shared().sql(scene.cluster.rows(), select);
        (row == expected).then_some(())
    })
    .await;
}
