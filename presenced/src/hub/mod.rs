//! Who watches whom, outboxes, sockets.
