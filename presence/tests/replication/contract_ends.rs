//! What every implementation of a partition keeps of registrations that were ended, for nodes that don't read the entries.

use std::time::Duration;

use presence::replication::{Answer, Call, ENDS_KEPT, Incarnation, KeptEnd, Question, Reply};

use super::contract::{Check, Subject, caller, register};

/// All tests, with their names.
pub(crate) const ALL: [(&str, Check); 3] = [
    ("the state keeps who was ended", the_state_keeps_who_was_ended),
    (
        "a run that registers again has no end",
        a_run_that_registers_again_has_no_end,
    ),
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

/// A version that keeps no ends may end it next, and then the end of before must not count.
fn a_run_that_registers_again_has_no_end(subject: &mut dyn Subject) {
    let kept = |subject: &mut dyn Subject| -> Vec<u64> {
        let ends = kept_ends(subject).into_iter();
        ends.map(|end| end.incarnation.0).collect()
    };
    for node in 1..=5 {
        register(subject, node, 1);
    }
    for node in 2..=4 {
        end(subject, node, node * 1_000);
    }
    register(subject, 5, 2);
    assert_eq!(kept(subject), [4, 3, 2], "it was registered");
    register(subject, 3, 2);
    assert_eq!(kept(subject), [4, 2], "from the middle");
    register(subject, 4, 2);
    assert_eq!(kept(subject), [2], "the newest");
    register(subject, 6, 1);
    assert_eq!(kept(subject), [2], "one that was never ended");
    register(subject, 2, 2);
    assert_eq!(kept(subject), [0; 0], "the last one");
    for node in 2..=4 {
        let again = end(subject, node, 0);
        assert_eq!(kept_ends(subject).first(), Some(&again), "ended once more");
    }
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
