//! Many reports of an outside gateway, as cheaply as a client can send them, so that what is measured is not the client.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::Daemon;
use crate::crowd::all;
use crate::wait::{Beat, within_deadline};

/// As many arrive at once as fill the daemon's batches of writes.
const ARRIVING_AT_ONCE: usize = 128;
/// So many connections share the changes: none waits for the answer of the one before.
const CHANGING_AT_ONCE: u32 = 16;

/// The user of this number.
pub fn user(number: usize) -> String {
    format!("user-{number:06}")
}

/// These users become present.
pub async fn make_present(daemon: &Daemon, users: Range<usize>) {
    let (address, secret) = (daemon.address(), daemon.secret());
    let lines = (0..ARRIVING_AT_ONCE).map(|line| {
        let (users, secret) = (users.clone(), secret.clone());
        async move {
            let mut line_of = Line::connect(address, secret).await;
            for number in users.skip(line).step_by(ARRIVING_AT_ONCE) {
                line_of.report(number, "ONLINE").await;
            }
        }
    });
    all(lines).await;
}

/// Users who switch between ONLINE and IDLE, evenly, until this is dropped.
#[derive(Debug)]
pub struct Changes {
    tasks: Vec<JoinHandle<()>>,
    made: Arc<AtomicU64>,
}

impl Changes {
    /// So many a second, of the first so many users, who are ONLINE.
    pub async fn start(daemon: &Daemon, users: usize, per_second: u32) -> Self {
        let made = Arc::<AtomicU64>::default();
        let mut tasks = Vec::new();
        for line in 0..CHANGING_AT_ONCE {
            let mut line_of = Line::connect(daemon.address(), daemon.secret()).await;
            let made = Arc::clone(&made);
            tasks.push(tokio::spawn(async move {
                let mut beat = Beat::every(Duration::from_secs(1) * CHANGING_AT_ONCE / per_second);
                let own = users / CHANGING_AT_ONCE as usize;
                let mut is_idle = vec![false; own];
                let mut at = line as usize;
                loop {
                    beat.next().await;
                    // All of them in turn, but scattered over the table.
                    at = (at + 7_919) % own;
                    is_idle[at] = !is_idle[at];
                    let status = if is_idle[at] { "IDLE" } else { "ONLINE" };
                    line_of
                        .report(at * CHANGING_AT_ONCE as usize + line as usize, status)
                        .await;
                    made.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
        Self { tasks, made }
    }

    /// How many were acknowledged so far.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A keep-alive connection on which one report follows the other.
struct Line {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    secret: String,
}

impl Line {
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
        within_deadline("a report is taken", async {
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
