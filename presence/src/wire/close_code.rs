//! Close codes of WebSockets: those of RFC 6455, section 7.4.1, that the server uses, and the daemon's own from 4000 on
//! (the private range of section 7.4.2).

/// The client is done.
pub const NORMAL: u16 = 1000;
/// The client goes away, as when a page is reloaded.
pub const GOING_AWAY: u16 = 1001;
/// The client broke RFC 6455.
pub const PROTOCOL_ERROR: u16 = 1002;
/// A text message that is not UTF-8.
pub const INVALID_TEXT: u16 = 1007;
/// A message is longer than the limit.
pub const MESSAGE_TOO_LONG: u16 = 1009;
/// An internal error of the server: reconnect after the delay given.
pub const INTERNAL: u16 = 1011;
/// The server restarts or drains: reconnect after the delay given.
pub const RESTART: u16 = 1012;
/// The token expired: get a new one, reconnect.
pub const EXPIRED: u16 = 4001;
/// Kicked by an operator: don't reconnect automatically.
pub const KICKED: u16 = 4003;
/// A limit was exceeded: don't reconnect automatically.
pub const ABUSIVE: u16 = 4008;
/// The client read too slowly: reconnect with the cursor.
pub const TOO_SLOW: u16 = 4009;
/// Forgotten by an operator: don't reconnect automatically.
pub const FORGOTTEN: u16 = 4010;
/// The user has too many sessions: reconnect later.
pub const TOO_MANY_SESSIONS: u16 = 4029;
