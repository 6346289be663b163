//! The outbox alone: phases, the right to write, and what a turn of the delivery takes and gives back.

mod memory;
mod staleness;

use std::sync::Arc;

use super::*;
use crate::connection::user_pin::{PinCount, ReleasedUsers};

/// Entries to mark, and what their pins release.
#[derive(Default)]
struct Entries {
    released: Arc<ReleasedUsers>,
}

impl Entries {
    fn mark(&self, outbox: &mut Outbox, slot: usize, number: u64) -> Marked {
        let user = UserRef::new(0, slot);
        let pin = || PinCount::new(user, Arc::clone(&self.released)).pin();
        outbox.mark_dirty(pin, user, number)
    }

    /// A snapshot of one user.
    fn snapshot_of(&self, slot: usize) -> Snapshot {
        let pin = PinCount::new(UserRef::new(0, slot), Arc::clone(&self.released)).pin();
        Snapshot {
            rest: Rest::Changed {
                users: vec![pin],
                removed: Vec::new(),
            },
            ..snapshot()
        }
    }
}

fn at(millis: u64) -> Mono {
    Mono::from_millis(millis)
}

fn open() -> Outbox {
    let mut outbox = Outbox::default();
    assert_eq!(outbox.accept_greeting(b"hello"), Accepted::WriteNow);
    let after = outbox.written(b"hello", 5, || at(0));
    assert_eq!(after, AfterWrite::Done(Wakeups::default()));
    outbox
}

fn snapshot() -> Snapshot {
    Snapshot {
        id: None,
        resumed: false,
        rest: Rest::Named(Vec::new()),
    }
}

/// Ends the turn as the delivery does that sent everything.
fn finish(outbox: &mut Outbox, turn: &DeliveryTurn) -> AfterWrite {
    let result = DeliveryResult {
        complete_to: turn.complete_to,
        ..DeliveryResult::default()
    };
    outbox.finish_turn(result, &[]);
    outbox.written(b"", 0, || at(0))
}

#[test]
fn a_change_waits_for_the_snapshot_that_is_being_prepared() {
    let (entries, mut outbox) = (Entries::default(), open());
    outbox.begin_preparing();
    assert_eq!(entries.mark(&mut outbox, 1, 1), Marked::Later);
    assert!(outbox.begin_turn().is_none());
    assert!(outbox.finish_preparing(Some(snapshot())), "now there is something");
    let turn = outbox.begin_turn().expect("a turn");
    assert!(turn.snapshot.is_some() && !turn.has_more_snapshots);
}

#[test]
fn a_cursor_does_not_move_while_another_watch_is_being_prepared() {
    let mut outbox = open();
    outbox.begin_preparing();
    outbox.begin_preparing();
    assert!(outbox.finish_preparing(Some(snapshot())));
    assert!(outbox.begin_turn().expect("a turn").has_more_snapshots);
}

#[test]
fn a_cursor_does_not_move_while_another_snapshot_is_in_line() {
    let mut outbox = open();
    for _ in 0..2 {
        outbox.begin_preparing();
        outbox.finish_preparing(Some(snapshot()));
    }
    for has_more in [true, false] {
        let turn = outbox.begin_turn().expect("a turn");
        assert_eq!(turn.has_more_snapshots, has_more);
        finish(&mut outbox, &turn);
    }
}

#[test]
fn the_rest_of_a_snapshot_is_sent_before_the_next() {
    let mut outbox = open();
    for resumed in [true, false] {
        let next = Snapshot { resumed, ..snapshot() };
        outbox.begin_preparing();
        outbox.finish_preparing(Some(next));
    }
    let turn = outbox.begin_turn().expect("a turn");
    let result = DeliveryResult {
        snapshot: turn.snapshot,
        ..DeliveryResult::default()
    };
    outbox.finish_turn(result, &[]);
    outbox.written(b"", 0, || at(0));
    for resumed in [true, false] {
        let turn = outbox.begin_turn().expect("a turn");
        assert_eq!(turn.snapshot.as_ref().map(|next| next.resumed), Some(resumed));
        finish(&mut outbox, &turn);
    }
}

