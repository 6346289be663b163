//! Load of many reports, sent with little client CPU, so that a measurement is not of the client.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::Daemon;
use crate::connection_load::join_all;
use crate::wait::{Ticker, within_deadline};

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
            let mut connection = ReportConnection::connect(address, secret).await;
            for number in users.skip(index).step_by(ARRIVAL_CONNECTIONS) {
                connection.report(number, "ONLINE").await;
            }
        }
    });
    join_all(connections).await;
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
            let mut connection = ReportConnection::connect(daemon.address(), daemon.secret()).await;
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
                    connection
                        .report(at * CHANGE_CONNECTIONS as usize + index as usize, status)
                        .await;
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

/// An HTTP keep-alive connection that sends one report after the other.
struct ReportConnection {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    secret: String,
}

impl ReportConnection {
    async fn connect(address: SocketAddr, secret: String) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
            address,
            secret,
        }
    }

    async fn report(&mut self, number: usize, status: &str) {
        let body = format!(r#"{{"status":"{status}"}}"#);
        let request = format!(
            "PUT /api/user/realtime HTTP/1.1\r\nhost: {}\r\nx-secret-token: {}\r\nx-user-id: {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            self.secret,
            user(number),
            body.len()
        );
        within_deadline("a report is acknowledged", async {
            self.stream.get_mut().write_all(request.as_bytes()).await.unwrap();
            self.read_ok().await;
        })
        .await;
    }

    async fn read_ok(&mut self) {
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line).await.unwrap();
        assert!(line.starts_with("HTTP/1.1 200 "), "{line}");
        while !line.trim_end().is_empty() {
            line.clear();
            self.stream.read_line(&mut line).await.unwrap();
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.unwrap();
    }
}
