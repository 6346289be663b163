//! HTTP connections of a daemon that stood still for longer than it waits for their clients.

use std::time::Duration;

use futures_util::future::join_all;
use presence_tests::wait::let_time_pass;
use presence_tests::{Daemon, RawClient};

/// What the daemon waits for at most, in each of the ways below.
const TIMES: [&str; 6] = [
    "--http-idle-timeout",
    "5s",
    "--handshake-timeout",
    "5s",
    "--message-timeout",
    "5s",
];
/// The daemon stands still for longer than that.
const STOPPED: Duration = Duration::from_secs(6);
/// Connections of each kind.
const EACH: usize = 10;

/// A request that is cut in two: what is sent before the daemon stands still, and the rest.
async fn begun(daemon: &Daemon, request: &str, before: usize) -> (RawClient, String) {
    let mut client = RawClient::connect(daemon.address_of_node()).await;
    assert!(client.send(&request[..before]).await);
    (client, request[before..].to_owned())
}

/// A connection that is idle after its first request, and the second one.
async fn idle(daemon: &Daemon, request: &str) -> (RawClient, String) {
    let mut client = RawClient::connect(daemon.address_of_node()).await;
    assert!(client.send(request).await);
    assert_eq!(client.response().await.status, 200);
    (client, request.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_sent_in_time_to_a_stalled_daemon_are_answered() {
    let daemon = Daemon::start(&TIMES).await;
    let get = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let body = r#"{"customStatus":"IDLE"}"#;
    let put = format!(
        "PUT /api/user/custom-status HTTP/1.1\r\nhost: localhost\r\nx-user-id: alice\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut clients = Vec::new();
    for _ in 0..EACH {
        clients.push(("idle", idle(&daemon, get).await));
        clients.push(("a head", begun(&daemon, get, 10).await));
        clients.push(("a body", begun(&daemon, &put, put.len() - 5).await));
        clients.push(("nothing", begun(&daemon, get, 0).await));
    }
    daemon.process().stop();
    for (_, (client, rest)) in &mut clients {
        assert!(client.send(rest.as_bytes()).await);
    }
    let_time_pass(STOPPED).await;
    daemon.process().resume();
    let answers = clients
        .iter_mut()
        .map(async |(kind, (client, _))| (*kind, client.response().await.status));
    let answers = join_all(answers).await;
    assert!(answers.iter().all(|(_, status)| *status == 200), "{answers:?}");
}
