//! Limits of time and size before a request is handled.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::fixture::{HELLO, ServerFixture, pause, times, within};
use crate::clock::Stopwatch;
use crate::limits::Limits;

#[tokio::test]
async fn a_client_that_never_finishes_a_request_head_is_dropped() {
    let server = ServerFixture::start(times(1_000, 10_000));
    let begun = Stopwatch::start();
    let (mut silent, mut half, mut idle) = (server.connect().await, server.connect().await, server.connect().await);
    half.send("GET /hello HTTP/1.1\r\nhos").await;
    assert!(idle.ask("/hello").await.ends_with("hello"));
    let mut dripping = server.connect().await;
    let drip = async {
        for byte in HELLO.bytes() {
            let next = Duration::from_millis(100);
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
    let server = ServerFixture::start(times(500, 50));
    let mut client = server.connect().await;
    client.send("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let waited = tokio::time::timeout(Duration::from_millis(600), client.response()).await;
    assert!(waited.is_err(), "{waited:?}");
    server.go.add_permits(1);
    assert!(client.response().await.ends_with("at last"));
}

#[tokio::test]
async fn a_head_that_follows_an_idle_time_has_its_own_time() {
    let server = ServerFixture::start(Limits {
        http_idle_timeout: Duration::from_secs(60),
        ..times(2_100, 10_000)
    });
    let mut client = server.connect().await;
    assert!(client.ask("/hello").await.ends_with("hello"));
    // Idle for most of the time of a head, and then slow with the head.
    let (begin, end) = HELLO.split_at(9);
    pause(Duration::from_millis(1_500)).await;
    client.send(begin).await;
    pause(Duration::from_millis(1_000)).await;
    client.send(end).await;
    assert!(client.response().await.ends_with("hello"));
    client.send("GET /hello").await;
    assert_eq!(
        client.until_closed().await,
        b"",
        "from its first byte the head has its time"
    );
}

#[tokio::test]
async fn a_response_tells_the_idle_time() {
    let server = ServerFixture::start(Limits {
        http_idle_timeout: Duration::from_secs(7),
        ..Limits::default()
    });
    let answer = server.connect().await.ask("/hello").await;
    assert!(answer.contains("\r\nkeep-alive: timeout=7\r\n"), "{answer}");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_time() {
    let server = ServerFixture::start(Limits {
        http_idle_timeout: Duration::from_millis(200),
        ..times(60_000, 60_000)
    });
    let mut idle = server.connect().await;
    assert!(idle.ask("/hello").await.ends_with("hello"));
    assert_eq!(idle.until_closed().await, b"");
}

#[tokio::test]
async fn a_client_that_closes_its_half_is_answered() {
    let server = ServerFixture::start(Limits::default());
    let mut client = server.connect().await;
    client.send("GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    client.0.shutdown().await.unwrap();
    within(server.asked.notified()).await;
    server.go.add_permits(1);
    assert!(client.response().await.ends_with("at last"));
    assert_eq!(client.until_closed().await, b"");
    server.until_open(0).await;
}

#[tokio::test]
async fn a_request_of_http_1_0_without_a_host_is_answered() {
    let server = ServerFixture::start(Limits::default());
    let mut client = server.connect().await;
    client.send("GET /hello HTTP/1.0\r\n\r\n").await;
    assert!(client.response().await.ends_with("hello"));
    assert_eq!(client.until_closed().await, b"");
}
