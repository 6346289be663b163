//! The task behind a [`super::Socket`]: it reads continuously and executes the client's commands.

use futures_util::{SinkExt, StreamExt};
use presence::wire::server_message::ServerMessage;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::ConnectionEnd;

#[derive(Debug)]
pub(super) enum Event {
    Message(ServerMessage),
    Ended(ConnectionEnd),
}

pub(super) enum Command {
    Text(String),
    Binary(Vec<u8>),
    Close(Option<u16>),
    Reset,
}

/// Owns the connection until either side ends it.
pub(super) async fn run(
    mut ws: WebSocketStream<TcpStream>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    events: mpsc::UnboundedSender<Event>,
) {
    let mut closed = ConnectionEnd::Lost;
    loop {
        tokio::select! {
            command = commands.recv() => match command {
                Some(Command::Text(text)) => drop(ws.send(Message::text(text)).await),
                Some(Command::Binary(bytes)) => drop(ws.send(Message::binary(bytes)).await),
                Some(Command::Close(code)) => {
                    let frame = code.map(|code| CloseFrame { code: code.into(), reason: "".into() });
                    ws.close(frame).await.ok();
                }
                Some(Command::Reset) => {
                    SockRef::from(ws.get_ref()).set_linger(Some(std::time::Duration::ZERO)).ok();
                    return;
                }
                None => return,
            },
            frame = ws.next() => match frame {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                    Ok(message) => drop(events.send(Event::Message(message))),
                    Err(error) => panic!("not a server's message ({error}): {text}"),
                },
                Some(Ok(Message::Close(frame))) => {
                    closed = frame.map_or(ConnectionEnd::Closed(1005, String::new()), |frame| {
                        ConnectionEnd::Closed(frame.code.into(), frame.reason.to_string())
                    });
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => {
                    events.send(Event::Ended(closed)).ok();
                    return;
                }
            },
        }
    }
}
