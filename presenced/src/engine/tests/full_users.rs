//! Users with as many sessions as one may have: the dead ones make room soon, and the living ones stay.

use std::time::Duration;

use presence::EndReason;

use super::stepped_engine::{Stepped, SteppedClient, TICK};
use crate::connection::close_reason::CloseReason;
use crate::connection::frame::Opcode;
use crate::engine::EngineError;

const SECOND: Duration = Duration::from_secs(1);
/// How long an answer may take that is demanded.
const PROMPT: Duration = Duration::from_secs(4);
/// When a client is to come again if a place may be free then.
const SOON: Option<Duration> = Some(Duration::from_secs(5));
/// When it is to come again otherwise.
const LATER: Option<Duration> = Some(Duration::from_secs(30));
/// What a client takes that reads.
const ROOM: usize = 1 << 20;

/// As many sessions as ann may have. What they were sent so far is read.
async fn full(stepped: &Stepped) -> Vec<SteppedClient> {
    let mut sessions = Vec::new();
    for _ in 0..stepped.engine.options.limits.load().sessions_per_user {
        sessions.push(stepped.connect("ann").await);
    }
    assert_eq!(sessions.iter().map(pings).sum::<usize>(), 0);
    sessions
}

/// One session more: when its client is to come again, if there is no place.
async fn retry_delay(stepped: &Stepped) -> Option<Duration> {
    match stepped.try_connect("ann", ROOM).await {
        Ok(_) => None,
        Err(EngineError::TooManySessions { retry_after }) => Some(retry_after),
        Err(other) => panic!("{other}"),
    }
}

/// How many pings a client was sent since the last call.
fn pings(client: &SteppedClient) -> usize {
    let is_ping = |frame: &(u8, Vec<u8>)| frame.0 == Opcode::Ping as u8;
    client.frames().iter().filter(|frame| is_ping(frame)).count()
}

fn hear(stepped: &Stepped, client: &SteppedClient) {
    client.conn.note_received(stepped.clock.mono(), None);
}

fn reasons(sessions: &[SteppedClient]) -> Vec<Option<CloseReason>> {
    sessions.iter().map(|session| session.conn.close_reason()).collect()
}

#[tokio::test]
async fn dead_sessions_make_room_before_they_would_be_pinged() {
    let stepped = Stepped::new().await;
    let sessions = full(&stepped).await;
    stepped.advance(10 * SECOND);
    assert_eq!(retry_delay(&stepped).await, SOON);
    assert_eq!(sessions.iter().map(pings).collect::<Vec<_>>(), [1; 4]);
    stepped.advance(PROMPT - SECOND);
    assert_eq!(reasons(&sessions), [None; 4], "an answer may take that long");
    assert_eq!(retry_delay(&stepped).await, SOON);
    assert_eq!(sessions.iter().map(pings).sum::<usize>(), 0, "one ping each");
    stepped.advance(SECOND + TICK);
    assert_eq!(reasons(&sessions), [Some(CloseReason::PingTimeout); 4]);
    assert_eq!(retry_delay(&stepped).await, SOON, "they are about to leave");
    stepped.disconnect(&sessions[0], EndReason::Lost);
    assert_eq!(retry_delay(&stepped).await, None, "one has left");
}

#[tokio::test]
async fn sessions_that_answer_stay_and_are_not_asked_again() {
    let stepped = Stepped::new().await;
    let sessions = full(&stepped).await;
    stepped.advance(10 * SECOND);
    assert_eq!(retry_delay(&stepped).await, SOON);
    assert_eq!(sessions.iter().map(pings).sum::<usize>(), 4);
    stepped.advance(PROMPT - SECOND);
    for session in &sessions {
        hear(&stepped, session);
    }
    // They answer nothing more, and nothing is asked for a ping interval but what the keepalive asks anyway.
    for second in 3..25 {
        assert_eq!(retry_delay(&stepped).await, LATER, "{second} s");
        stepped.advance(SECOND);
    }
    assert_eq!(sessions.iter().map(pings).sum::<usize>(), 0);
    assert_eq!(reasons(&sessions), [None; 4]);
    assert_eq!(
        retry_delay(&stepped).await,
        SOON,
        "a ping interval after the first time"
    );
    assert_eq!(sessions.iter().map(pings).collect::<Vec<_>>(), [1; 4]);
}

#[tokio::test]
async fn only_sessions_not_heard_lately_are_asked() {
    let stepped = Stepped::new().await;
    let sessions = full(&stepped).await;
    let other = stepped.connect("other").await;
    other.read_all();
    stepped.advance(10 * SECOND);
    for session in &sessions {
        hear(&stepped, session);
    }
    stepped.advance(PROMPT - TICK);
    assert_eq!(retry_delay(&stepped).await, LATER);
    for session in &sessions[..3] {
        hear(&stepped, session);
    }
    stepped.advance(TICK);
    assert_eq!(retry_delay(&stepped).await, SOON, "one may be dead");
    assert_eq!(sessions.iter().map(pings).collect::<Vec<_>>(), [0, 0, 0, 1]);
    assert_eq!(pings(&other), 0, "of another user");
    stepped.advance(PROMPT + TICK);
    assert_eq!(reasons(&sessions), [None, None, None, Some(CloseReason::PingTimeout)]);
}

