//! What connections do to the engine. STUB: signatures are agreed, bodies follow.

use std::sync::Arc;

use presence::wire::client::MessageId;
use presence::wire::record::Record;
use presence::{Cursor, End, UserId};

use super::{Engine, EngineError};
use crate::hub::conn::Conn;

/// The user has as many connections as one may have (4029).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManySessions;

/// Why a watch was refused; nothing was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchRefused {
    /// More users than one connection may watch.
    TooManyWatched,
    /// The store can't say who they are.
    StoreUnavailable,
}

impl Engine {
    /// The user is there with this connection. Waits for the store for 150 ms at most. Own view, for `welcome`.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        _user: &UserId,
        _conn: &Arc<Conn>,
    ) -> Result<Record, TooManySessions> {
        unimplemented!()
    }

    /// A frame of any kind arrived (call at most once a read).
    pub(crate) fn heard(&self, _conn: &Conn) {
        unimplemented!()
    }

    /// The user did something. The own record.
    pub(crate) fn activity(&self, _conn: &Conn) -> Option<Record> {
        unimplemented!()
    }

    /// The user went away. The own record.
    pub(crate) fn away(&self, _conn: &Conn) -> Option<Record> {
        unimplemented!()
    }

    /// The connection ended: its session (if it is a user's and was not ended by a kick) and all its watches. Idempotent.
    pub(crate) fn end(&self, _conn: &Arc<Conn>, _end: End) {
        unimplemented!()
    }

    /// Adds to what is watched and queues the snapshot as the answer to `id`.
    pub(crate) async fn watch(
        &self,
        _conn: &Arc<Conn>,
        _id: Option<MessageId>,
        _users: Vec<UserId>,
        _since: Option<Cursor>,
    ) -> Result<(), WatchRefused> {
        unimplemented!()
    }

    /// Watches everyone and queues the snapshot as the answer to `id`. Observers only: the caller checks.
    pub(crate) async fn watch_all(
        &self,
        _conn: &Arc<Conn>,
        _id: Option<MessageId>,
        _since: Option<Cursor>,
    ) -> Result<(), WatchRefused> {
        unimplemented!()
    }

    /// Takes from what is watched; ids that are not watched are no error.
    pub(crate) fn unwatch(&self, _conn: &Conn, _users: &[UserId]) {
        unimplemented!()
    }
}