#[test]
fn a_session_that_ended_before_its_greeting_is_not_opened() {
    let (entries, mut outbox) = (Entries::default(), Outbox::default());
    assert!(outbox.end());
    assert_eq!(outbox.accept_greeting(b"hello"), Accepted::WriteNow);
    assert!(!outbox.end(), "it ended already");
    assert_eq!(entries.mark(&mut outbox, 1, 1), Marked::Gone);
}

#[test]
fn nothing_is_delivered_before_the_greeting_or_after_the_end() {
    let (entries, mut outbox) = (Entries::default(), Outbox::default());
    assert_eq!(entries.mark(&mut outbox, 1, 1), Marked::Later);
    assert!(outbox.begin_turn().is_none());
    assert_eq!(outbox.accept_greeting(b"hello"), Accepted::WriteNow);
    let after = outbox.written(b"hello", 5, || at(0));
    assert!(matches!(after, AfterWrite::Done(Wakeups { delivery: true, .. })));
    assert!(outbox.end() && !outbox.end(), "it ends once");
    assert_eq!(entries.released.take(), vec![UserRef::new(0, 1)]);
    assert_eq!(entries.mark(&mut outbox, 2, 2), Marked::Gone);
    assert!(outbox.begin_turn().is_none());
}

#[test]
fn changes_of_one_user_are_conflated_however_many() {
    let (entries, mut outbox) = (Entries::default(), open());
    assert_eq!(entries.mark(&mut outbox, 1, 1), Marked::Queue);
    for number in 2..1000 {
        assert_eq!(entries.mark(&mut outbox, 1, number), Marked::Conflated);
    }
    assert_eq!(outbox.dirty.len(), 1);
    assert_eq!(
        entries.mark(&mut outbox, 2, 1000),
        Marked::Later,
        "it is queued already"
    );
}

#[test]
fn a_change_that_a_turn_told_already_is_not_told_again() {
    let (entries, mut outbox) = (Entries::default(), open());
    let user = UserRef::new(0, 1);
    for (told_to, marked, left) in [(5, 5, 0), (5, 6, 1), (5, 4, 0)] {
        entries.mark(&mut outbox, 1, 3);
        let turn = outbox.begin_turn().expect("a turn");
        assert_eq!(turn.dirty.get(user), Some(3));
        // The record is read while another change is published.
        entries.mark(&mut outbox, 1, marked);
        let conflated = outbox.finish_turn(DeliveryResult::default(), &[(user, told_to)]);
        assert_eq!(conflated, 1 - left as u64, "told to {told_to}, marked {marked}");
        assert_eq!(outbox.dirty.len(), left, "told to {told_to}, marked {marked}");
        outbox.written(b"", 0, || at(0));
        outbox.dirty.retain(|_| false);
        outbox.is_queued = false;
    }
}

#[test]
fn a_user_left_by_a_turn_keeps_the_later_change_number() {
    let (entries, mut outbox) = (Entries::default(), open());
    entries.mark(&mut outbox, 1, 3);
    let turn = outbox.begin_turn().expect("a turn");
    entries.mark(&mut outbox, 1, 7);
    let result = DeliveryResult {
        left: turn.dirty,
        complete_to: 2,
        ..DeliveryResult::default()
    };
    outbox.finish_turn(result, &[]);
    assert_eq!(outbox.dirty.get(UserRef::new(0, 1)), Some(7));
    assert_eq!(outbox.complete_to, 2);
}

#[test]
fn a_second_mark_during_a_turn_raises_the_change_number() {
    let (entries, mut outbox) = (Entries::default(), open());
    entries.mark(&mut outbox, 1, 3);
    outbox.begin_turn().expect("a turn");
    entries.mark(&mut outbox, 1, 4);
    assert_eq!(entries.mark(&mut outbox, 1, 6), Marked::Conflated);
    outbox.finish_turn(DeliveryResult::default(), &[(UserRef::new(0, 1), 5)]);
    assert_eq!(outbox.dirty.get(UserRef::new(0, 1)), Some(6));
}

