//! Tokens of open connections, on a system's clock that is set and a process that stalls.

use std::time::Duration;

use super::stepped_engine::{BEGIN, Stepped, TICK};
use super::wrong_clocks::HOUR;
use crate::connection::close_reason::CloseReason;

#[tokio::test]
async fn a_token_expires_on_the_systems_clock_and_not_before() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect_until("ann", BEGIN.after(Duration::from_secs(20))).await;
    stepped.advance(Duration::from_secs(20) - TICK);
    assert_eq!(ann.conn.close_reason(), None);
    stepped.advance(2 * TICK);
    assert_eq!(ann.conn.close_reason(), Some(CloseReason::TokenExpired));
}

#[tokio::test]
async fn a_stall_gives_no_token_a_longer_life() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect_until("ann", BEGIN.after(Duration::from_secs(20))).await;
    let bob = stepped.connect_until("bob", BEGIN.after(Duration::from_secs(61))).await;
    let without = stepped.connect("without").await;
    stepped.clock.stall(Duration::from_secs(60));
    stepped.beat();
    assert_eq!(ann.conn.close_reason(), Some(CloseReason::TokenExpired));
    assert_eq!((bob.conn.close_reason(), without.conn.close_reason()), (None, None));
    stepped.advance(Duration::from_secs(1) + TICK);
    assert_eq!(bob.conn.close_reason(), Some(CloseReason::TokenExpired));
    assert_eq!(without.conn.close_reason(), None);
}

#[tokio::test]
async fn a_step_of_the_clock_decides_which_tokens_have_expired() {
    let stepped = Stepped::new().await;
    let ann = stepped.connect_until("ann", BEGIN.after(HOUR)).await;
    let bob = stepped.connect_until("bob", BEGIN.after(3 * HOUR)).await;
    stepped.beat();
    stepped.clock.set_wall(BEGIN.after(2 * HOUR));
    stepped.beat();
    assert_eq!(ann.conn.close_reason(), Some(CloseReason::TokenExpired));
    assert_eq!(bob.conn.close_reason(), None);
    stepped.clock.set_wall(BEGIN.after(3 * HOUR));
    stepped.beat();
    assert_eq!(bob.conn.close_reason(), Some(CloseReason::TokenExpired));
}

#[tokio::test]
async fn a_clock_that_was_ahead_at_the_connect_shortens_no_tokens_life() {
    let stepped = Stepped::new().await;
    stepped.clock.set_wall(BEGIN.after(HOUR));
    let ann = stepped
        .connect_until("ann", BEGIN.after(HOUR + Duration::from_secs(5)))
        .await;
    stepped.clock.set_wall(BEGIN);
    stepped.beat();
    stepped.advance(Duration::from_secs(20));
    assert_eq!(ann.conn.close_reason(), None);
}
