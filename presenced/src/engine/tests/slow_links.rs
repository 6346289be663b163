//! Clients behind slow links: what they were sent takes longer to arrive than a ping may take to be answered.

use std::time::Duration;

use super::fixture::user;
use super::stepped_engine::{Stepped, SteppedClient, TICK};
use crate::connection::close_reason::CloseReason;
use crate::connection::frame::Opcode;

const SECOND: Duration = Duration::from_secs(1);
/// How many bytes a second the link takes.
const RATE: usize = 1000;

/// A client that was sent a snapshot for which the link needs about a minute. All of it is in the socket.
async fn behind_a_snapshot(stepped: &Stepped) -> SteppedClient {
    let slow = stepped.connect("slow").await;
    slow.read_all();
    slow.acknowledge_late();
    let users = (0..400).map(|index| user(&format!("user-{index:0>20}"))).collect();
    let watched = stepped.engine.watch(&slow.conn, None, users, None).await;
    watched.expect("a watch");
    stepped.deliver();
    slow
}

#[tokio::test]
async fn a_client_on_a_slow_link_stays_connected() {
    let stepped = Stepped::new().await;
    let slow = behind_a_snapshot(&stepped).await;
    let mut seconds = 0;
    while slow.take_some(RATE) == RATE {
        stepped.advance(SECOND);
        assert_eq!(slow.conn.close_reason(), None, "after {seconds} s");
        seconds += 1;
    }
    assert!(seconds > 40, "{seconds} s are longer than a silent client may take");
    // The ping has arrived with the last bytes; the answer may take as long as any.
    stepped.advance(Duration::from_secs(8));
    assert_eq!(slow.conn.close_reason(), None);
    slow.conn.note_received(stepped.clock.mono(), None);
    stepped.advance(Duration::from_secs(24));
    assert_eq!(slow.conn.close_reason(), None);
}

#[tokio::test]
async fn a_client_whose_slow_link_dies_is_lost_in_time() {
    let stepped = Stepped::new().await;
    let slow = behind_a_snapshot(&stepped).await;
    for _ in 0..30 {
        slow.take_some(RATE);
        stepped.advance(SECOND + TICK);
    }
    for _ in 0..8 {
        stepped.advance(SECOND + TICK);
        assert_eq!(slow.conn.close_reason(), None);
    }
    stepped.advance(2 * SECOND);
    assert_eq!(slow.conn.close_reason(), Some(CloseReason::PingTimeout));
}

#[tokio::test]
async fn a_client_that_has_all_and_does_not_answer_is_lost_in_time() {
    let stepped = Stepped::new().await;
    let slow = behind_a_snapshot(&stepped).await;
    while slow.take_some(RATE) == RATE {
        stepped.advance(SECOND);
    }
    let mut waited = 0;
    while slow.conn.close_reason().is_none() {
        // Later data arrives all the time, which is no answer.
        slow.conn.send_text("{}");
        slow.read_all();
        stepped.advance(SECOND);
        waited += 1;
        assert!(waited <= 11, "{waited} s");
    }
    assert_eq!(slow.conn.close_reason(), Some(CloseReason::PingTimeout));
}

#[tokio::test]
async fn a_client_that_reports_activity_and_reads_nothing_is_too_slow() {
    let stepped = Stepped::new().await;
    let slow = behind_a_snapshot(&stepped).await;
    let mut waited = Duration::ZERO;
    while slow.conn.close_reason().is_none() {
        slow.conn.note_received(stepped.clock.mono(), None);
        stepped.advance(SECOND + TICK);
        waited += SECOND;
        assert!(waited <= Duration::from_secs(60));
    }
    assert_eq!(slow.conn.close_reason(), Some(CloseReason::TooSlow));
}

#[tokio::test]
async fn a_ping_that_does_not_fit_is_looked_after_soon() {
    let stepped = Stepped::new().await;
    // Room for the greeting alone.
    let ann = stepped.connect_with_room("ann", 17).await;
    stepped.advance(Duration::from_secs(25) + TICK);
    assert_eq!(ann.conn.close_reason(), None);
    // The ping leaves late, and the answer may take as long as any.
    stepped.advance(8 * SECOND);
    assert_eq!(ann.take_some(17), 17);
    // Its task is woken, finds room, and writes.
    for _ in 0..2 {
        ann.conn.attend().await;
    }
    assert_eq!(ann.frames(), [(Opcode::Ping as u8, Vec::new())]);
    stepped.advance(9 * SECOND);
    assert_eq!(ann.conn.close_reason(), None);
}
