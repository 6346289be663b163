//! What every implementation of a partition keeps of registrations that were ended, for nodes that don't read the entries.

use std::time::Duration;

use presence::replication::{Answer, Call, ENDS_KEPT, Incarnation, KeptEnd, Question, Reply};

use super::contract::{Check, Subject, caller, register};

/// All tests, with their names.
pub(crate) const ALL: [(&str, Check); 2] = [
    ("the state keeps who was ended", the_state_keeps_who_was_ended),
    ("the state keeps the last ends", the_state_keeps_the_last_ends),
];

fn end(subject: &mut dyn Subject, ended: u64, millis: u64) -> KeptEnd {
    let (incarnation, grace) = (Incarnation(ended), Duration::from_millis(millis));
    let call = Call::End {
        caller: caller(1, 1),
        ended: incarnation,
        grace,
    };
    let Answer::Noted { revision: Some(id), .. } = subject.call(&call) else {
        panic!("not ended")
    };
    KeptEnd { incarnation, id, grace }
}

fn kept_ends(subject: &mut dyn Subject) -> Vec<KeptEnd> {
    let (mut ends, mut place) = (Vec::new(), Some(0));
    while let Some(at) = place {
        let Reply::Page(page) = subject.ask(Question::Page { place: at }) else {
            panic!("no page")
        };
        ends.extend(page.ends);
        place = page.next;
    }
    ends
}

fn the_state_keeps_who_was_ended(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    assert_eq!(kept_ends(subject), []);
    register(subject, 2, 1);
    register(subject, 3, 1);
    end(subject, 2, 12_345);
    let third = end(subject, 3, 0);
    register(subject, 2, 2);
    let second = end(subject, 2, 30_000);
    assert_eq!(kept_ends(subject), [second, third], "the last one of each");
    subject.restart();
    register(subject, 1, 2);
    assert_eq!(kept_ends(subject), [], "a new epoch");
}

fn the_state_keeps_the_last_ends(subject: &mut dyn Subject) {
    register(subject, 1, 1);
    let mut ends = Vec::new();
    for node in 2..2 + ENDS_KEPT as u64 + 3 {
        register(subject, node, 1);
        ends.insert(0, end(subject, node, node));
    }
    ends.truncate(ENDS_KEPT);
    assert_eq!(kept_ends(subject), ends);
}
