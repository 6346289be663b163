//! The echo server for the conformance suite: the daemon's own upgrade, reading, limits and sending, without presence. No
//! release build has it.

use std::sync::Arc;

use super::Gateway;
use super::close;
use super::metered_reader::Source;
use super::reader::{Incoming, MessageReader};
use crate::connection::Connection;
use crate::connection::close_reason::CloseReason;
use crate::connection::frame::Opcode;
use crate::server::upgrades::UpgradedSocket;

/// Echoes every message until the connection closes.
pub(super) async fn run(gateway: Arc<Gateway>, upgraded: UpgradedSocket) {
    let UpgradedSocket { socket, early, .. } = upgraded;
    let conn = Connection::new(
        socket,
        gateway.engine.new_session(),
        None,
        gateway.engine.connection_context(),
    );
    let mut reader = MessageReader::new(early);
    let reason = serve(&gateway, &conn, &mut reader).await;
    // The suite expects the close frame alone: what is pushed after it, such as the goodbye, is dropped.
    if reason.goodbye().is_some() {
        conn.send_close(reason.close_code(), "");
    }
    close::close(&conn, reason).await;
}

async fn serve(gateway: &Gateway, conn: &Arc<Connection>, reader: &mut MessageReader) -> CloseReason {
    let limits = gateway.limits.load_full();
    let source = Source {
        conn,
        clock: &gateway.clock,
        limits: &limits,
    };
    loop {
        if let Some(close_reason) = conn.close_reason() {
            return close_reason;
        }
        if conn.is_backlogged() {
            conn.attend().await;
            continue;
        }
        reader.begin_turn();
        match reader.next(source) {
            Ok(Some(Incoming::Text(text))) => conn.send_control(Opcode::Text, text.as_bytes()),
            Ok(Some(Incoming::Binary(bytes))) => conn.send_control(Opcode::Binary, &bytes),
            Ok(Some(Incoming::Ping(payload))) => conn.send_control(Opcode::Pong, &payload),
            Ok(Some(Incoming::Pong)) => {}
            Ok(Some(Incoming::Close(code))) => return CloseReason::ByClient(code),
            Err(reason) => return reason,
            Ok(None) => tokio::select! {
                _ = conn.socket().readable() => {}
                () = conn.attend() => {}
            },
        }
    }
}
