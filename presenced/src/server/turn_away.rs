//! Connections that can't be served: they get one plain answer, and nothing they send is interpreted.

use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::problem::ApiError;

/// Connections turned away politely at the same time. They need files beyond the limit on connections, so they are few.
const POLITE_MAX: usize = 32;
/// How long a client may take to say something, and then to take its answer and leave.
const PATIENCE: Duration = Duration::from_millis(500);
/// Most bytes of a request that are swallowed.
const SWALLOWED_MAX: usize = 64 * 1024;

/// Turns connections away.
#[derive(Debug, Clone)]
pub(super) struct TurnAway {
    polite: Arc<Semaphore>,
}

impl TurnAway {
    pub(super) fn new() -> Self {
        Self {
            polite: Arc::new(Semaphore::new(POLITE_MAX)),
        }
    }

    /// Answers and closes. Politely if few are being turned away: a socket closed with unread bytes is reset, and many
    /// clients then never see the answer. In a storm the answer is thrown at them.
    pub(super) fn answer(&self, mut stream: TcpStream, error: &ApiError) {
        let answer = error.to_bytes();
        let Ok(permit) = Arc::clone(&self.polite).try_acquire_owned() else {
            // Not through the runtime, which doesn't know yet that a fresh socket takes bytes.
            let _ = SockRef::from(&stream).send(&answer);
            return;
        };
        tokio::spawn(async move {
            let mut swallowed = [0; 2048];
            let _ = tokio::time::timeout(PATIENCE, stream.read(&mut swallowed)).await;
            let _ = tokio::time::timeout(PATIENCE, async {
                stream.write_all(&answer).await?;
                stream.shutdown().await?;
                let mut total = 0;
                while total < SWALLOWED_MAX {
                    match stream.read(&mut swallowed).await? {
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
