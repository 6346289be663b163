//! Places of lost sessions that connections of a node claim.

use std::sync::Arc;

use presence::replication::Effect;
use presence::{EndReason, SessionName, UserId};
use tokio::net::{TcpListener, TcpStream};

use super::{INCARNATION, SharedNode, user};
use crate::connection::Connection;
use crate::engine::tests::fixture::DEADLINE;
use crate::revocation::NotedRevocations;

impl SharedNode {
    /// A connection of the user, with the client's end.
    pub(super) async fn connect(&self, user: &UserId) -> (Arc<Connection>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let peer = TcpStream::connect(address).await.expect("a socket");
        let (socket, _) = listener.accept().await.expect("a connection");
        let (session, context) = (self.engine.new_session(), self.engine.connection_context());
        let conn = Connection::new(socket, session, Some(user.clone()), context);
        let connected = self.engine.connect(user, &conn, NotedRevocations::default()).await;
        connected.expect("not too many sessions");
        (conn, peer)
    }

    pub(super) async fn until_logged(&self, user: &UserId, of: SessionName) {
        let partition = self.shared().partition_of(user);
        let has_place = || {
            partition
                .machine()
                .copied(user)
                .is_some_and(|(_, state)| state.has_place(of))
        };
        let waiting = async {
            while !has_place() {
                partition.wait_for_log(user).await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.expect("an entry in time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_refused_gives_its_claim_back() {
    let node = SharedNode::start().await;
    let ann = user("ann");
    let (lost, _lost) = node.connect(&ann).await;
    let (newest, _newest) = node.connect(&ann).await;
    let of = SessionName {
        run: INCARNATION.run(),
        session: lost.id(),
    };
    node.until_logged(&ann, of).await;
    let partition = node.shared().partition_of(&ann);
    let claims = || partition.machine().claim_own_place(&ann, of, newest.id(), None);
    assert!(claims());
    assert!(!claims(), "it is claimed");
    node.carry_out(Effect::Refuse(ann.clone()));
    assert!(claims(), "it is free again");
    node.stop().await;
}

/// On one thread: the log decides nothing between two steps that don't wait.
#[tokio::test]
async fn a_session_that_is_refused_gives_the_place_back_that_it_took() {
    let node = SharedNode::start().await;
    let ann = user("ann");
    let (lost, _lost) = node.connect(&ann).await;
    let of = SessionName {
        run: INCARNATION.run(),
        session: lost.id(),
    };
    node.until_logged(&ann, of).await;
    node.engine.disconnect(&lost, EndReason::Lost);
    let (newest, _newest) = node.connect(&ann).await;
    let grace = || node.engine.users.find(&ann).and_then(|entry| entry.state.grace());
    let before = grace().expect("a grace period");
    let resumed = node.engine.resume(&newest, Some(of)).expect("a session");
    assert!(resumed.is_resumed);
    assert_eq!(grace(), None);
    node.carry_out(Effect::Refuse(ann.clone()));
    assert_eq!(grace(), Some(before));
    node.stop().await;
}
