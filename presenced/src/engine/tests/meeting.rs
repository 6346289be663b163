//! Many users connect at once and watch each other: what that costs the store, and that nobody is missed.

use futures_util::future::join_all;
use presence::wire::record::Update;
use presence::wire::server_message::ServerMessage;
use presence::{Status, UserId};

use super::fixture::user;
use super::stepped_engine::{Stepped, SteppedClient};

const USERS: usize = 300;

async fn connect_and_watch(stepped: &Stepped, number: usize, all: &[UserId]) -> SteppedClient {
    let client = stepped.connect(&format!("user-{number}")).await;
    let watched = stepped.engine.watch(&client.conn, None, all.to_vec(), None).await;
    watched.expect("a watch");
    client
}

#[tokio::test]
async fn users_who_connect_at_once_and_watch_each_other_are_read_once() {
    let stepped = Stepped::new().await;
    let all: Vec<UserId> = (0..USERS).map(|number| user(&format!("user-{number}"))).collect();
    let (users, requests) = (stepped.store.read_count(), stepped.store.read_requests());
    let clients = join_all((0..USERS).map(|number| connect_and_watch(&stepped, number, &all))).await;
    assert_eq!(stepped.store.read_count() - users, USERS as u64);
    assert_eq!(
        stepped.store.read_requests() - requests,
        5,
        "64 users each, and the rest"
    );
    stepped.deliver();
    for client in &clients {
        let mut seen: Vec<String> = client.messages().into_iter().flat_map(statuses).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), USERS);
    }
}

/// The users that a message tells to be ONLINE; it tells of no others.
fn statuses(message: ServerMessage) -> Vec<String> {
    let (ServerMessage::Snapshot { users, .. } | ServerMessage::Presence { users, .. }) = message else {
        return Vec::new();
    };
    let online = users.into_iter().map(|update| match update {
        Update::Record(record) if record.status == Status::Online => record.user_id.to_string(),
        other => panic!("{other:?}"),
    });
    online.collect()
}
