//! Rejects connections that can't be served: each gets one error response, and nothing it sends is parsed.

use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// How long a client may take to send its request, and then again to read the response and close.
const STEP_TIMEOUT: Duration = Duration::from_millis(500);
/// Most bytes of a request that are read and discarded.
const DISCARD_MAX_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone)]
pub(super) struct Rejector {
    graceful: Arc<Semaphore>,
}

impl Rejector {
    /// At most `graceful` connections are rejected gracefully at the same time: they need files beyond the connection limit.
    pub(super) fn new(graceful: usize) -> Self {
        Self {
            graceful: Arc::new(Semaphore::new(graceful)),
        }
    }

    /// Sends a response and closes. A few at a time read what the client sends before they close: a socket
    /// closed with unread bytes is reset, and many clients then never see the response. Beyond that, the response is
    /// written and the socket closed at once.
    pub(super) fn reject(&self, mut stream: TcpStream, response: Vec<u8>) {
        let Ok(permit) = Arc::clone(&self.graceful).try_acquire_owned() else {
            // Not through the runtime, which doesn't know yet that a new socket is writable.
            let _ = SockRef::from(&stream).send(&response);
            return;
        };
        tokio::spawn(async move {
            let mut discarded = [0; 2048];
            let _ = tokio::time::timeout(STEP_TIMEOUT, stream.read(&mut discarded)).await;
            let _ = tokio::time::timeout(STEP_TIMEOUT, async {
                stream.write_all(&response).await?;
                stream.shutdown().await?;
                let mut total = 0;
                while total < DISCARD_MAX_BYTES {
                    match stream.read(&mut discarded).await? {
                        0 => break,
                        read => total += read,
                    }
                }
                std::io::Result::Ok(())
            })
            .await;
            drop(permit);
        });
    }
}
