//! How a server stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::fixture::{DEADLINE, ServerFixture, times, within};
use crate::config::limits::Limits;
use crate::server::{Drained, stop_all};
use crate::vital::tests::{abort_in_a_process, outlive_no_panic};

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
    let stopping = tokio::spawn(stop_all(vec![first.server, second.server], DEADLINE));
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
async fn a_panic_in_the_accept_loop_ends_the_process() {
    let test = "server::tests::stop::a_panic_in_the_accept_loop_ends_the_process";
    if abort_in_a_process(test, &["accept"]).is_some() {
        // More than a semaphore has: the loop panics when it begins.
        let _server = ServerFixture::start_with(Limits::default(), usize::MAX);
        outlive_no_panic().await;
    }
}
