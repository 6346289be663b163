//! What one client can make the engine keep in memory, by reading nothing.

use presence::UserId;
use presence::wire::server_message::ServerMessage;

use super::fixture::user;
use super::stepped_engine::{Stepped, SteppedClient};

/// A client whose socket is full.
async fn client_that_reads_nothing(stepped: &Stepped) -> SteppedClient {
    let client = stepped.connect_with_room("slow", 64).await;
    client.conn.send_text(&"x".repeat(100));
    assert!(client.conn.blocked_since().is_some());
    client
}

fn named(count: usize, prefix: &str) -> Vec<UserId> {
    (0..count).map(|number| user(&format!("{prefix}-{number}"))).collect()
}

#[tokio::test]
async fn a_client_that_reads_nothing_keeps_none_in_memory_it_unwatched() {
    let stepped = Stepped::new().await;
    let slow = client_that_reads_nothing(&stepped).await;
    for turn in ["a", "b", "c"] {
        let users = named(100, turn);
        let watched = stepped.engine.watch(&slow.conn, None, users.clone(), None).await;
        watched.expect("a watch");
        assert!(users.iter().all(|user| stepped.engine.is_in_memory(user)));
        stepped.engine.unwatch(&slow.conn, &users);
        stepped.deliver();
        assert!(!users.iter().any(|user| stepped.engine.is_in_memory(user)));
    }
}

#[tokio::test]
async fn a_change_that_is_not_sent_keeps_none_in_memory_who_is_unwatched() {
    let stepped = Stepped::new().await;
    let slow = client_that_reads_nothing(&stepped).await;
    let ann = stepped.connect("ann").await;
    let watched = stepped.engine.watch(&slow.conn, None, vec![user("ann")], None).await;
    watched.expect("a watch");
    stepped.disconnect(&ann, presence::EndReason::Closed);
    stepped.write().await;
    assert!(stepped.engine.is_in_memory(&user("ann")));
    stepped.engine.unwatch(&slow.conn, &[user("ann")]);
    assert!(!stepped.engine.is_in_memory(&user("ann")));
}

#[tokio::test]
async fn a_user_that_unwatches_itself_is_still_sent_its_own_changes() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect("ann").await;
    stepped.watch(&ann, &["ann"]).await;
    stepped.engine.away(&ann.conn, None).expect("a session");
    stepped.engine.unwatch(&ann.conn, &[user("ann")]);
    stepped.deliver();
    assert_eq!(ann.told(), [("ann".to_owned(), Some(presence::Status::Idle))]);
}

#[tokio::test]
async fn a_snapshot_never_lists_who_took_the_place_of_an_unwatched_user() {
    let stepped = Stepped::new().await;
    let (watcher, _other) = (stepped.connect("watcher").await, stepped.connect("other").await);
    let users = named(50, "first");
    stepped
        .engine
        .watch(&watcher.conn, None, users.clone(), None)
        .await
        .expect("a watch");
    stepped.engine.unwatch(&watcher.conn, &users);
    stepped.engine.users.sweep();
    // Their places are taken by others, of whom the watcher knows nothing.
    let others = stepped.connect("third").await;
    stepped
        .engine
        .watch(&others.conn, None, named(200, "second"), None)
        .await
        .expect("a watch");
    stepped.deliver();
    let listed: Vec<usize> = watcher
        .messages()
        .iter()
        .filter_map(|message| match message {
            ServerMessage::Snapshot { users, .. } => Some(users.len()),
            _ => None,
        })
        .collect();
    assert_eq!(listed, [0]);
}