#[tokio::test]
async fn a_ping_under_way_must_be_answered_soon() {
    let stepped = Stepped::new().await;
    let sessions = full(&stepped).await;
    stepped.advance(25 * SECOND + TICK);
    assert_eq!(sessions.iter().map(pings).collect::<Vec<_>>(), [1; 4]);
    stepped.advance(SECOND);
    assert_eq!(retry_delay(&stepped).await, SOON);
    stepped.advance(PROMPT - SECOND - TICK);
    assert_eq!(reasons(&sessions), [None; 4]);
    stepped.advance(2 * TICK);
    assert_eq!(reasons(&sessions), [Some(CloseReason::PingTimeout); 4]);
    assert_eq!(sessions.iter().map(pings).sum::<usize>(), 0, "no second ping");
}

#[tokio::test]
async fn a_ping_long_unanswered_ends_its_session_at_once() {
    let stepped = Stepped::new().await;
    let sessions = full(&stepped).await;
    stepped.advance(25 * SECOND + TICK);
    stepped.advance(6 * SECOND);
    assert_eq!(reasons(&sessions), [None; 4]);
    assert_eq!(retry_delay(&stepped).await, SOON);
    stepped.advance(TICK);
    assert_eq!(reasons(&sessions), [Some(CloseReason::PingTimeout); 4]);
}

#[tokio::test]
async fn a_session_with_unsent_data_is_left_to_the_slow_reader_rule() {
    let stepped = Stepped::new().await;
    let mut sessions = full(&stepped).await;
    stepped.disconnect(&sessions.pop().expect("four"), EndReason::Closed);
    let slow = stepped.connect_with_room("ann", 50).await;
    stepped.advance(20 * SECOND);
    slow.conn.send_text(&"x".repeat(100));
    for session in &sessions {
        hear(&stepped, session);
    }
    assert_eq!(retry_delay(&stepped).await, LATER);
    stepped.advance(PROMPT + SECOND);
    assert_eq!(slow.conn.close_reason(), None);
    stepped.advance(25 * SECOND + TICK);
    assert_eq!(slow.conn.close_reason(), Some(CloseReason::TooSlow));
}

#[tokio::test]
async fn a_session_on_a_slow_link_has_its_time_to_answer() {
    let stepped = Stepped::new().await;
    let sessions = full(&stepped).await;
    let slow = &sessions[3];
    slow.acknowledge_late();
    slow.conn.send_text(&"x".repeat(10_000));
    stepped.advance(5 * SECOND);
    assert_eq!(retry_delay(&stepped).await, SOON);
    for _ in 0..9 {
        slow.take_some(1000);
        stepped.advance(SECOND);
        assert_eq!(slow.conn.close_reason(), None, "the ping is on its way");
    }
    assert_eq!(reasons(&sessions[..3]), [Some(CloseReason::PingTimeout); 3]);
    slow.read_all();
    stepped.advance(SECOND);
    hear(&stepped, slow);
    stepped.advance(PROMPT + SECOND);
    assert_eq!(slow.conn.close_reason(), None);
}

#[tokio::test]
async fn a_dead_session_makes_room_although_it_was_sent_data() {
    let stepped = Stepped::new().await;
    let sessions = full(&stepped).await;
    sessions[0].acknowledge_late();
    sessions[0].conn.send_text(&"x".repeat(1000));
    stepped.advance(5 * SECOND);
    assert_eq!(retry_delay(&stepped).await, SOON);
    stepped.advance(PROMPT + TICK);
    assert_eq!(reasons(&sessions), [Some(CloseReason::PingTimeout); 4]);
}

#[tokio::test]
async fn a_user_that_has_room_is_asked_nothing() {
    let stepped = Stepped::new().await;
    let sessions = full(&stepped).await;
    stepped.disconnect(&sessions[3], EndReason::Closed);
    stepped.advance(10 * SECOND);
    assert_eq!(retry_delay(&stepped).await, None);
    assert_eq!(sessions.iter().map(pings).sum::<usize>(), 0);
}

#[tokio::test]
async fn a_session_about_to_end_is_not_asked_and_soon_makes_room() {
    let stepped = Stepped::new().await;
    let sessions = full(&stepped).await;
    stepped.advance(10 * SECOND);
    sessions[0].conn.close_with(CloseReason::TooSlow);
    for session in &sessions[1..] {
        hear(&stepped, session);
    }
    assert_eq!(retry_delay(&stepped).await, SOON);
    assert_eq!(sessions.iter().map(pings).sum::<usize>(), 0);
}
