//! A socket that does not block, with what came in and is no whole message yet, and what it had no room for.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use crate::poller::Poller;

pub(crate) struct Pipe {
    stream: TcpStream,
    /// What was read and belongs to a message whose end has not come.
    rest: Vec<u8>,
    unsent: Vec<u8>,
    /// How much of that was written since.
    flushed: usize,
}

impl Pipe {
    /// The stream does not block.
    pub(crate) fn new(stream: TcpStream, poller: &Poller, number: usize) -> io::Result<Self> {
        poller.add(&stream, number)?;
        Ok(Self {
            stream,
            rest: Vec::new(),
            unsent: Vec::new(),
            flushed: 0,
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
        self.flushed += self.write_some(&unsent[self.flushed..])?;
        if self.flushed == unsent.len() {
            self.flushed = 0;
            return poller.watch_writing(&self.stream, number, false);
        }
        self.unsent = unsent;
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn pair(poller: &Poller) -> (Pipe, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = listener.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        (Pipe::new(stream, poller, 7).unwrap(), other)
    }

    #[test]
    fn kept_bytes_stand_before_those_that_are_read_next() {
        let mut poller = Poller::new().unwrap();
        let (mut pipe, mut other) = pair(&poller);
        pipe.keep(b"ab");
        let mut buffer = [0; 8];
        assert_eq!(pipe.read(&mut buffer).unwrap(), Some(2), "nothing has come");
        pipe.keep(&buffer[..2]);
        other.write_all(b"cd").unwrap();
        poller.wait(None, &mut Vec::new()).unwrap();
        assert_eq!(pipe.read(&mut buffer).unwrap(), Some(4));
        assert_eq!((&buffer[..4], pipe.held()), (b"abcd".as_slice(), 0));
        drop(other);
        poller.wait(None, &mut Vec::new()).unwrap();
        assert_eq!(pipe.read(&mut buffer).unwrap(), None, "the end of the stream");
    }

    #[test]
    fn bytes_without_room_are_written_later_and_in_order() {
        let mut poller = Poller::new().unwrap();
        let (mut pipe, mut other) = pair(&poller);
        let sent: Vec<u8> = (0..250).collect::<Vec<u8>>().repeat(80_000);
        pipe.write(&sent, &poller, 7).unwrap();
        assert!(!pipe.unsent.is_empty(), "more than a socket holds");
        pipe.write(b"end", &poller, 7).unwrap();
        let reader = std::thread::spawn(move || {
            let mut received = vec![0; 20_000_003];
            other.read_exact(&mut received).unwrap();
            received
        });
        while !pipe.unsent.is_empty() {
            let mut ready = Vec::new();
            poller.wait(None, &mut ready).unwrap();
            assert!(ready.iter().all(|ready| ready.is_writable));
            pipe.flush(&poller, 7).unwrap();
        }
        let received = reader.join().unwrap();
        assert!(received.starts_with(&sent) && received.ends_with(b"end"));
    }
}
