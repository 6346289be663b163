//! How a server stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::fixture::{DEADLINE, ServerFixture, times, within};
use crate::limits::Limits;
use crate::server::{Drained, Servers};
use crate::vital::tests::{abort_in_a_process, outlive_no_panic};

/// A handshake that the server answers.
const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

#[tokio::test]
async fn a_stop_finishes_requests_in_progress_and_accepts_none() {
    // No other time limit ends the idle ones first.
    let server = ServerFixture::start(times(60_000, 60_000));
    let address = server.server.local_addr();
    let (mut busy, mut idle, mut silent) = (server.connect().await, server.connect().await, server.connect().await);
    assert!(idle.ask("/hello").await.ends_with("hello"));
    busy.send("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    within(server.asked.notified()).await;
    let go = Arc::clone(&server.go);
    let stopping = tokio::spawn(server.server.stop(DEADLINE));
    assert_eq!(idle.until_closed().await, b"");
    assert_eq!(silent.until_closed().await, b"");
    assert!(TcpStream::connect(address).await.is_err());
    assert!(!stopping.is_finished());
    go.add_permits(1);
    assert!(busy.response().await.ends_with("at last"));
    assert_eq!(within(stopping).await.unwrap(), Drained::All);
}

#[tokio::test]
async fn a_stop_drops_requests_that_take_too_long() {
    let server = ServerFixture::start(Limits::default());
    let mut busy = server.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    within(server.asked.notified()).await;
    assert_eq!(
        within(server.server.stop(Duration::from_millis(50))).await,
        Drained::Cut
    );
    assert_eq!(busy.until_closed().await, b"");
}

#[tokio::test]
async fn all_servers_stop_accepting_and_finish_what_they_have() {
    let (first, second) = (
        ServerFixture::start(Limits::default()),
        ServerFixture::start(Limits::default()),
    );
    let addresses = [first.server.local_addr(), second.server.local_addr()];
    let mut clients = [first.connect().await, second.connect().await];
    for (server, client) in [&first, &second].into_iter().zip(&mut clients) {
        client.send("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        within(server.asked.notified()).await;
    }
    let go = [first.go, second.go];
    let stopping = tokio::spawn(Servers(vec![first.server, second.server]).stop(DEADLINE));
    for address in addresses {
        within(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    }
    for (go, client) in go.iter().zip(&mut clients) {
        assert!(!stopping.is_finished(), "a request is not finished");
        go.add_permits(1);
        assert!(client.response().await.ends_with("at last"));
    }
    within(stopping).await.unwrap();
}

#[tokio::test]
async fn a_drain_ends_with_the_last_request_and_upgraded_connection() {
    let mut fixture = ServerFixture::start(Limits::default());
    let address = fixture.server.local_addr();
    let mut client = fixture.connect().await;
    client.send(UPGRADE).await;
    let upgraded = within(fixture.upgraded.recv()).await.unwrap();
    let mut busy = fixture.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    within(fixture.asked.notified()).await;
    let metrics = fixture.metrics.clone();
    let servers = Servers(vec![fixture.server]);
    let draining = tokio::spawn(async move { servers.drain(&metrics, DEADLINE).await });
    within(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    fixture.go.add_permits(1);
    assert!(busy.response().await.ends_with("at last"));
    assert!(!draining.is_finished(), "a connection is open");
    drop(upgraded);
    within(draining).await.unwrap();
}

#[tokio::test]
async fn a_drain_waits_for_no_connection_that_stays() {
    let mut fixture = ServerFixture::start(Limits::default());
    let mut client = fixture.connect().await;
    client.send(UPGRADE).await;
    let _upgraded = within(fixture.upgraded.recv()).await.unwrap();
    let servers = Servers(vec![fixture.server]);
    within(servers.drain(&fixture.metrics, Duration::from_millis(50))).await;
    assert_eq!(fixture.metrics.connections.get(), 1);
}

#[tokio::test]
async fn a_panic_in_the_accept_loop_ends_the_process() {
    let test = "server::tests::stop::a_panic_in_the_accept_loop_ends_the_process";
    if abort_in_a_process(test, &["accept"]).is_some() {
        // More than a semaphore has: the loop panics when it begins.
        let _server = ServerFixture::start_with(Limits::default(), usize::MAX);
        outlive_no_panic().await;
    }
}
