//! Closes a connection whose session has ended: a goodbye, the close frame, and a bounded wait for the client's end of the
//! stream, so that the close frame is not lost to a reset. Why it closes, and with which code, is [`CloseReason`].

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use presence::wire::server_message::ServerMessage;

use super::replies;
use crate::connection::Connection;
use crate::connection::close_reason::CloseReason;

/// How long the goodbye and the close frame may take to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a flush checks whether another writer is done.
const FLUSH_CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// How long a client may take to close its side after the close frame.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// How much a client may still send meanwhile, in bytes.
const LINGER_MAX_BYTES: usize = 256 * 1024;

/// Sends the goodbye and the close frame, and closes the socket. The session has ended before, so how long this takes affects
/// nobody else.
pub(super) async fn close(conn: &Arc<Connection>, reason: CloseReason) {
    if let CloseReason::Lost | CloseReason::PingTimeout = reason {
        return shut(conn, Shutdown::Both);
    }
    if let Some(goodbye) = reason.goodbye() {
        let retry_after = reason.retry_after();
        let message = ServerMessage::Goodbye {
            reason: goodbye.into(),
            reconnect_after_ms: retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        };
        replies::send(conn, &message);
    }
    conn.send_close(reason.close_code(), reason.text());
    let _ = tokio::time::timeout(FLUSH_TIMEOUT, flush(conn)).await;
    // Half a close: a client that still sends gets no reset, which could discard the close frame on its side.
    shut(conn, Shutdown::Write);
    let _ = tokio::time::timeout(LINGER_TIMEOUT, read_to_end(conn)).await;
    shut(conn, Shutdown::Both);
}

/// Waits until everything is sent.
async fn flush(conn: &Arc<Connection>) {
    while !conn.is_flushed() {
        // The delivery thread may be writing, and notifies no one when it is done.
        let _ = tokio::time::timeout(FLUSH_CHECK_INTERVAL, conn.attend()).await;
    }
}

/// Reads and discards to the client's end of the stream, up to [`LINGER_MAX_BYTES`].
async fn read_to_end(conn: &Arc<Connection>) {
    let mut left = LINGER_MAX_BYTES;
    while conn.socket().readable().await.is_ok() {
        let mut scratch = [0; 4096];
        match conn.socket().try_read(&mut scratch) {
            Ok(0) => return,
            Ok(count) if count >= left => return,
            Ok(count) => left -= count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn shut(conn: &Connection, how: Shutdown) {
    conn.socket().shutdown(how);
}
