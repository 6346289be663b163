//! Sending: the only place that writes to a client's socket. A caller with something to send writes it straight to the
//! socket if that is free; what the socket does not take is kept, and the connection's task writes it when there is room.
//! No caller waits, and no task is woken for a delivery.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use super::Connection;
use super::frame::{self, Opcode};
use super::keepalive::UNSENT_CHECK_INTERVAL;
use super::outbox::{Accepted, AfterWrite, DeliveryResult, Marked, Outbox};
use super::user_pin::{UserPin, UserRef};

impl Connection {
    /// Sends the first message, the greeting. Changes are delivered from then on.
    pub(crate) fn send_greeting(self: &Arc<Self>, payload: &str) {
        self.send_frame(
            &frame::encode(Opcode::Text, payload.as_bytes()),
            Outbox::accept_greeting,
        );
    }

    /// Sends this with the first frame, and before it: what is left of the handshake.
    pub(crate) fn send_with_next(&self, bytes: Vec<u8>) {
        self.outbox.lock().hold(bytes);
    }

    /// Sends a text message, after everything that waits.
    pub(crate) fn send_text(self: &Arc<Self>, payload: &str) {
        self.send_frame(&frame::encode(Opcode::Text, payload.as_bytes()), Outbox::accept);
    }

    /// Sends a frame of another kind (a control frame's payload is at most 125 bytes).
    pub(crate) fn send_control(self: &Arc<Self>, opcode: Opcode, payload: &[u8]) {
        self.send_frame(&frame::encode(opcode, payload), Outbox::accept);
    }

    /// Sends the close frame, the last frame ever: everything sent later is dropped.
    pub(crate) fn send_close(self: &Arc<Self>, code: Option<u16>, reason: &str) {
        self.send_frame(&frame::close(code, reason), Outbox::accept_close);
    }

    /// A user that the connection watches changed. Whether that was conflated with an earlier change; `ready` collects the
    /// connections that must be put into the ready queue.
    pub(crate) fn mark_dirty(
        self: &Arc<Self>,
        pin: impl FnOnce() -> UserPin,
        user: UserRef,
        number: u64,
        ready: &mut Vec<Arc<Self>>,
    ) -> bool {
        let marked = self.outbox.lock().mark_dirty(pin, user, number);
        if marked == Marked::Queue {
            ready.push(Arc::clone(self));
        }
        marked == Marked::Conflated
    }

    /// The node may be out of date, or is right again; `ready` collects the connections that must be put into the ready queue.
    pub(crate) fn set_stale(self: &Arc<Self>, is_stale: bool, ready: &mut Vec<Arc<Self>>) {
        if self.outbox.lock().set_stale(is_stale) {
            ready.push(Arc::clone(self));
        }
    }

    /// Ends a turn of the delivery with the frame it made (empty, if there was nothing to send). How many changes were
    /// conflated meanwhile.
    pub(crate) fn finish_turn(self: &Arc<Self>, frame: &[u8], result: DeliveryResult, told: &[(UserRef, u64)]) -> u64 {
        let written = self.write(frame);
        let mut outbox = self.outbox.lock();
        let conflated = outbox.finish_turn(result, told);
        let after = self.after_write(&mut outbox, frame, written);
        drop(outbox);
        self.go_on(after);
        conflated
    }

    /// Writes what the socket did not take, now that it has room.
    pub(super) fn flush(self: &Arc<Self>) {
        let unsent = self.outbox.lock().resume_writing();
        if let Some(bytes) = unsent {
            self.go_on(AfterWrite::Write(bytes));
        }
    }

    fn send_frame(self: &Arc<Self>, frame: &[u8], accept: impl FnOnce(&mut Outbox, &[u8]) -> Accepted) {
        let accepted = accept(&mut self.outbox.lock(), frame);
        match accepted {
            Accepted::WriteNow => {
                let written = self.write(frame);
                let after = self.after_write(&mut self.outbox.lock(), frame, written);
                self.go_on(after);
            }
            Accepted::WriteAll(bytes) => self.go_on(AfterWrite::Write(bytes)),
            Accepted::Waits | Accepted::Dropped => {}
        }
    }

    /// Writes what was appended meanwhile until nothing is left or the socket is full, and wakes the delivery and the reader.
    fn go_on(self: &Arc<Self>, mut after: AfterWrite) {
        while let AfterWrite::Write(bytes) = after {
            let written = self.write(&bytes);
            after = self.after_write(&mut self.outbox.lock(), &bytes, written);
        }
        match after {
            AfterWrite::Blocked => {
                let now = self.context.clock.mono();
                let outgoing = self.outgoing();
                self.timing.lock().keepalive.on_blocked(now, &outgoing);
                let write_timeout = self.keepalive_options(now).write_timeout;
                self.arm(now.after(write_timeout.min(UNSENT_CHECK_INTERVAL)));
                self.wake.notify();
            }
            AfterWrite::Done(wakeups) => {
                if wakeups.delivery {
                    self.context.ready.push(Arc::clone(self));
                }
                if wakeups.reader {
                    self.wake.notify();
                }
            }
            AfterWrite::Broken => self.wake.notify(),
            AfterWrite::Write(_) => {}
        }
    }

    fn after_write(&self, outbox: &mut Outbox, bytes: &[u8], written: io::Result<usize>) -> AfterWrite {
        match written {
            Ok(count) => outbox.written(bytes, count, || self.context.clock.mono()),
            // The reader will see it too, and end the session.
            Err(_) => outbox.break_off(),
        }
    }

    /// Writes until all is gone or the socket is full. How many bytes it took.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut count = 0;
        while let Some(rest) = bytes.get(count..).filter(|rest| !rest.is_empty()) {
            match self.socket.try_write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }
}