#[test]
fn users_that_did_not_fit_stay_dirty() {
    for meanwhile in [None, Some(3)] {
        let (entries, mut outbox) = (Entries::default(), open());
        entries.mark(&mut outbox, 1, 1);
        entries.mark(&mut outbox, 2, 2);
        let turn = outbox.begin_turn().expect("a turn");
        meanwhile.map(|slot| entries.mark(&mut outbox, slot, 9));
        let result = DeliveryResult {
            left: turn.dirty,
            ..DeliveryResult::default()
        };
        outbox.finish_turn(result, &[]);
        let number = |slot| outbox.dirty.get(UserRef::new(0, slot));
        assert_eq!((number(1), number(2)), (Some(1), Some(2)), "{meanwhile:?}");
        assert_eq!(number(3), meanwhile.map(|_| 9));
    }
}

#[test]
fn a_session_that_ends_releases_everything_undelivered() {
    let (entries, mut outbox) = (Entries::default(), open());
    outbox.begin_preparing();
    outbox.finish_preparing(Some(entries.snapshot_of(1)));
    outbox.end();
    assert_eq!(entries.released.take(), vec![UserRef::new(0, 1)], "a snapshot in line");
    let mut outbox = open();
    outbox.begin_preparing();
    outbox.end();
    outbox.finish_preparing(Some(entries.snapshot_of(2)));
    assert_eq!(entries.released.take(), vec![UserRef::new(0, 2)], "a late snapshot");
    let mut outbox = open();
    entries.mark(&mut outbox, 3, 1);
    let turn = outbox.begin_turn().expect("a turn");
    outbox.end();
    let result = DeliveryResult {
        left: turn.dirty,
        snapshot: Some(entries.snapshot_of(4)),
        complete_to: 1,
    };
    outbox.finish_turn(result, &[]);
    let mut released = entries.released.take();
    released.sort_unstable();
    let expected = vec![UserRef::new(0, 3), UserRef::new(0, 4)];
    assert_eq!(released, expected, "what a turn did not send");
}

#[test]
fn one_turn_at_a_time_and_frames_meanwhile_are_appended() {
    let (entries, mut outbox) = (Entries::default(), open());
    entries.mark(&mut outbox, 1, 1);
    let turn = outbox.begin_turn().expect("a turn");
    entries.mark(&mut outbox, 2, 2);
    assert!(outbox.begin_turn().is_none());
    assert_eq!(outbox.accept(b"pong"), Accepted::Waits);
    assert_eq!(finish(&mut outbox, &turn), AfterWrite::Write(b"pong".to_vec()));
    let after = outbox.written(b"pong", 4, || at(0));
    assert!(matches!(after, AfterWrite::Done(Wakeups { delivery: true, .. })));
}

#[test]
fn unsent_bytes_go_first_and_keep_their_blocked_since() {
    let mut outbox = open();
    assert_eq!(outbox.accept(b"abcd"), Accepted::WriteNow);
    assert_eq!(outbox.accept(b"ef"), Accepted::Waits);
    assert_eq!(outbox.written(b"abcd", 1, || at(10)), AfterWrite::Blocked);
    assert_eq!((outbox.blocked_since(), outbox.is_flushed()), (Some(at(10)), false));
    let rest = outbox.resume_writing().expect("something unsent");
    assert_eq!(rest, b"bcdef");
    assert!(outbox.resume_writing().is_none(), "one writer at a time");
    assert_eq!(outbox.written(&rest, 0, || at(20)), AfterWrite::Blocked);
    assert_eq!(outbox.blocked_since(), Some(at(10)), "no progress since then");
    let rest = outbox.resume_writing().expect("something unsent");
    assert_eq!(outbox.written(&rest, 2, || at(30)), AfterWrite::Blocked);
    assert_eq!(outbox.blocked_since(), Some(at(30)));
    let rest = outbox.resume_writing().expect("something unsent");
    assert!(matches!(outbox.written(&rest, 3, || at(40)), AfterWrite::Done(_)));
    assert_eq!((outbox.blocked_since(), outbox.is_flushed()), (None, true));
}

#[test]
fn a_write_under_way_is_not_flushed_and_stays_blocked() {
    let mut outbox = open();
    assert_eq!(outbox.accept(b"abcd"), Accepted::WriteNow);
    assert_eq!((outbox.is_flushed(), outbox.blocked_since()), (false, None));
    assert_eq!(outbox.written(b"abcd", 1, || at(10)), AfterWrite::Blocked);
    let rest = outbox.resume_writing().expect("something unsent");
    assert_eq!((outbox.is_flushed(), outbox.blocked_since()), (false, Some(at(10))));
    assert!(matches!(outbox.written(&rest, 3, || at(20)), AfterWrite::Done(_)));
}

