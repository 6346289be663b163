//! An HTTP connection that sends one request after the other with little CPU of the client, so that a measurement is not of
//! the client.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::Daemon;
use crate::rest::percent;
use crate::wait::{pause_between_pings, within_deadline};

/// The connection of an internal caller.
#[derive(Debug)]
pub struct KeepAlive {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    secret: String,
}

impl KeepAlive {
    pub async fn connect(daemon: &Daemon) -> Self {
        Self::connect_to(daemon.address(), daemon.secret()).await
    }

    pub async fn connect_to(address: SocketAddr, secret: String) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
            address,
            secret,
        }
    }

    /// Reports a status of a user, again if the database could not take it in time.
    pub async fn report(&mut self, user: &str, status: &str) {
        let body = format!(r#"{{"status":"{status}"}}"#);
        let request = format!(
            "PUT /api/user/realtime HTTP/1.1\r\nhost: {}\r\nx-secret-token: {}\r\nx-user-id: {user}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            self.secret,
            body.len()
        );
        self.ask("a report is acknowledged", &request).await;
    }

    /// Sets the custom status of a user.
    pub async fn set_custom_status(&mut self, user: &str, custom: &str) {
        let body = format!(r#"{{"customStatus":"{custom}"}}"#);
        let request = format!(
            "PUT /api/user/custom-status HTTP/1.1\r\nhost: {}\r\nx-secret-token: {}\r\nx-user-id: {user}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            self.secret,
            body.len()
        );
        self.ask("a custom status is acknowledged", &request).await;
    }

    /// Reads the record of a user, which is never refused.
    pub async fn record(&mut self, user: &str) -> Vec<u8> {
        self.read_of(user, "").await
    }

    /// Reads why the node shows a user as it does.
    pub async fn explanation(&mut self, user: &str) -> Vec<u8> {
        self.read_of(user, "/explain").await
    }

    async fn read_of(&mut self, user: &str, what: &str) -> Vec<u8> {
        let request = format!(
            "GET /api/presence/{}{what} HTTP/1.1\r\nhost: {}\r\nx-secret-token: {}\r\n\r\n",
            percent(user),
            self.address,
            self.secret
        );
        let (status, body) = within_deadline("an answer", self.ask_once(&request)).await;
        assert_eq!(status, "200", "{}", String::from_utf8_lossy(&body));
        body
    }

    async fn ask(&mut self, what: &str, request: &str) -> Vec<u8> {
        within_deadline(what, async {
            loop {
                let (status, body) = self.ask_once(request).await;
                match &*status {
                    "200" => return body,
                    "503" => pause_between_pings().await,
                    _ => panic!("{status} {}", String::from_utf8_lossy(&body)),
                }
            }
        })
        .await
    }

    async fn ask_once(&mut self, request: &str) -> (String, Vec<u8>) {
        self.stream.get_mut().write_all(request.as_bytes()).await.unwrap();
        self.read().await
    }

    async fn read(&mut self) -> (String, Vec<u8>) {
        let (mut line, mut length) = (String::new(), 0);
        self.stream.read_line(&mut line).await.unwrap();
        let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
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
        (status, body)
    }
}
