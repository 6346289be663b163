//! A custom status that a node has acknowledged, and could tell nobody before it died.

use std::time::Duration;

use presence::Status;
use presence::wire::record::Record;
use presence::wire::server_message::ServerMessage;
use presence_tests::DEADLINE;
use presence_tests::postgres_server::PostgresServer;
use presence_tests::proxy::Flow;
use presence_tests::wait::{let_time_pass, timed, timed_within, wait_until};

use crate::scene::{Scene, seconds};

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_status_of_a_dying_node_is_shown() {
    let mut scene = Scene::start(&[]).await;
    let mut ann = scene.cluster.b.socket("ann").await;
    let users = ["ann".to_owned()];
    scene.all_are_online(&users).await;
    scene.poll(&users);

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

    let others = scene.recorders.of(&["b", "c"]);
    let are_told = async {
        let ann_is_told = ann.wait_for_status("ann", Status::DoNotDisturb);
        let others_are = others.all_show(&users, Status::DoNotDisturb, DEADLINE);
        tokio::join!(ann_is_told, others_are)
    };
    let (record, ()) = timed_within("ann and the others are told", seconds(20), are_told).await;
    let told = scene.now();
    row_is_right(&scene, &record).await;

    scene.cluster.a.start_again().await;
    scene.recorders.all_show(&users, Status::DoNotDisturb, DEADLINE).await;
    scene.until(scene.now() + seconds(20)).await;
    others.no_change(&users, told);
    others.are_current(held).await;
    assert_eq!(
        others.changes("ann", held).len(),
        2,
        "{:?}",
        others.changes("ann", held)
    );
    row_is_right(&scene, &record).await;
    for node in ["b", "c"] {
        scene.poller(node).was_answered_but_for(&[]);
    }
    scene
        .poller("a")
        .was_answered_but_for(&[died.saturating_sub(seconds(1))..told + seconds(10)]);
    scene.all_is_well(&scene.cluster.nodes(), &users).await;
    let mut unread = ann.unseen();
    // A node that the machine gives no time says so.
    unread.retain(|message| !matches!(message, ServerMessage::Stale { .. }));
    assert!(unread.is_empty(), "{unread:?}");
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
