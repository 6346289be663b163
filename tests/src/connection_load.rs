//! Load of many concurrent connections with little memory per client. The number is always bounded.

use std::iter;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::clock::Stopwatch;
use crate::frame::Frame;
use crate::websocket::{HandshakeHeaders, Socket};
use crate::{Daemon, RawClient};

/// Connections that stay open until this is dropped.
#[derive(Debug)]
pub struct ConnectionLoad {
    tasks: Vec<JoinHandle<()>>,
    open: Arc<AtomicUsize>,
}

/// The number of concurrent handshakes.
const HANDSHAKES: usize = 64;
/// How many users at once come and go on each node.
const VISITORS: usize = 4;

impl ConnectionLoad {
    /// Connects the users of these numbers (`load-0`, `load-1`, …), each watching `watched` of the others; returns when all have
    /// received their snapshot.
    pub async fn watching(address: SocketAddr, users: Range<usize>, watched: usize) -> Self {
        let open = Arc::new(AtomicUsize::new(0));
        let connecting = stream::iter(users.clone()).map(|index| {
            let (open, first, count) = (Arc::clone(&open), users.start, users.len());
            async move {
                let mut socket = Socket::connect(address, HandshakeHeaders::user(&format!("load-{index}")))
                    .await
                    .unwrap();
                let users: Vec<String> = (1..=watched)
                    .map(|step| format!("load-{}", first + (index - first + step) % count))
                    .collect();
                let snapshot = socket.watch(&users).await;
                assert_eq!(snapshot.users.len(), watched);
                open.fetch_add(1, Ordering::Relaxed);
                (socket, open)
            }
        });
        let connected: Vec<_> = connecting.buffer_unordered(HANDSHAKES).collect().await;
        let read_to_end = |(mut socket, open): (Socket, Arc<AtomicUsize>)| {
            tokio::spawn(async move {
                while socket.next_without_deadline().await.is_ok() {}
                open.fetch_sub(1, Ordering::Relaxed);
            })
        };
        Self {
            tasks: connected.into_iter().map(read_to_end).collect(),
            open,
        }
    }

    /// The number of open connections.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for ConnectionLoad {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Lets users connect and leave on every node, some idle, some closed by the client and some by their network, for so long.
/// How many did.
pub async fn come_and_go(nodes: &[&Daemon], users: &[String], period: Duration) -> usize {
    let visitors = nodes.iter().flat_map(|node| iter::repeat_n(node, VISITORS));
    let visiting = visitors.map(|node| async {
        let begun = Stopwatch::start();
        let mut visits = 0;
        while begun.elapsed() < period {
            let number = getrandom::u32().unwrap() as usize;
            let mut socket = node.socket(&users[number % users.len()]).await;
            // Of another number than the user, so that each user does everything in time.
            let how = number / users.len();
            if how.is_multiple_of(2) {
                socket.be_idle().await;
            }
            match how % 4 < 2 {
                true => drop(socket.close(Some(1000)).await),
                false => socket.reset(),
            }
            visits += 1;
        }
        visits
    });
    join_all(visiting).await.into_iter().sum()
}

/// Runs all futures concurrently; the results are in order of completion.
pub async fn join_all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures.into_iter().collect::<FuturesUnordered<_>>().collect().await
}

/// Connects a user that requests about 10 MB, more than socket buffers hold, and reads none of it.
pub async fn slow_reader(address: SocketAddr, user: &str) -> RawClient {
    let mut raw = RawClient::connect_narrow(address)
        .await
        .with_headers(&[("x-user-id", user)])
        .await;
    let users: Vec<String> = (0..1_800).map(|index| format!("g{index}")).collect();
    let watch = Frame::text(json!({"type": "watch", "userIds": users}).to_string()).encode();
    raw.send_without_reading(watch.repeat(60)).await;
    raw
}
