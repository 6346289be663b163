//! One user that does its worst within the limits: connections that watch and unwatch users whom nobody has seen, and
//! queries for such users. It sends no more than the documented limits allow, and waits when it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use presence::wire::server_message::ServerMessage;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::clock::Stopwatch;
use crate::rest::{Rest, send};
use crate::wait::let_time_pass;
use crate::websocket::{HandshakeHeaders, Socket};

/// Connections of one user.
const CONNECTIONS: usize = 32;
/// Queries under way at once.
const QUERIES: usize = 30;
/// Ids of one query.
const QUERY_IDS: usize = 1000;
/// Ids of one message: they fit into 16 KiB.
const WATCH_IDS: usize = 1_600;
/// Bytes that a connection may send at once, and in a second, with some room.
const BURST_BYTES: f64 = 1_000_000.0;
const BYTES_PER_SECOND: f64 = 64_000.0;

/// What the user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greed {
    /// It has 32 connections that watch and unwatch fresh users.
    pub is_watching: bool,
    /// It has 30 queries for fresh users under way.
    pub is_querying: bool,
}

/// The user, until this is dropped.
#[derive(Debug)]
pub struct GreedyUser {
    tasks: Vec<JoinHandle<()>>,
    looked_up: Arc<AtomicU64>,
}

impl GreedyUser {
    /// Begins; returns when its connections are open.
    pub async fn start(address: SocketAddr, rest: &Rest, greed: Greed) -> Self {
        // Each has limits of its own.
        let user = format!("greedy {}", fresh(1).concat());
        let looked_up = Arc::<AtomicU64>::default();
        let mut tasks = Vec::new();
        for _ in 0..if greed.is_watching { CONNECTIONS } else { 0 } {
            let socket = Socket::connect(address, HandshakeHeaders::user(&user)).await.unwrap();
            tasks.push(tokio::spawn(watch_for_ever(socket, Arc::clone(&looked_up))));
        }
        for _ in 0..if greed.is_querying { QUERIES } else { 0 } {
            tasks.push(tokio::spawn(query_for_ever(
                rest.clone(),
                user.clone(),
                Arc::clone(&looked_up),
            )));
        }
        Self { tasks, looked_up }
    }

    /// The number of users it was shown.
    pub fn looked_up(&self) -> u64 {
        self.looked_up.load(Ordering::Relaxed)
    }
}

impl Drop for GreedyUser {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Ids that nobody has used.
fn fresh(count: usize) -> Vec<String> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let first = NEXT.fetch_add(count as u64, Ordering::Relaxed);
    (first..).take(count).map(|number| format!("{number:x}")).collect()
}

async fn watch_for_ever(mut socket: Socket, looked_up: Arc<AtomicU64>) {
    let (running, mut sent) = (Stopwatch::start(), 0.0);
    loop {
        let users = fresh(WATCH_IDS);
        let watch = json!({"type": "watch", "userIds": users});
        let unwatch = json!({"type": "unwatch", "userIds": users});
        sent += (watch.to_string().len() + unwatch.to_string().len()) as f64;
        while sent > BURST_BYTES + BYTES_PER_SECOND * running.elapsed().as_secs_f64() {
            let_time_pass(Duration::from_millis(10)).await;
        }
        match socket.try_snapshot(watch).await {
            Ok(snapshot) => looked_up.fetch_add(snapshot.users.len() as u64, Ordering::Relaxed),
            Err(ServerMessage::Error {
                retry_after_ms: Some(millis),
                ..
            }) => {
                let_time_pass(Duration::from_millis(millis)).await;
                continue;
            }
            Err(other) => panic!("{other:?}"),
        };
        let answer = socket.ask(unwatch).await;
        assert!(matches!(answer, ServerMessage::Ok { .. }), "{answer:?}");
    }
}

async fn query_for_ever(rest: Rest, user: String, looked_up: Arc<AtomicU64>) {
    loop {
        let query = rest.user(&user, Method::POST, "/api/presence/query");
        let answer = send(query.json(&json!({"userIds": fresh(QUERY_IDS)}))).await;
        match answer.status {
            200 => {
                looked_up.fetch_add(QUERY_IDS as u64, Ordering::Relaxed);
            }
            429 => {
                let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse().ok());
                let_time_pass(Duration::from_secs(seconds.unwrap_or(1))).await;
            }
            other => panic!("{other}: {}", answer.body),
        }
    }
}
