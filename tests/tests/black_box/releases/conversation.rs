//! What a client of the release asks and is told, over REST and WebSockets.

use super::archive;
use super::steps::Taker;

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_conversation_is_still_answered_with_the_same_fields() {
    let daemon = archive::daemon().await;
    let steps = archive::json("conversation.json");
    assert!(steps.as_array().unwrap().len() > 60);
    let found = Taker::new(&daemon).take_all(&steps).await;
    assert!(found.is_empty(), "{found:#?}");
}
