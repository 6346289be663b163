//! The documented limits, each at n and n + 1.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use presence::wire::error_code::Code;
use presence::wire::server_message::ServerMessage;
use presence_tests::clock::Stopwatch;
use presence_tests::connection_load::join_all;
use presence_tests::daemon::Setup;
use presence_tests::frame::Frame;
use presence_tests::raw_client::RawEvent;
use presence_tests::rest::send;
use presence_tests::topology::Topology;
use presence_tests::websocket::{HandshakeError, HandshakeHeaders};
use presence_tests::{Daemon, RawClient, Socket, wait_until};
use reqwest::Method;
use serde_json::json;

fn pings(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|id| Frame::text(json!({"type": "ping", "id": id}).to_string()).encode())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_limited_to_100_messages() {
    // The slowest refill, so that hardly anything is added while the bucket is emptied.
    let daemon = Daemon::start(&["--messages-per-second", "1"]).await;
    let mut bob = RawClient::user(daemon.address(), "bob").await;
    bob.send(pings(100)).await;
    bob.text_with("\"id\":99").await;
    bob.send(pings(60)).await;
    assert_eq!(bob.close_code().await, Some(4008));
    let mut alice = RawClient::user(daemon.address(), "alice").await;
    alice.send(pings(110)).await;
    assert_eq!(alice.close_code().await, Some(4008));
}

