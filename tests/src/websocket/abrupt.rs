//! Ends of a connection that wait for nothing of the server.

use super::Socket;
use super::task::Command;

impl Socket {
    /// Closes with this code; the server may be unable to answer.
    pub fn close_without_answer(self, code: u16) {
        self.commands.send(Command::Close(Some(code))).ok();
    }

    /// Closes the connection with a reset.
    pub fn reset(self) {
        self.commands.send(Command::Reset).ok();
    }
}
