//! The echo that the conformance suite talks to: the daemon's own upgrade, reading, limits and sending, and nothing of
//! presence. No release build has it.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::Gateway;
use super::ending::{self, Ending};
use super::metered_reader::MeteredReader;
use super::reader::{Incoming, MessageReader};
use crate::connection::Connection;
use crate::connection::frame::Opcode;

/// Sends back what arrives, until the client closes.
pub(super) async fn run(gateway: Arc<Gateway>, socket: TcpStream, early: Vec<u8>) {
    let conn = Connection::new(socket, gateway.engine.new_session(), None, gateway.engine.shared());
    let input = MeteredReader::new(
        Arc::clone(&conn),
        early,
        Arc::clone(&gateway.clock),
        Arc::clone(&gateway.limits),
    );
    let mut reader = MessageReader::new(input, gateway.limits.message_bytes);
    let ending = serve(&conn, &mut reader).await;
    // The suite expects the close frame alone, without our goodbye before it.
    if let Ending::ByServer(farewell) = ending {
        conn.push_close(Some(farewell.code()), "");
    }
    ending::part(&conn, ending).await;
}

async fn serve(conn: &Arc<Connection>, reader: &mut MessageReader) -> Ending {
    loop {
        if let Some(close_reason) = conn.close_reason() {
            return close_reason.into();
        }
        if conn.is_backlogged() {
            conn.attend().await;
            continue;
        }
        reader.begin_turn();
        match reader.next() {
            Ok(Some(Incoming::Text(text))) => conn.push_frame(Opcode::Text, text.as_bytes()),
            Ok(Some(Incoming::Binary(bytes))) => conn.push_frame(Opcode::Binary, &bytes),
            Ok(Some(Incoming::Ping(payload))) => conn.push_frame(Opcode::Pong, &payload),
            Ok(Some(Incoming::Pong)) => {}
            Ok(Some(Incoming::Close(close))) => return close.into(),
            Err(broken) => return broken.into(),
            Ok(None) => tokio::select! {
                _ = conn.socket().readable() => {}
                () = conn.attend() => {}
            },
        }
    }
}
