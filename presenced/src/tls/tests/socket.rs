//! The socket against a client of rustls: what is read and written, full sockets, and the end.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::{AcceptError, Files, TlsSocket, accept, pair, tcp_pair, within};

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// Bytes of which no two places look alike.
fn bytes(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_be_bytes).take(length).collect()
}

/// Writes until the socket is full. How much it took.
fn fill(socket: &TlsSocket, all: &[u8]) -> usize {
    let mut written = 0;
    while written < all.len() {
        match socket.try_write(&all[written..]) {
            Ok(count) => written += count,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                break;
            }
        }
    }
    written
}

async fn writable(socket: &TlsSocket) {
    poll_fn(|context| socket.tcp().poll_write_ready(context)).await.unwrap();
}

async fn read_some(socket: &TlsSocket, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        poll_fn(|context| socket.poll_readable(context)).await?;
        match socket.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

#[tokio::test]
async fn bytes_arrive_as_they_were_written_however_often_the_socket_is_full() {
    for version in VERSIONS {
        let (mut client, socket) = pair(version).await;
        let all = bytes(1_000_000);
        let reading = async {
            let mut read = vec![0; all.len()];
            client.read_exact(&mut read).await.unwrap();
            read
        };
        let writing = async {
            let (mut written, mut blocked) = (0, 0);
            while written < all.len() {
                // In pieces of all sizes, of one byte too.
                let piece = 1 + written * 7 % 70_000;
                let end = all.len().min(written + piece);
                written += fill(&socket, &all[written..end]);
                if written < end {
                    blocked += 1;
                    writable(&socket).await;
                }
            }
            blocked
        };
        let (read, blocked) = within(async { tokio::join!(reading, writing) }).await;
        assert!(read == all && blocked > 3, "{version:?}: blocked {blocked} times");
    }
}

#[tokio::test]
async fn a_full_socket_takes_the_last_byte_when_its_record_has_left() {
    for piece in [1, 2, 1000] {
        let (mut client, socket) = pair(&TLS13).await;
        let all = bytes(1_500_000);
        let mut written = 0;
        loop {
            let taken = fill(&socket, &all[written..written + piece]);
            written += taken;
            if taken < piece {
                break;
            }
            assert_eq!(socket.waiting(), 0, "what was taken as a whole has left as a whole");
        }
        let sent = socket.sent();
        assert!(sent.unacknowledged > 0 && sent.written > written as u64);
        let mut read = vec![0; written + 1];
        let (done, ()) = within(async {
            tokio::join!(client.read_exact(&mut read), async {
                loop {
                    writable(&socket).await;
                    if fill(&socket, &all[written..=written]) == 1 {
                        break;
                    }
                }
            })
        })
        .await;
        done.unwrap();
        assert_eq!(read, all[..=written], "in pieces of {piece}");
        let acknowledged = async {
            while socket.sent().unacknowledged > 0 {
                tokio::task::yield_now().await;
            }
        };
        within(acknowledged).await;
    }
}

#[tokio::test]
async fn a_record_is_read_in_parts_without_another_event() {
    let (mut client, socket) = pair(&TLS13).await;
    let all = bytes(16_000);
    client.write_all(&all).await.unwrap();
    let mut read = Vec::new();
    let mut part = [0; 700];
    while read.len() < all.len() {
        let count = within(read_some(&socket, &mut part)).await.unwrap();
        assert!(count > 0);
        read.extend_from_slice(&part[..count]);
    }
    assert_eq!(read, all);
    let is_waiting = poll_fn(|context| Poll::Ready(socket.poll_readable(context).is_pending()));
    assert!(is_waiting.await && !socket.has_unread());
}

#[tokio::test]
async fn an_idle_socket_keeps_no_buffers() {
    let (mut client, socket) = pair(&TLS13).await;
    client.write_all(b"ping").await.unwrap();
    let mut buffer = [0; 16];
    assert_eq!(within(read_some(&socket, &mut buffer)).await.unwrap(), 4);
    assert_eq!(socket.try_write(b"pong").unwrap(), 4);
    assert_eq!(socket.buffered_capacity(), 0);
}

#[tokio::test]
async fn both_ends_say_that_nothing_was_cut_off() {
    for version in VERSIONS {
        let (mut client, socket) = pair(version).await;
        assert_eq!(socket.try_write(b"goodbye").unwrap(), 7);
        socket.shutdown(Shutdown::Write);
        let mut read = Vec::new();
        // An end without close_notify would be an error.
        within(client.read_to_end(&mut read)).await.unwrap();
        assert_eq!(read, b"goodbye");
        client.write_all(b"late").await.unwrap();
        client.shutdown().await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(within(read_some(&socket, &mut buffer)).await.unwrap(), 4);
        for _ in 0..2 {
            assert_eq!(
                within(read_some(&socket, &mut buffer)).await.unwrap(),
                0,
                "the end, again and again"
            );
        }
        assert!(socket.has_unread());
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_off_ends() {
    let (mut client, socket) = pair(&TLS13).await;
    client.get_mut().0.shutdown().await.unwrap();
    assert_eq!(within(read_some(&socket, &mut [0; 16])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_may_change_its_keys_while_both_send() {
    let (client, socket) = pair(&TLS13).await;
    let (mut reader, mut writer) = tokio::io::split(client);
    let all = bytes(400_000);
    let sending = async {
        for part in all.chunks(10_000) {
            writer.write_all(part).await.unwrap();
        }
    };
    let receiving = async {
        let mut read = vec![0; all.len()];
        reader.read_exact(&mut read).await.unwrap();
        read
    };
    let echoing = async {
        let (mut left, mut part) = (all.len(), [0; 5000]);
        while left > 0 {
            let count = read_some(&socket, &mut part).await.unwrap();
            left -= count;
            let mut written = 0;
            while written < count {
                written += fill(&socket, &part[written..count]);
                if written < count {
                    writable(&socket).await;
                }
            }
        }
    };
    let (read, (), ()) = within(async { tokio::join!(receiving, sending, echoing) }).await;
    assert!(read == all);
}

#[tokio::test]
async fn a_client_that_asks_for_new_keys_gets_them() {
    let (mut client, socket) = pair(&TLS13).await;
    for round in 0_u8..3 {
        refresh_keys(&mut client);
        client.write_all(&[round]).await.unwrap();
        let mut buffer = [0; 1];
        assert_eq!(within(read_some(&socket, &mut buffer)).await.unwrap(), 1);
        assert_eq!(socket.try_write(&buffer).unwrap(), 1);
        assert_eq!(within(client.read_u8()).await.unwrap(), round);
    }
}

#[tokio::test]
async fn half_a_handshake_message_does_not_keep_the_daemon_from_writing() {
    let (mut client, socket) = pair(&TLS12).await;
    // A client hello over an encrypted connection, of which only the beginning comes: rustls keeps places in it.
    let hello = [22, 3, 3, 0, 40];
    client.get_mut().0.write_all(&hello).await.unwrap();
    let mut buffer = [0; 16];
    let read = async {
        while !crate::tcp::has_unread(socket.tcp()) {
            tokio::task::yield_now().await;
        }
        socket.try_read(&mut buffer)
    };
    let error = within(read).await.expect_err("nothing is complete");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(socket.try_write(b"still here").unwrap(), 10);
    let mut read = [0; 10];
    within(client.read_exact(&mut read)).await.unwrap();
    assert_eq!(&read, b"still here");
}

fn refresh_keys(client: &mut TlsStream<TcpStream>) {
    let (_, session) = client.get_mut();
    session.refresh_traffic_keys().unwrap();
}

#[tokio::test]
async fn plain_http_and_garbage_are_told_apart_by_the_first_byte() {
    let config = Arc::clone(Files::new().identity().config());
    for (first, is_http) in [
        ("GET / HTTP/1.1\r\n", true),
        ("\0\0", false),
        ("\u{16}", false),
        ("ge", false),
    ] {
        let (mut client, daemon) = tcp_pair().await;
        client.write_all(first.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let error = within(accept(Arc::clone(&config), daemon)).await.expect_err("no TLS");
        assert_eq!(
            matches!(error, AcceptError::PlainHttp(_)),
            is_http,
            "{first:?}: {error}"
        );
    }
}

#[tokio::test]
async fn the_async_calls_do_the_same() {
    let (mut client, mut socket) = pair(&TLS12).await;
    let all = bytes(300_000);
    let mut read = Vec::new();
    let (sent, received) = within(async {
        tokio::join!(
            async {
                socket.write_all(&all).await?;
                socket.flush().await?;
                AsyncWriteExt::shutdown(&mut socket).await
            },
            client.read_to_end(&mut read)
        )
    })
    .await;
    sent.unwrap();
    received.unwrap();
    assert!(read == all);
    client.write_all(b"last").await.unwrap();
    client.shutdown().await.unwrap();
    let mut last = String::new();
    within(Pin::new(&mut socket).read_to_string(&mut last)).await.unwrap();
    assert_eq!(last, "last");
}