#[test]
fn a_broken_socket_is_sent_nothing_and_its_session_ends_once() {
    let (entries, mut outbox) = (Entries::default(), open());
    for _ in 0..=SNAPSHOTS_WAITING_MAX {
        outbox.begin_preparing();
        outbox.finish_preparing(Some(snapshot()));
    }
    let turn = outbox.begin_turn().expect("a turn");
    assert_eq!(outbox.accept(b"pong"), Accepted::Waits);
    assert!(outbox.pause_reading());
    outbox.finish_turn(DeliveryResult::default(), &[]);
    assert!(turn.has_more_snapshots);
    assert_eq!(outbox.break_off(), AfterWrite::Broken);
    assert!(!outbox.pause_reading(), "its end is found by reading");
    assert_eq!((outbox.is_flushed(), outbox.blocked_since()), (true, None));
    assert_eq!(outbox.accept(b"late"), Accepted::Dropped);
    assert_eq!(entries.mark(&mut outbox, 1, 1), Marked::Gone);
    assert!(outbox.begin_turn().is_none());
    assert!(outbox.end() && !outbox.end());
    assert_eq!(outbox.accept(b"goodbye"), Accepted::Dropped);
}

#[test]
fn after_the_close_frame_nothing_is_taken() {
    let mut outbox = open();
    assert_eq!(outbox.accept(b"goodbye"), Accepted::WriteNow);
    assert_eq!(outbox.accept_close(b"close"), Accepted::Waits);
    assert_eq!(outbox.accept(b"late"), Accepted::Dropped);
    assert_eq!(outbox.accept_close(b"close"), Accepted::Dropped);
    assert_eq!(
        outbox.written(b"goodbye", 7, || at(0)),
        AfterWrite::Write(b"close".to_vec())
    );
    assert!(outbox.end());
    assert_eq!(outbox.accept(b"late"), Accepted::Dropped);
}

#[test]
fn an_ended_session_may_still_be_sent_its_goodbye() {
    let mut outbox = open();
    assert!(outbox.end());
    assert_eq!(outbox.accept(b"goodbye"), Accepted::WriteNow);
    assert_eq!(outbox.accept_close(b"close"), Accepted::Waits);
    assert_eq!(outbox.accept(b"late"), Accepted::Dropped);
    assert!(!outbox.end(), "it ended already");
}

#[test]
fn a_paused_reader_is_resumed_once_when_the_backlog_is_gone() {
    let mut outbox = open();
    let long = vec![0; BACKLOG_MAX_BYTES + 2];
    assert_eq!(outbox.accept(&long), Accepted::WriteNow);
    assert_eq!(outbox.written(&long, 1, || at(0)), AfterWrite::Blocked);
    assert!(outbox.pause_reading());
    let rest = outbox.resume_writing().expect("something unsent");
    let after = outbox.written(&rest, rest.len(), || at(0));
    assert!(matches!(after, AfterWrite::Done(Wakeups { reader: true, .. })));
    assert_eq!(outbox.accept(b"pong"), Accepted::WriteNow);
    let after = outbox.written(b"pong", 4, || at(0));
    assert_eq!(after, AfterWrite::Done(Wakeups::default()), "it runs already");
    assert!(!outbox.pause_reading() && !outbox.resume_reading());
}

#[test]
fn four_waiting_snapshots_pause_the_reader() {
    let mut outbox = open();
    for _ in 0..SNAPSHOTS_WAITING_MAX {
        assert!(!outbox.pause_reading());
        outbox.begin_preparing();
        outbox.finish_preparing(Some(snapshot()));
    }
    assert!(outbox.pause_reading());
    let turn = outbox.begin_turn().expect("a turn");
    let after = finish(&mut outbox, &turn);
    assert!(matches!(
        after,
        AfterWrite::Done(Wakeups {
            delivery: true,
            reader: true
        })
    ));
}
