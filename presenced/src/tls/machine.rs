//! The TLS side of one connection without its socket: records in, plain bytes out, and the other way round. Pure but for the
//! randomness of rustls; what it gives to be sent, the socket sends.

use std::io;
use std::sync::Arc;

use tokio_rustls::rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use tokio_rustls::rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use tokio_rustls::rustls::{Error as TlsError, ServerConfig};

/// The most plain bytes of a record (RFC 8446, section 5.1).
pub(super) const RECORD_PLAIN_MAX_BYTES: usize = 16 * 1024;
/// Most bytes that are read from the socket at a time.
pub(super) const READ_BYTES: usize = 4 * 1024;
/// Most bytes that wait for the rest of a record or of a handshake message: the longest record of TLS 1.2, which may be 2 KiB
/// longer than its plain bytes, and what one read adds. A client's longest message is its first one, of a few kilobytes.
const INCOMING_MAX_BYTES: usize = 5 + RECORD_PLAIN_MAX_BYTES + 2 * 1024 + READ_BYTES;
/// What a record is longer than its plain bytes, at most, in the cipher suites that are offered.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// One connection's TLS. Its buffers hold memory only while there is something in them.
pub(super) struct TlsMachine {
    session: UnbufferedServerConnection,
    /// The beginning of a record, or of a handshake message.
    incoming: Vec<u8>,
    /// Decrypted, and not read yet from `plain_read` on.
    plain: Vec<u8>,
    plain_read: usize,
    /// Encrypted, and not sent yet from `outgoing_sent` on.
    outgoing: Vec<u8>,
    outgoing_sent: usize,
    /// All bytes that were ever encrypted.
    encrypted: u64,
    /// The client sends no more.
    has_ended: bool,
    has_said_goodbye: bool,
    /// There was an error, after which nothing is sent but what tells of it.
    has_failed: bool,
}

impl TlsMachine {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self {
            session: UnbufferedServerConnection::new(config)?,
            incoming: Vec::new(),
            plain: Vec::new(),
            plain_read: 0,
            outgoing: Vec::new(),
            outgoing_sent: 0,
            encrypted: 0,
            has_ended: false,
            has_said_goodbye: false,
            has_failed: false,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether the client sends no more: by its close_notify, or by the end of the stream.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The stream has ended. Without a close_notify that is no error here: both HTTP and WebSocket tell a cut-off message.
    pub(super) const fn end(&mut self) {
        self.has_ended = true;
    }

    /// Whether there are plain bytes to read.
    pub(super) const fn has_plain(&self) -> bool {
        self.plain_read < self.plain.len()
    }

