//! Connections as the engine sees them: which changes each is still to be sent, what waits to be sent, and the socket it goes to.
//! No rule of presence lives here, and no record is encoded here: the engine's delivery does that.

pub(crate) mod conn;
pub(crate) mod drain;
pub(crate) mod frame;
pub(crate) mod heart;
pub(crate) mod outbox;
pub(crate) mod ready;
pub(crate) mod verdict;
pub(crate) mod wheel;
