//! TLS of the listeners, by rustls: the daemon's certificate, the handshake, and a socket that encrypts what is written and
//! decrypts what is read. What is sent over it, and who may connect, is not known here.
//!
//! [`TlsMachine`] keeps nothing of its own between messages: rustls's usual connection keeps a read buffer of 4 KiB, which would be
//! more than everything else that an idle connection needs.

mod accept;
mod certificate;
mod identity;
mod machine;
mod peer;
mod served;
mod socket;
#[cfg(test)]
pub(crate) mod tests;
mod transport;

pub(crate) use accept::{AcceptError, REJECTION, accept};
pub(crate) use identity::TlsIdentity;
pub(crate) use peer::PeerConnector;
pub(crate) use served::ServedIdentity;
pub(crate) use socket::{SentBytes, TlsSocket};
pub(crate) use transport::Transport;

use machine::TlsMachine;
