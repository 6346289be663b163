//! What a node keeps while it lists.

use super::*;
use crate::replication::names::Incarnation;
use crate::replication::node_info::NodeInfo;
use crate::replication::partition::Start;
use crate::replication::settings::Settings;
use crate::time::{Mono, Reading, SystemWall};

fn reading() -> Reading {
    Reading {
        mono: Mono::from_millis(1_000),
        system: SystemWall::from_millis(1_000_000),
        records_ahead: 0,
    }
}

/// A partition whose node is at this step, and has read of a change since the list began.
fn at(work: Work) -> Partition {
    let start = Start {
        own: Incarnation(1),
        previous: Vec::new(),
        node: NodeInfo::default(),
        settings: Settings::of_tests(),
        seed: 1,
    };
    let mut partition = Partition::new(start, reading());
    partition.lists.work = Some(work);
    partition.lists.changed.extend(UserId::new("ann"));
    partition
}

fn after(work: Work, outcome: ListOutcome) -> Partition {
    let mut partition = at(work);
    let input = Input {
        reading: reading(),
        own: &|_| None,
    };
    partition.handle_listed(input, outcome);
    partition
}

#[test]
fn users_who_changed_are_kept_only_while_a_list_is_made() {
    let goes_on = after(Work::Stored(FromDatabase::from_the_first()), ListOutcome::Done);
    assert_eq!(goes_on.lists.changed.len(), 1);
    for (work, outcome) in [
        (Work::Complete, ListOutcome::Done),
        (Work::Complete, ListOutcome::Refused),
        (Work::Stored(FromDatabase::from_the_first()), ListOutcome::Refused),
        (Work::Copied(Revision::NEVER, None), ListOutcome::Full),
    ] {
        let is_over = after(work.clone(), outcome);
        assert_eq!((is_over.lists.work, is_over.lists.changed.len()), (None, 0), "{work:?}");
    }
}

#[test]
fn a_list_without_room_is_begun_again_a_while_later() {
    for work in [Work::Begin, Work::Stored(FromDatabase::from_the_first())] {
        let full = after(work, ListOutcome::Full);
        let soonest = reading().mono.after(LISTED_AGAIN_AFTER);
        assert!(
            full.lists
                .custom_at
                .is_some_and(|at| at >= soonest && at <= soonest.after(SPREAD))
        );
    }
}
