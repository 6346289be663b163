//! Whether the node may be out of date, as a connection is told.

use super::*;

#[test]
fn staleness_is_told_once_and_by_itself() {
    let entries = Entries::default();
    let mut outbox = open();
    assert!(!outbox.set_stale(false), "that is what the client takes for granted");
    assert!(outbox.set_stale(true));
    assert_eq!(entries.mark(&mut outbox, 1, 5), Marked::Later, "it is queued already");
    let turn = outbox.begin_turn().expect("a turn");
    assert_eq!(
        (turn.stale, turn.dirty.len(), turn.has_more_snapshots),
        (Some(true), 0, true)
    );
    outbox.finish_turn(DeliveryResult::default(), &[]);
    assert_eq!(
        outbox.written(b"x", 1, || at(0)),
        AfterWrite::Done(Wakeups {
            delivery: true,
            reader: false
        })
    );
    let turn = outbox.begin_turn().expect("a turn");
    assert_eq!((turn.stale, turn.dirty.len()), (None, 1), "the change follows");
    outbox.finish_turn(DeliveryResult::default(), &[]);
    assert_eq!(outbox.written(b"x", 1, || at(0)), AfterWrite::Done(Wakeups::default()));
    assert!(!outbox.set_stale(true), "it was told");
}

#[test]
fn staleness_that_is_over_before_it_was_told_is_not_told() {
    let mut outbox = Outbox::default();
    assert!(!outbox.set_stale(true), "nothing precedes the greeting");
    assert_eq!(outbox.accept_greeting(b"hello"), Accepted::WriteNow);
    let after = outbox.written(b"hello", 5, || at(0));
    assert_eq!(
        after,
        AfterWrite::Done(Wakeups {
            delivery: true,
            reader: false
        })
    );
    outbox.set_stale(false);
    assert!(outbox.begin_turn().is_none());
    outbox.end();
    assert!(!outbox.set_stale(true), "the session has ended");
}
