//! The memory of an idle connection over TLS.

use futures_util::{StreamExt as _, stream};
use presence_tests::file_lock;
use presence_tests::process::raise_file_limit;
use presence_tests::raw_client::upgrade_request;
use presence_tests::wait::{wait_until, within_deadline};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::tls::TlsDaemon;

/// Of one that watches nobody (docs/benchmarks.md).
const BYTES_A_CONNECTION: u64 = 8 * 1024;

/// Connects over TLS, and reads the welcome.
async fn connect(tls: &TlsDaemon, number: usize) -> TlsStream<TcpStream> {
    let mut stream = tls.connect().await;
    let user = format!("user-{number}");
    let connecting = async {
        let request = upgrade_request("/ws", &[("x-user-id", &user)]);
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains("\"welcome\"") {
            let mut part = [0; 1024];
            let count = stream.read(&mut part).await.unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&part[..count]);
        }
    };
    within_deadline("the welcome", connecting).await;
    stream
}

async fn connect_all(tls: &TlsDaemon, numbers: std::ops::Range<usize>) -> Vec<TlsStream<TcpStream>> {
    let connecting = stream::iter(numbers).map(|number| connect(tls, number));
    connecting.buffer_unordered(20).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_tls_connection_uses_little_memory() {
    let _lock = file_lock::heavy().await;
    raise_file_limit();
    let count = std::env::var("PRESENCE_TLS_CONNECTIONS").map_or(500, |count| count.parse().unwrap());
    let tls = TlsDaemon::start(&["--connections-per-address", "100000"]).await;
    let process = tls.daemon.process();
    // What the first connections alone bring along is not memory of each: sessions to resume, stacks, caches.
    let first = connect_all(&tls, 0..300).await;
    let flushed = async || {
        let rest = tls.rest();
        wait_until("nothing is left to write", async || {
            (rest.stats().await.store.pending_writes == 0).then_some(())
        })
        .await;
    };
    flushed().await;
    let (before, cpu_before) = (process.resident_bytes(), process.exact_cpu_time());
    let more = connect_all(&tls, 300..300 + count).await;
    flushed().await;
    let each = process.resident_bytes().saturating_sub(before) / count as u64;
    let cpu = (process.exact_cpu_time() - cpu_before) / u32::try_from(count).unwrap();
    println!(
        "{each} bytes and {cpu:?} of CPU a connection over TLS, of {} connections",
        first.len() + more.len()
    );
    assert!(each <= BYTES_A_CONNECTION, "{each}");
}