/// Whether a connection that has sent all it may is allowed 45 messages more after a second and a half, and is closed for 400. A daemon
/// that stood still meanwhile has added fewer.
async fn may_send_45_more(daemon: &Daemon) -> bool {
    let mut bob = RawClient::user(daemon.address(), "bob").await;
    bob.send(pings(100)).await;
    bob.text_with("\"id\":99").await;
    let since = Stopwatch::start();
    wait_until("the bucket fills", async || {
        (since.elapsed() > Duration::from_millis(1_500)).then_some(())
    })
    .await;
    bob.send(pings(45)).await;
    if let Err(end) = bob.text_or_end("\"id\":44").await {
        let is_limited = matches!(&end, RawEvent::Frame(close) if close.close_code() == Some(4008));
        assert!(is_limited, "{end:?}");
        return false;
    }
    bob.send(pings(400)).await;
    assert_eq!(bob.close_code().await, Some(4008));
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_limited_to_30_a_second() {
    let daemon = Daemon::start(&[]).await;
    for _ in 0..5 {
        if may_send_45_more(&daemon).await {
            return;
        }
    }
    panic!("closed each time");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_bytes_than_the_burst_are_closed_as_abusive() {
    let daemon = Daemon::start(&[
        "--bytes-per-second",
        "1",
        "--bytes-burst",
        "100000",
        "--messages-burst",
        "1000000",
    ])
    .await;
    let frame = Frame::text(json!({"type": "ping", "pad": "x".repeat(9_900)}).to_string()).encode();
    assert!(frame.len() < 10_000);
    let mut bob = RawClient::user(daemon.address(), "bob").await;
    for _ in 0..100_000 / frame.len() {
        bob.send(&frame).await;
        bob.text_with("pong").await;
    }
    bob.send(&frame).await;
    assert_eq!(bob.close_code().await, Some(4008));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_watch_list_fits_into_the_byte_burst() {
    let daemon = Daemon::start(&[]).await;
    let mut bob = daemon.socket("bob").await;
    let ids: Vec<String> = (0..5_000).map(|index| format!("{index:0>128}")).collect();
    for chunk in ids.chunks(120) {
        assert_eq!(bob.watch(chunk).await.users.len(), chunk.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_list_is_limited_to_5000_users() {
    let daemon = Daemon::start(&["--grace", "0s"]).await;
    let mut bob = daemon.session("bob").await;
    let ids: Vec<String> = (0..5_000).map(|index| format!("u{index}")).collect();
    for chunk in ids.chunks(1_250) {
        bob.watch(chunk).await;
    }
    let again = bob.watch(&ids[..10]).await;
    assert_eq!(again.users.len(), 10, "who is watched already counts once");
    for more in [json!(["one-more"]), json!(["u1", "one-more"])] {
        let refused = bob.ask(json!({"type": "watch", "userIds": more})).await;
        assert!(
            matches!(
                refused,
                ServerMessage::Error {
                    code: Code::TooManyWatched,
                    ..
                }
            ),
            "{refused:?}"
        );
    }
    let _one_more = daemon.socket("one-more").await;
    let _last = daemon.socket("u4999").await;
    let told = bob
        .updates_until("the last one", |update| update.user_id().as_str() == "u4999")
        .await;
    assert_eq!(told.len(), 1, "nothing was added: {told:?}");
    bob.ask(json!({"type": "unwatch", "userIds": ["u0"]})).await;
    assert_eq!(bob.watch(&["one-more"]).await.users.len(), 1, "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_handshake_is_closed() {
    let daemon = Daemon::start(&["--handshake-timeout", "3s"]).await;
    let started = Stopwatch::start();
    let mut silent = RawClient::connect(daemon.address()).await;
    let mut half = RawClient::connect(daemon.address()).await;
    half.send("GET /ws HTTP/1.1\r\nhost: local").await;
    let mut kept = RawClient::connect(daemon.address()).await;
    kept.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert_eq!(kept.response().await.status, 200);
    let dripping = async {
        let mut raw = RawClient::connect(daemon.address()).await;
        for byte in presence_tests::raw_client::upgrade_request("/ws", &[("x-user-id", "bob")]).bytes() {
            if !raw.send([byte]).await {
                return true;
            }
            presence_tests::wait::pause_between_pings().await;
        }
        raw.response().await.status != 101
    };
    let (silent, half, kept, dripping) = tokio::join!(silent.response(), half.response(), kept.response(), dripping);
    for (what, response) in [
        ("silent", silent),
        ("half a head", half),
        ("idle between requests", kept),
    ] {
        assert!(matches!(response.status, 0 | 408), "{what}: {}", response.head);
    }
    assert!(dripping, "a head of one byte at a time");
    assert!(started.elapsed() < Duration::from_secs(25), "{:?}", started.elapsed());
    let mut upgraded = RawClient::user(daemon.address(), "alice").await;
    let since = Stopwatch::start();
    wait_until("longer than a handshake", async || {
        (since.elapsed() > Duration::from_secs(4)).then_some(())
    })
    .await;
    assert!(upgraded.is_served().await, "who got in is not cut off");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_limit_applies_before_the_upgrade() {
    let daemon = Daemon::start(&["--max-connections", "3", "--grace", "0s"]).await;
    let mut open = Vec::new();
    for index in 0..3 {
        open.push(
            Socket::connect(daemon.address(), HandshakeHeaders::user(&format!("user-{index}")))
                .await
                .unwrap(),
        );
    }
    let one_more = || Socket::connect(daemon.address(), HandshakeHeaders::user("one-more"));
    match one_more().await {
        Err(HandshakeError::Http(503, code)) => assert_eq!(code, "at_capacity"),
        other => panic!("{other:?}"),
    }
    for socket in &mut open {
        assert!(matches!(
            socket.ask(json!({"type": "ping"})).await,
            ServerMessage::Pong { .. }
        ));
    }
    open.pop();
    wait_until("there is room again", async || one_more().await.ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_are_limited_per_address_except_for_proxies() {
    let limited = [
        "--handshakes-per-second",
        "1",
        "--handshakes-burst",
        "20",
        "--trusted-proxy",
        "192.0.2.0/24",
    ];
    let daemon = Daemon::start(&limited).await;
    let secret = daemon.secret();
    let observer = || Socket::connect(daemon.address(), HandshakeHeaders::observer(&secret));
    for _ in 0..20 {
        observer().await.unwrap();
    }
    // Few tokens may have been refilled meanwhile.
    let one_more = join_all((0..20).map(|_| observer())).await;
    let refused = |answer: &Result<Socket, HandshakeError>| matches!(answer, Err(HandshakeError::Http(429, code)) if code == "rate_limited");
    assert!(
        one_more.iter().filter(|answer| refused(answer)).count() > 10,
        "{one_more:?}"
    );
    assert!(
        one_more.iter().all(|answer| answer.is_ok() || refused(answer)),
        "{one_more:?}"
    );
    let trusted = Daemon::start(&limited[..4]).await;
    let secret = trusted.secret();
    for _ in 0..30 {
        Socket::connect(trusted.address(), HandshakeHeaders::observer(&secret))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rightmost_untrusted_forwarded_address_is_limited() {
    let daemon = Daemon::start(&[
        "--handshakes-per-second",
        "1",
        "--handshakes-burst",
        "5",
        "--trusted-proxy",
        "127.0.0.0/8",
        "--trusted-proxy",
        "192.0.2.0/24",
    ])
    .await;
    let from = async |forwarded: &str| {
        let hello = HandshakeHeaders::user("alice").with("x-forwarded-for", forwarded.as_bytes());
        Socket::connect(daemon.address(), hello).await.map(drop)
    };
    for index in 0..5 {
        let spoofed = format!("203.0.113.{index}, 198.51.100.7, 192.0.2.1");
        assert_eq!(from(&spoofed).await, Ok(()));
    }
    // One is let in each second that these take.
    let limited = Err(HandshakeError::Http(429, "rate_limited".into()));
    let mut answers = Vec::new();
    while answers.last() != Some(&limited) && answers.len() < 20 {
        answers.push(from(&format!("203.0.113.{}, 198.51.100.7", 99 + answers.len())).await);
    }
    assert_eq!(
        answers.last(),
        Some(&limited),
        "what the client says of itself does not count: {answers:?}"
    );
    assert_eq!(from("198.51.100.8").await, Ok(()), "another client");
    for forwarded in ["garbage", "", ",", "198.51.100.7:80", "[2001:db8::1]", "unknown"] {
        let answer = from(forwarded).await;
        assert!(
            !matches!(answer, Err(HandshakeError::Unreachable)),
            "{forwarded}: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_rest_requests_are_served_in_order() {
    let daemon = Daemon::start(&[]).await;
    let mut raw = RawClient::connect(daemon.address()).await;
    let one = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    raw.send(one.repeat(200)).await;
    for _ in 0..200 {
        assert_eq!(raw.response().await.status, 200);
    }
    send(daemon.rest().request(Method::GET, "/readyz"))
        .await
        .ok::<serde_json::Value>();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_that_poll_a_probe_keep_no_user_out() {
    let daemon = Daemon::start(&[
        "--max-connections",
        "12",
        "--handshake-timeout",
        "1s",
        "--http-idle-timeout",
        "60s",
    ])
    .await;
    let mut backend = RawClient::connect(daemon.address()).await;
    let stats = format!(
        "GET /api/stats HTTP/1.1\r\nhost: localhost\r\nx-secret-token: {}\r\n\r\n",
        daemon.secret()
    );
    backend.send(&stats).await;
    assert_eq!(backend.response().await.status, 200);
    let mut strangers = Vec::new();
    for _ in 0..20 {
        let mut stranger = RawClient::connect(daemon.address()).await;
        // Beyond the limit, while none of them is old, strangers are rejected.
        stranger.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        strangers.push(stranger);
    }
    let mut users = Vec::new();
    while users.len() < 8 {
        let connecting = Socket::connect(
            daemon.address(),
            HandshakeHeaders::user(&format!("user-{}", users.len())),
        );
        match connecting.await {
            Ok(socket) => users.push(socket),
            Err(HandshakeError::Http(503, code)) => assert_eq!(code, "at_capacity"),
            // Its own head was late.
            Err(HandshakeError::Unreachable) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    backend.send(&stats).await;
    assert_eq!(
        backend.response().await.status,
        200,
        "who authenticated keeps the connection"
    );
}

/// How many files the connections to Redis take beside them.
fn files_of_redis() -> u32 {
    match Topology::wanted() {
        Topology::Alone => 0,
        Topology::OneNode | Topology::ThreeNodes | Topology::RedisCluster => 96,
    }
}

/// A daemon that may open so many files.
fn with_files(dir: &tempfile::TempDir, files: u32) -> Setup {
    let program = dir.path().join("presenced");
    let daemon = presence_tests::binaries::presenced().display().to_string();
    let script = format!("#!/bin/sh\nulimit -n {files}\nexec '{daemon}' \"$@\"\n");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    Setup::new(&[]).program(&program)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_few_files_every_handshake_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = with_files(&dir, 64 + files_of_redis()).start().await;
    let connect = |index| Socket::connect(daemon.address(), HandshakeHeaders::user(&format!("user-{index}")));
    let answers = join_all((0..60).map(connect)).await;
    let (open, rejected): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    // Half of what the daemon's own files leave; of these a few wait for handshakes to become WebSockets.
    assert!((8..=16).contains(&open.len()), "{}", open.len());
    for answer in rejected {
        assert!(
            matches!(&answer, Err(HandshakeError::Http(503, code)) if code == "at_capacity"),
            "{answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_too_few_files_the_daemon_does_not_start_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for files in [20, 63] {
        let failure = with_files(&dir, files).try_start().await.expect_err("too few files");
        let needed = 64 + files_of_redis();
        let expected = format!("the limit on open files is {files}, and {needed} are needed at least");
        assert!(failure.stderr.contains(&expected), "{failure:?}");
    }
}
