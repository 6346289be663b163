//! Many connections at once, each as small as a client can be. For loads, always bounded in number.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::Raw;
use crate::frame::Frame;
use crate::socket::{Hello, Socket};

/// Connections that are open until this is dropped.
#[derive(Debug)]
pub struct Crowd {
    members: Vec<JoinHandle<()>>,
    open: Arc<AtomicUsize>,
}

/// So many handshakes are under way at once.
const AT_ONCE: usize = 64;

impl Crowd {
    /// `count` users (`crowd-0`, `crowd-1`, …), each watching `watched` of the others; returns when all have their
    /// snapshot.
    pub async fn watching(address: SocketAddr, count: usize, watched: usize) -> Self {
        let open = Arc::new(AtomicUsize::new(0));
        let arrivals = stream::iter(0..count).map(|index| {
            let open = Arc::clone(&open);
            async move {
                let mut socket = Socket::connect(address, Hello::user(&format!("crowd-{index}")))
                    .await
                    .unwrap();
                let users: Vec<String> = (1..=watched)
                    .map(|step| format!("crowd-{}", (index + step) % count))
                    .collect();
                let snapshot = socket.watch(&users).await;
                assert_eq!(snapshot.users.len(), watched);
                open.fetch_add(1, Ordering::Relaxed);
                (socket, open)
            }
        });
        let arrived: Vec<_> = arrivals.buffer_unordered(AT_ONCE).collect().await;
        let stay = |(mut socket, open): (Socket, Arc<AtomicUsize>)| {
            tokio::spawn(async move {
                while socket.next().await.is_ok() {}
                open.fetch_sub(1, Ordering::Relaxed);
            })
        };
        Self {
            members: arrived.into_iter().map(stay).collect(),
            open,
        }
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for member in &self.members {
            member.abort();
        }
    }
}

/// The results of all these futures, in no order.
pub async fn all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures.into_iter().collect::<FuturesUnordered<_>>().collect().await
}

/// A user who asks for far more than fits into any socket's buffers, about 10 MB, and reads nothing of it.
pub async fn glutton(address: SocketAddr, user: &str) -> Raw {
    let mut raw = Raw::connect_narrow(address)
        .await
        .with_headers(&[("x-user-id", user)])
        .await;
    let users: Vec<String> = (0..1_800).map(|index| format!("g{index}")).collect();
    let watch = Frame::text(json!({"type": "watch", "userIds": users}).to_string()).encode();
    raw.send_without_reading(watch.repeat(60)).await;
    raw
}