    /// Takes plain bytes, as many as there are and fit.
    pub(super) fn take_plain(&mut self, buffer: &mut [u8]) -> usize {
        let left = self.plain.get(self.plain_read..).unwrap_or_default();
        let count = left.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), left.get(..count)) {
            to.copy_from_slice(from);
        }
        self.plain_read += count;
        if !self.has_plain() {
            self.plain = Vec::new();
            self.plain_read = 0;
        }
        count
    }

    /// What was encrypted and not sent.
    pub(super) fn outgoing(&self) -> &[u8] {
        self.outgoing.get(self.outgoing_sent..).unwrap_or_default()
    }

    /// So many bytes of that were sent.
    pub(super) fn note_sent(&mut self, count: usize) {
        self.outgoing_sent += count;
        if self.outgoing().is_empty() {
            self.outgoing = Vec::new();
            self.outgoing_sent = 0;
        }
    }

    /// All bytes that were ever encrypted, sent or not.
    pub(super) const fn encrypted(&self) -> u64 {
        self.encrypted
    }

    #[cfg(test)]
    pub(super) fn buffered_capacity(&self) -> usize {
        self.incoming.capacity() + self.plain.capacity() + self.outgoing.capacity()
    }

    /// Reads from the socket once, by `read`, and takes what arrived. How much that was; an error of kind `InvalidData` is one of
    /// TLS, of which the client is to be told by what is to be sent then.
    pub(super) fn read(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        if self.has_failed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let before = self.incoming.len();
        self.incoming.resize(before + READ_BYTES, 0);
        let result = read(self.incoming.get_mut(before..).unwrap_or_default());
        self.incoming
            .truncate(before + result.as_ref().map_or(0, |count| *count));
        let processed = match &result {
            Ok(1..) => self.process().map_err(invalid),
            _ => Ok(()),
        };
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        processed.and(result)
    }

    /// Encrypts plain bytes, a record at most.
    pub(super) fn encrypt(&mut self, plain: &[u8]) -> io::Result<()> {
        self.with_traffic(
            |traffic, to| traffic.encrypt(plain, to),
            plain.len() + RECORD_OVERHEAD_BYTES,
        )
    }

    /// Encrypts the close_notify, once.
    pub(super) fn say_goodbye(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.has_said_goodbye, true) || self.is_handshaking() {
            return Ok(());
        }
        self.with_traffic(|traffic, to| traffic.queue_close_notify(to), RECORD_OVERHEAD_BYTES)
    }

    /// Lets rustls append to what is to be sent.
    fn with_traffic(
        &mut self,
        encrypt: impl Fn(&mut WriteTraffic<'_, ServerConnectionData>, &mut [u8]) -> Result<usize, EncryptError>,
        room: usize,
    ) -> io::Result<()> {
        if self.has_failed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        // Whatever rustls has to say first, such as a change of its keys, comes before.
        self.advance().map_err(invalid)?;
        let UnbufferedStatus { state, .. } = self.session.process_tls_records(&mut self.incoming);
        let ConnectionState::WriteTraffic(mut traffic) = state.map_err(invalid)? else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let outgoing = &mut self.outgoing;
        let count = append(outgoing, room, |to| encrypt(&mut traffic, to)).map_err(io::Error::other)?;
        self.encrypted += count as u64;
        Ok(())
    }

    /// Has rustls go through what arrived.
    fn process(&mut self) -> Result<(), TlsError> {
        let advanced = self
            .advance()
            .and_then(|()| match self.incoming.len() > INCOMING_MAX_BYTES {
                true => Err(TlsError::General("a handshake message is too long".to_owned())),
                false => Ok(()),
            });
        if advanced.is_err() {
            self.has_failed = true;
            self.take_alert();
            self.incoming = Vec::new();
        }
        advanced
    }

    /// After an error of rustls: what the client is told, of which the alert is the last. Whatever else is asked of rustls then would
    /// be another error.
    fn take_alert(&mut self) {
        while self.session.wants_write() {
            let UnbufferedStatus { state, .. } = self.session.process_tls_records(&mut self.incoming);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else {
                return;
            };
            let encoded = append(&mut self.outgoing, RECORD_OVERHEAD_BYTES, |to| data.encode(to));
            self.encrypted += encoded.map_or(0, |count| count as u64);
        }
    }

    /// Has rustls go on until it waits for more. It is always given all that it has not taken, since it keeps places in that.
    fn advance(&mut self) -> Result<(), TlsError> {
        loop {
            let UnbufferedStatus { mut discard, state } = self.session.process_tls_records(&mut self.incoming);
            let is_done = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        self.plain.extend_from_slice(record.payload);
                    }
                    Ok(false)
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let encoded = append(&mut self.outgoing, RECORD_OVERHEAD_BYTES, |to| data.encode(to));
                    self.encrypted += encoded.map_err(|error| TlsError::General(error.to_string()))? as u64;
                    Ok(false)
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    // It is in what is to be sent, where its order is kept.
                    data.done();
                    Ok(false)
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.has_ended = true;
                    Ok(false)
                }
                Ok(ConnectionState::Closed) => {
                    self.has_ended = true;
                    Ok(true)
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Ok(true),
                // Early data is not offered, and there are no other states.
                Ok(_) => Err(TlsError::General("an unknown state of TLS".to_owned())),
                Err(error) => Err(error),
            };
            self.incoming.drain(..discard.min(self.incoming.len()));
            if is_done? {
                return Ok(());
            }
        }
    }
}

/// Why nothing was appended.
trait NeedsRoom {
    /// How much room there must be, if that was the reason.
    fn room(&self) -> Option<usize>;
}

impl NeedsRoom for EncryptError {
    fn room(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::EncryptExhausted => None,
        }
    }
}

impl NeedsRoom for EncodeError {
    fn room(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::AlreadyEncoded => None,
        }
    }
}

/// Appends what `write` writes, which is given `room` bytes, or as many as it says that it needs. How many it wrote.
fn append<E: NeedsRoom>(
    bytes: &mut Vec<u8>,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<usize, E> {
    let before = bytes.len();
    loop {
        bytes.resize(before + room, 0);
        let written = write(bytes.get_mut(before..).unwrap_or_default());
        bytes.truncate(before + written.as_ref().map_or(0, |count| *count));
        match written {
            Err(error) if error.room().is_some_and(|needed| needed > room) => room = error.room().unwrap_or(room),
            written => return written,
        }
    }
}

fn invalid(error: TlsError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
