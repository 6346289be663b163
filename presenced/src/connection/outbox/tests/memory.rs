//! What an idle outbox holds.

use super::*;

#[test]
fn an_idle_outbox_holds_no_memory_for_changes_and_snapshots() {
    let (entries, mut outbox) = (Entries::default(), open());
    for slot in 0..100 {
        entries.mark(&mut outbox, slot, 1);
    }
    outbox.begin_preparing();
    outbox.finish_preparing(Some(snapshot()));
    for _ in 0..2 {
        let mut turn = outbox.begin_turn().expect("a turn");
        let left = match turn.snapshot {
            Some(_) => std::mem::take(&mut turn.dirty),
            None => DirtyUsers::default(),
        };
        let result = DeliveryResult {
            left,
            ..DeliveryResult::default()
        };
        outbox.finish_turn(result, &[]);
        outbox.written(b"", 0, || at(0));
    }
    assert_eq!(
        (outbox.dirty.holds_memory(), outbox.backlog.holds_memory()),
        (false, false)
    );
    entries.mark(&mut outbox, 1, 2);
    outbox.begin_turn().expect("a turn");
    entries.mark(&mut outbox, 1, 3);
    outbox.finish_turn(DeliveryResult::default(), &[(UserRef::new(0, 1), 3)]);
    assert!(
        !outbox.dirty.holds_memory(),
        "the turn told the change that came meanwhile"
    );
}

#[test]
fn held_bytes_precede_the_first_frame() {
    let mut outbox = Outbox::default();
    outbox.hold(b"response".to_vec());
    assert!(!outbox.is_flushed());
    // Even a ping may come before the greeting.
    assert_eq!(outbox.accept(b"ping"), Accepted::WriteAll(b"responseping".to_vec()));
    assert_eq!(outbox.accept_greeting(b"greeting"), Accepted::Waits);
    let after = outbox.written(b"responseping", 12, || at(0));
    assert_eq!(after, AfterWrite::Write(b"greeting".to_vec()));
    outbox.written(b"greeting", 8, || at(0));
    assert!(outbox.is_flushed() && !outbox.backlog.holds_memory());
    assert_eq!(outbox.accept(b"frame"), Accepted::WriteNow, "it is sent once");
}

#[test]
fn an_outbox_whose_bytes_were_sent_holds_no_memory_for_them() {
    let mut outbox = open();
    assert_eq!(outbox.accept(b"frame"), Accepted::WriteNow);
    assert_eq!(outbox.accept(b"waits"), Accepted::Waits);
    assert_eq!(outbox.written(b"frame", 2, || at(0)), AfterWrite::Blocked);
    assert!(outbox.backlog.holds_memory());
    let rest = outbox.resume_writing().expect("something unsent");
    assert_eq!(rest, b"amewaits");
    assert!(!outbox.backlog.holds_memory());
    outbox.written(&rest, rest.len(), || at(0));
    assert!(outbox.is_flushed());
}
