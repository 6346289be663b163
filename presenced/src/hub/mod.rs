//! Who watches whom, outboxes, sockets.

pub(crate) mod conn;
