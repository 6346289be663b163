//! Load of many reports, sent with little client CPU, so that a measurement is not of the client.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::Daemon;
use crate::clock::Stopwatch;
use crate::connection_load::join_all;
use crate::keep_alive::KeepAlive;
use crate::wait::Ticker;

/// The number of connections that make users present: enough to fill the daemon's write batches.
const ARRIVAL_CONNECTIONS: usize = 128;
/// The number of connections that share the changes, so that they rarely wait for each other.
const CHANGE_CONNECTIONS: u32 = 16;

/// The user id of this number.
pub fn user(number: usize) -> String {
    format!("user-{number:06}")
}

/// Makes these users present.
pub async fn make_present(daemon: &Daemon, users: Range<usize>) {
    let (address, secret) = (daemon.address(), daemon.secret());
    let connections = (0..ARRIVAL_CONNECTIONS).map(|index| {
        let (users, secret) = (users.clone(), secret.clone());
        async move {
            let mut connection = KeepAlive::connect_to(address, secret).await;
            for number in users.skip(index).step_by(ARRIVAL_CONNECTIONS) {
                connection.report(&user(number), "ONLINE").await;
            }
        }
    });
    join_all(connections).await;
}

/// Makes these users present, in even parts by each node.
pub async fn make_present_on_all(nodes: &[&Daemon], users: Range<usize>) {
    let part = users.len().div_ceil(nodes.len());
    let parts = nodes.iter().enumerate().map(|(index, node)| {
        let from = (users.start + index * part).min(users.end);
        make_present(node, from..(from + part).min(users.end))
    });
    join_all(parts).await;
}

/// Status changes at an even rate, between ONLINE and IDLE, until this is dropped.
#[derive(Debug)]
pub struct StatusChanges {
    tasks: Vec<JoinHandle<()>>,
    made: Arc<AtomicU64>,
}

impl StatusChanges {
    /// Starts `per_second` changes a second of the first `users` users, who must be ONLINE.
    pub async fn start(daemon: &Daemon, users: usize, per_second: u32) -> Self {
        let made = Arc::<AtomicU64>::default();
        let mut tasks = Vec::new();
        for index in 0..CHANGE_CONNECTIONS {
            let mut connection = KeepAlive::connect(daemon).await;
            let made = Arc::clone(&made);
            tasks.push(tokio::spawn(async move {
                let mut ticker = Ticker::every(Duration::from_secs(1) * CHANGE_CONNECTIONS / per_second);
                let own = users / CHANGE_CONNECTIONS as usize;
                let mut is_idle = vec![false; own];
                let mut at = index as usize;
                loop {
                    ticker.next().await;
                    // Every user in turn, scattered over the table.
                    at = (at + 7_919) % own;
                    is_idle[at] = !is_idle[at];
                    let status = if is_idle[at] { "IDLE" } else { "ONLINE" };
                    let number = at * CHANGE_CONNECTIONS as usize + index as usize;
                    connection.report(&user(number), status).await;
                    made.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self { tasks, made }
    }

    /// The number of acknowledged changes so far.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

impl Drop for StatusChanges {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Lets users become ONLINE, IDLE and OFFLINE in turn, each change on a node of its own, for so long, and until so many changes
/// were acknowledged.
pub async fn change_on_all(nodes: &[&Daemon], users: usize, period: Duration, changes: u64) {
    let made = AtomicU64::new(0);
    let connections = nodes.iter().flat_map(|node| (0..CHANGE_CONNECTIONS).map(move |_| node));
    let changing = connections.map(|node| async {
        let mut connection = KeepAlive::connect(node).await;
        let begun = Stopwatch::start();
        while begun.elapsed() < period || made.load(Ordering::Relaxed) < changes {
            let number = getrandom::u32().unwrap() as usize;
            let status = ["ONLINE", "IDLE", "OFFLINE"][number % 3];
            connection.report(&user(number / 3 % users), status).await;
            made.fetch_add(1, Ordering::Relaxed);
        }
    });
    join_all(changing).await;
}
