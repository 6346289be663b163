//! The accept loop. It does nothing but accept: whatever may take time happens in the connection's own task, so that
//! no client, however slow or many, keeps another one waiting here.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use presence::Mono;
use presence::wire::code::Code;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::connection::Host;
use super::problem::ApiError;
use super::turn_away::TurnAway;
use super::{Phase, Serving};

/// Pause after a failure that will not go away by trying again at once, such as no free file descriptor.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Pause between two complaints about such failures.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);

/// What to do after a failure to accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// That client was gone already; the next one need not wait.
    Again,
    /// The system can't give us a socket now.
    BackOff,
}

/// Accepts until the server drains.
pub(super) async fn run(
    listener: TcpListener,
    serving: Serving,
    mut phase: watch::Receiver<Phase>,
    alive: mpsc::Sender<()>,
) {
    let host = Host::new(&serving);
    let turn_away = TurnAway::new();
    let mut complain_after = None;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                serving.metrics.accepted.inc();
                match admit(&serving, &stream, peer) {
                    Ok(slot) => {
                        let (phase, alive) = (phase.clone(), alive.clone());
                        tokio::spawn(host.serve(stream, peer, slot, (phase, alive)));
                    }
                    Err(error) => turn_away.answer(stream, &error),
                }
            }
            Err(error) => {
                serving.metrics.accept_errors.inc();
                if next_after(&error) == Next::BackOff {
                    complain(&error, serving.clock.mono(), &mut complain_after);
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }
}

fn admit(serving: &Serving, stream: &TcpStream, peer: SocketAddr) -> Result<std::sync::Arc<super::Slot>, ApiError> {
    // Rate first: an address that is over it must not be able to fill the places.
    serving.door.admit_connection(peer.ip())?;
    let Some(slot) = serving.slots.take() else {
        serving.metrics.count_limit("connections");
        return Err(ApiError::new(
            Code::AtCapacity,
            "as many connections as this server holds",
        ));
    };
    // An answer is one small write; waiting for the client's ACK of the one before would delay it by 40 ms.
    let _ = stream.set_nodelay(true);
    Ok(slot)
}

fn next_after(error: &io::Error) -> Next {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => Next::Again,
        _ => Next::BackOff,
    }
}

/// Once a minute, not ten times a second.
fn complain(error: &io::Error, now: Mono, complain_after: &mut Option<Mono>) {
    if complain_after.is_none_or(|after| now >= after) {
        *complain_after = Some(now.after(COMPLAINT_PAUSE));
        tracing::error!(%error, "new connections can't be accepted; trying on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_left_early_delays_nobody_and_a_lack_of_files_is_waited_out() {
        let aborted = io::Error::from(rustix::io::Errno::CONNABORTED);
        assert_eq!(next_after(&aborted), Next::Again);
        for errno in [
            rustix::io::Errno::MFILE,
            rustix::io::Errno::NFILE,
            rustix::io::Errno::NOBUFS,
        ] {
            assert_eq!(next_after(&io::Error::from(errno)), Next::BackOff);
        }
    }
}
