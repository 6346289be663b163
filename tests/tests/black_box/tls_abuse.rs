//! The TLS listener under what the plain one is tested with: slow and broken handshakes, other protocols, floods.

use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use presence::wire::server_message::ServerMessage;
use presence_tests::certificates::shown;
use presence_tests::clock::Stopwatch;
use presence_tests::wait::{pause_between_pings, within_deadline};
use presence_tests::{Daemon, RawClient, wait_until};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::tls::{TlsDaemon, handshake};

/// A record with a fatal alert: access denied.
const REJECTED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

/// The beginning of a client hello that says how long it is, in a record of its own.
fn hello(length: u16) -> Vec<u8> {
    let [high, low] = length.to_be_bytes();
    let record = (length + 4).to_be_bytes();
    [&[22, 3, 1][..], &record, &[1, 0, high, low, 3, 3]].concat()
}

/// Everything until the daemon closes the connection.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = within_deadline("the daemon closes the connection", stream.read_to_end(&mut all)).await;
    all
}

async fn open_connections(daemon: &TlsDaemon) -> u64 {
    let text = daemon.rest().metrics().await;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("presenced_http_connections "));
    value.unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_tls_handshakes_end_in_time_and_others_are_served() {
    let tls = TlsDaemon::start(&["--handshake-timeout", "5s"]).await;
    let started = Stopwatch::start();
    let address = tls.daemon.address();
    let connect = async || TcpStream::connect(address).await.unwrap();
    let silent = async { until_closed(connect().await).await };
    let half = async {
        let mut stream = connect().await;
        stream.write_all(&hello(300)).await.unwrap();
        until_closed(stream).await
    };
    let dripping = async {
        let mut stream = connect().await;
        for byte in [hello(300), vec![0; 300]].concat() {
            if stream.write_all(&[byte]).await.is_err() {
                break;
            }
            pause_between_pings().await;
        }
    };
    // A handshake that is done, and then no request: both have the time together.
    let mute = async { within_deadline("the end", tls.connect().await.read_to_end(&mut Vec::new())).await };
    let others = async {
        for _ in 0..5 {
            let pong = tls.socket("alice").await.ask(json!({"type": "ping"})).await;
            assert!(matches!(pong, ServerMessage::Pong { .. }), "{pong:?}");
        }
    };
    let (..) = tokio::join!(silent, half, dripping, mute, others);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    wait_until("only the question's own connection is open", async || {
        (open_connections(&tls).await <= 2).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_endless_handshakes_end_the_connection_alone() {
    let tls = TlsDaemon::start(&["--log-level", "debug"]).await;
    let endless = [hello(0xff00 - 4), vec![0; 0xff00 - 6]].concat();
    let certificate = {
        // A certificate message of a client, for which nobody asked, as long as rustls lets one be.
        let mut bytes = hello(0x3000);
        bytes[5] = 11;
        [bytes, vec![0; 0x3000]].concat()
    };
    for bytes in [
        vec![0; 3000],
        b"\x16\x03\x01".to_vec(),
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        [hello(10), vec![7; 4000]].concat(),
        vec![22, 3, 1, 0xff, 0xff, 1, 2, 3],
        vec![22; 20_000],
        endless,
        certificate,
    ] {
        let mut stream = TcpStream::connect(tls.daemon.address()).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let answer = until_closed(stream).await;
        assert!(answer.len() < 1000, "{:?}", &answer[..20]);
        assert!(
            tls.connect().await.get_ref().1.protocol_version().is_some(),
            "others are served"
        );
    }
    let log = tls.daemon.log();
    assert!(
        log.contains("a TLS handshake failed") && !log.contains("panicked"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_on_a_tls_port_is_told_what_to_use() {
    let tls = TlsDaemon::start(&[]).await;
    for request in [
        "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(),
        presence_tests::raw_client::upgrade_request("/ws", &[("x-user-id", "alice")]),
        "PUT /api/user/custom-status HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999\r\n\r\n{".to_owned(),
    ] {
        let mut raw = RawClient::connect(tls.daemon.address()).await;
        raw.send(&request).await;
        let response = raw.response().await;
        assert_eq!(
            (response.status, response.code().as_str()),
            (400, "tls_required"),
            "{request}"
        );
        assert!(response.body.contains("https://"), "{}", response.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_on_a_plain_port_fails_and_the_port_goes_on() {
    let daemon = Daemon::start(&[]).await;
    let certificates = presence_tests::certificates::Certificates::new();
    let error = handshake(&certificates, daemon.address()).await.expect_err("no TLS");
    assert!(error.to_string().contains("corrupt"), "{error}");
    assert_eq!(daemon.rest().get("/healthz").await.status, 200);
    assert!(
        !daemon.log().contains("WARN") && !daemon.log().contains("ERROR"),
        "{}",
        daemon.log()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_tls_handshakes_is_limited_per_address() {
    let flags = [
        "--handshakes-per-second",
        "1",
        "--handshakes-burst",
        "10",
        "--trusted-proxy",
        "192.0.2.0/24",
    ];
    let tls = TlsDaemon::start(&flags).await;
    let flood = join_all((0..40).map(|_| async {
        let mut stream = TcpStream::connect(tls.daemon.address()).await.unwrap();
        let _ = stream.write_all(&hello(200)).await;
        let mut first = [0; 7];
        // Those that are let in are not answered before their hello is complete.
        let answered = tokio::time::timeout(Duration::from_secs(2), stream.read_exact(&mut first)).await;
        answered.is_ok_and(|read| read.is_ok()).then_some(first)
    }));
    let answers = flood.await;
    let rejected = answers.iter().filter(|answer| **answer == Some(REJECTED)).count();
    // Some tokens may have been refilled meanwhile, and some sockets were reset.
    assert!((10..=30).contains(&rejected), "{answers:?}");
    assert!(
        answers.iter().flatten().all(|answer| *answer == REJECTED),
        "{answers:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_a_handshake_count_against_the_limit() {
    let tls = TlsDaemon::start(&["--max-connections", "8", "--handshake-timeout", "3s"]).await;
    let mut open = Vec::new();
    for _ in 0..30 {
        open.push(TcpStream::connect(tls.daemon.address()).await.unwrap());
    }
    // Strangers give way to whoever comes, so a user gets in.
    wait_until("a user gets in", async || {
        let headers = presence_tests::websocket::HandshakeHeaders::user("alice");
        presence_tests::Socket::connect(tls.tunnel.address(), headers)
            .await
            .ok()
    })
    .await;
    drop(open);
}

/// Runs `openssl s_client` against the daemon, and gives what it prints.
async fn s_client(tls: &TlsDaemon, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &tls.daemon.address().to_string(),
            "-servername",
            "localhost",
        ])
        .args(["-CAfile", &shown(&tls.certificates.path("ca.pem"))])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl of Debian");
    let input = input.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        use std::io::Write as _;
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let output = within_deadline("openssl ends", output).await.unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn renegotiation_early_data_and_old_versions_are_refused() {
    let tls = TlsDaemon::start(&["--handshake-timeout", "5s"]).await;
    let renegotiated = s_client(&tls, &["-tls1_2"], "R\n").await;
    assert!(renegotiated.contains("Verify return code: 0 (ok)"), "{renegotiated}");
    assert!(renegotiated.contains("no renegotiation"), "{renegotiated}");
    // A ticket says how much early data it allows; the connection stays until the request head is late.
    let ticket = s_client(&tls, &["-tls1_3", "-ign_eof"], "").await;
    assert!(ticket.contains("New, TLSv1.3"), "{ticket}");
    assert!(ticket.contains("Max Early Data: 0"), "{ticket}");
    for old in ["-tls1", "-tls1_1"] {
        let refused = s_client(&tls, &[old, "-cipher", "ALL:@SECLEVEL=0"], "").await;
        assert!(refused.contains("no peer certificate available"), "{old}: {refused}");
    }
    let weak = s_client(&tls, &["-tls1_2", "-cipher", "AES128-SHA:AES256-GCM-SHA384"], "").await;
    assert!(
        weak.contains("no peer certificate available"),
        "without forward secrecy: {weak}"
    );
    assert!(
        tls.connect().await.get_ref().1.protocol_version().is_some(),
        "others are served"
    );
}
