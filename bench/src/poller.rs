//! An epoll set of sockets that are known by a number.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// What can be done with a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) number: usize,
    pub(crate) is_readable: bool,
    pub(crate) is_writable: bool,
}

/// How many sockets are handed out at a time.
const BATCH: usize = 512;

pub(crate) struct Poller {
    set: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            set: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(BATCH),
        })
    }

    /// Watches a socket for what can be read, until it is closed.
    pub(crate) fn add(&self, socket: impl AsFd, number: usize) -> io::Result<()> {
        Ok(epoll::add(
            &self.set,
            socket,
            EventData::new_u64(number as u64),
            EventFlags::IN,
        )?)
    }

    /// Whether the socket is also watched for room to write.
    pub(crate) fn watch_writing(&self, socket: impl AsFd, number: usize, is_watched: bool) -> io::Result<()> {
        let mut flags = EventFlags::IN;
        flags.set(EventFlags::OUT, is_watched);
        Ok(epoll::modify(
            &self.set,
            socket,
            EventData::new_u64(number as u64),
            flags,
        )?)
    }

    /// Waits until a socket is ready, for so long at most; without a limit for as long as it takes.
    pub(crate) fn wait(&mut self, limit: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let limit = limit.map(|limit| Timespec {
            tv_sec: limit.as_secs().cast_signed(),
            tv_nsec: limit.subsec_nanos().into(),
        });
        self.events.clear();
        match epoll::wait(&self.set, spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ends = EventFlags::HUP | EventFlags::ERR;
        ready.extend(self.events.drain(..).map(|event| {
            let flags = event.flags;
            Ready {
                number: event.data.u64() as usize,
                is_readable: flags.intersects(EventFlags::IN | ends),
                is_writable: flags.contains(EventFlags::OUT),
            }
        }));
        Ok(())
    }
}
