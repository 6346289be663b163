//! Where a change of custom status comes from.

use crate::sessions::SessionId;
use crate::status::Actor;

/// Whose change of custom status it is, and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setter {
    /// The user, over this connection: activity of that connection, if it has reported any.
    Connection(SessionId),
    /// The user, by a request: activity like that of one more session.
    Request,
    /// An operator: no activity.
    Operator,
}

impl Setter {
    /// The author of the change.
    #[must_use]
    pub const fn actor(self) -> Actor {
        match self {
            Self::Connection(_) | Self::Request => Actor::User,
            Self::Operator => Actor::Operator,
        }
    }
}
