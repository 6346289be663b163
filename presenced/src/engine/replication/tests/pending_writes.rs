//! What counts as not yet written.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use presence::{SessionName, Version};

use super::{INCARNATION, SharedNode, next_look, user};
use crate::engine::tests::fixture::DEADLINE;

impl SharedNode {
    async fn until_written(&self) {
        let waiting = async {
            while self.engine.pending_writes() > 0 {
                next_look().await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.expect("written in time");
    }

    /// How many writes are pending when a batch has been taken and the store has not answered.
    async fn pending_under_way(&self) -> u64 {
        let held = self.store.hold_commits();
        let mut writing = pin!(self.engine.write_replicated(self.shared()));
        let is_written = poll_fn(|context| Poll::Ready(writing.as_mut().poll(context).is_ready())).await;
        let pending = self.engine.pending_writes();
        drop(held);
        assert!(is_written || writing.await, "the store takes it");
        pending
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_the_store_has_not_answered_is_pending() {
    let node = SharedNode::start().await;
    let ann = user("ann");
    let (conn, _peer) = node.connect(&ann).await;
    let session = SessionName {
        run: INCARNATION.run(),
        session: conn.id(),
    };
    node.until_logged(&ann, session).await;
    node.until_written().await;
    node.engine.unwritten.push(ann.clone());
    assert_eq!(node.pending_under_way().await, 1, "a row");
    node.until_written().await;
    node.engine.unwritten.publish(ann, Version::new(1));
    assert_eq!(node.pending_under_way().await, 1, "a mark");
    node.until_written().await;
    node.stop().await;
}
