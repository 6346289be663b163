//! Limits of time and size before a request is handled.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::fixture::{HELLO, ServerFixture, times};
use crate::clock::Stopwatch;
use crate::config::limits::Limits;

#[tokio::test]
async fn a_client_that_never_finishes_a_request_head_is_dropped() {
    let server = ServerFixture::start(times(300, 10_000));
    let begun = Stopwatch::start();
    let (mut silent, mut half, mut idle) = (server.connect().await, server.connect().await, server.connect().await);
    half.send("GET /hello HTTP/1.1\r\nhos").await;
    assert!(idle.ask("/hello").await.ends_with("hello"));
    let mut dripping = server.connect().await;
    let drip = async {
        for byte in HELLO.bytes() {
            let next = Duration::from_millis(50);
            let closed = tokio::time::timeout(next, dripping.until_closed()).await;
            if closed.is_ok() || dripping.0.write_all(&[byte]).await.is_err() {
                return;
            }
        }
        panic!("a head of one byte at a time was waited for");
    };
    tokio::join!(silent.until_closed(), half.until_closed(), idle.until_closed(), drip);
    assert!(begun.elapsed() < Duration::from_secs(10));
    server.until_open(0).await;
}

#[tokio::test]
async fn a_request_head_has_a_limit_of_bytes_and_headers() {
    let server = ServerFixture::start(Limits::default());
    let with_headers = |count: usize| {
        let headers: String = (0..count - 1).map(|index| format!("h{index}: x\r\n")).collect();
        format!("GET /hello HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n")
    };
    for (count, good) in [(63, true), (64, true), (65, false)] {
        let mut client = server.connect().await;
        client.send(&with_headers(count)).await;
        assert_eq!(client.response().await.starts_with("HTTP/1.1 200"), good, "{count}");
    }
    for (bytes, good) in [(15_000, true), (17_000, false)] {
        let mut client = server.connect().await;
        let value = "x".repeat(bytes);
        client
            .send(&format!("GET /hello HTTP/1.1\r\nhost: localhost\r\nx: {value}\r\n\r\n"))
            .await;
        assert_eq!(client.response().await.starts_with("HTTP/1.1 200"), good, "{bytes}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_is_dropped() {
    let server = ServerFixture::start(times(100, 300));
    let mut client = server.connect().await;
    client.send("GET /big HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    server.until_open(1).await;
    server.until_open(0).await;
    let got = client.until_closed().await;
    assert!(got.len() < 32 << 20, "the rest was dropped");
}

#[tokio::test]
async fn a_slow_handler_does_not_count_as_a_client_that_reads_nothing() {
    let server = ServerFixture::start(times(50, 50));
    let mut client = server.connect().await;
    client.send("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let waited = tokio::time::timeout(Duration::from_millis(600), client.response()).await;
    assert!(waited.is_err(), "{waited:?}");
    server.go.add_permits(1);
    assert!(client.response().await.ends_with("at last"));
}
