//! What is read of a user on the node that made a change, before the log has it.

use presence::wire::record::{Record, Viewer};
use presence::{Actor, CustomStatus, Status};

use super::{SharedNode, user};
use crate::engine::tests::fixture::DEADLINE;

#[tokio::test(flavor = "multi_thread")]
async fn a_read_of_a_change_that_the_log_lacks_has_it_and_is_stale() {
    let node = SharedNode::start().await;
    let (ann, bob) = (user("ann"), user("bob"));
    let (_conn, _peer) = node.connect(&ann).await;
    let engine = &node.engine;
    let read = async || engine.record(&ann, Viewer::Internal).await.expect("a record");
    let logged = async || {
        let reading = async {
            loop {
                let record = read().await;
                if !record.stale {
                    return record;
                }
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("the log has it")
    };
    let before = logged().await;
    // Redis is silent from here on; for the first 2 s the partition counts as reachable.
    node.server.command(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let custom = CustomStatus::DoNotDisturb;
    let written = engine
        .set_custom_status(&ann, custom, Actor::User, Viewer::Internal)
        .await;
    let written = written.expect("the database has it");
    let shown = |record: &Record| {
        (
            record.status,
            record.custom_status,
            record.sessions,
            record.stale,
            record.revision,
        )
    };
    let changed = (Status::DoNotDisturb, Some(custom), Some(1), true, before.revision);
    assert_eq!(shown(&written), changed);
    assert_eq!(shown(&read().await), changed);
    let listed = engine.records(&[bob, ann.clone()], Viewer::Internal, None).await;
    let listed = listed.expect("records");
    assert_eq!(shown(&listed[1]), changed);
    assert_eq!(listed[0].status, Status::Offline);
    assert_eq!(engine.custom_status(&ann).await.expect("a record"), custom);
    node.server.command(&["CLIENT", "UNPAUSE"]).await;
    let logged = logged().await;
    assert_eq!(logged.status, Status::DoNotDisturb);
    assert!(logged.revision > before.revision, "{logged:?}");
    node.stop().await;
}
