//! A server behind a proxy that answers everything with 200 and keeps the heads of requests as they came: for what a daemon
//! would not show of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::wait::wait_until;

/// The server, until this is dropped.
#[derive(Debug)]
pub struct RecordingUpstream {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

impl RecordingUpstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&heads);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&kept)));
            }
        });
        Self {
            address,
            heads,
            accepting,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The head of a request that has this part in it, once there was one.
    pub async fn head_with(&self, part: &str) -> String {
        wait_until("the request arrives", async || {
            let heads = self.heads.lock().expect("no panic");
            heads.iter().find(|head| head.contains(part)).cloned()
        })
        .await
    }
}

impl Drop for RecordingUpstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(mut stream: TcpStream, heads: Arc<Mutex<Vec<String>>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    heads
        .lock()
        .expect("no panic")
        .push(String::from_utf8_lossy(&head).into_owned());
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let _ = stream.write_all(response).await;
}
