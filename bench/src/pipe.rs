//! A socket that does not block, with what came in and is no whole message yet, and what it had no room for.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use crate::poller::Poller;

pub(crate) struct Pipe {
    stream: TcpStream,
    /// What was read and belongs to a message whose end has not come.
    rest: Vec<u8>,
    unsent: Vec<u8>,
}

impl Pipe {
    pub(crate) fn new(stream: TcpStream, poller: &Poller, number: usize) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        poller.add(&stream, number)?;
        Ok(Self {
            stream,
            rest: Vec::new(),
            unsent: Vec::new(),
        })
    }

    /// Reads once into a buffer, behind the rest of what was read before. How many bytes the buffer has; none at the end of the
    /// stream.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let held = self.rest.len();
        match self.stream.read(&mut buffer[held..]) {
            Ok(0) => Ok(None),
            Ok(count) => {
                buffer[..held].copy_from_slice(&self.rest);
                self.rest.clear();
                Ok(Some(held + count))
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                buffer[..held].copy_from_slice(&self.rest);
                self.rest.clear();
                Ok(Some(held))
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many bytes are kept.
    pub(crate) fn held(&self) -> usize {
        self.rest.len()
    }

    /// Keeps what is no whole message yet.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.rest.extend_from_slice(rest);
    }

    /// Writes at once what the socket takes, and the rest when there is room.
    pub(crate) fn write(&mut self, bytes: &[u8], poller: &Poller, number: usize) -> io::Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Ok(());
        }
        let written = self.write_some(bytes)?;
        if written < bytes.len() {
            self.unsent.extend_from_slice(&bytes[written..]);
            poller.watch_writing(&self.stream, number, true)?;
        }
        Ok(())
    }

    /// Writes what waited for room.
    pub(crate) fn flush(&mut self, poller: &Poller, number: usize) -> io::Result<()> {
        let unsent = std::mem::take(&mut self.unsent);
        let written = self.write_some(&unsent)?;
        if written == unsent.len() {
            return poller.watch_writing(&self.stream, number, false);
        }
        self.unsent = unsent[written..].to_vec();
        Ok(())
    }

    /// How many bytes were written; all of them if the other end is gone, which the next read tells.
    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(bytes.len()),
            Err(error) => Err(error),
        }
    }
}
