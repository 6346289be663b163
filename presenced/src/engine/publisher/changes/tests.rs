//! Which changes a cursor resumes after, and what is remembered.

use super::*;

const FLOOR: Revision = Revision::new(100);

fn user(name: &str) -> UserId {
    UserId::new(name).expect("a user id")
}

const fn change(user: &UserId, before: Revision, revision: Revision, is_removal: bool) -> NewChange<'_> {
    NewChange {
        user,
        before,
        revision,
        is_removal,
    }
}

/// A change of a user that had none before.
fn push(changes: &Changes, millis: u64, name: &str, revision: u64) {
    let revision = Revision::new(revision);
    changes.push(
        Mono::from_millis(millis),
        &change(&user(name), Revision::NEVER, revision, false),
    );
}

fn resume(changes: &Changes, watermark: u64) -> Option<u64> {
    changes.resume(changes.cursor(watermark)).map(Revision::get)
}

/// A node that many users come to and leave remembers [`REMEMBERED_MAX`] of them.
#[test]
fn a_remembered_change_is_small() {
    assert!(size_of::<((Revision, UserId), Change)>() <= 32);
}

#[test]
fn a_change_keeps_its_time_and_whether_it_is_a_removal() {
    let latest = u64::MAX >> 1;
    for (millis, is_removal) in [
        (0, false),
        (0, true),
        (1, false),
        (1, true),
        (latest, false),
        (latest, true),
    ] {
        let change = Change::new(Mono::from_millis(millis), is_removal);
        assert_eq!((change.at().as_millis(), change.is_removal()), (millis, is_removal));
    }
}

#[test]
fn a_user_that_changed_twice_is_listed_once_with_the_latest() {
    let changes = Changes::new(7, FLOOR);
    push(&changes, 1, "ann", 101);
    push(&changes, 2, "bob", 102);
    let (ann, removed_at) = (user("ann"), Revision::new(103));
    changes.push(
        Mono::from_millis(3),
        &change(&ann, Revision::new(101), removed_at, true),
    );
    let expected = vec![Since::Removed(ann, removed_at), Since::Changed(user("bob"))];
    assert_eq!(changes.since(FLOOR), Some(expected));
    // Though nobody knew that she had changed before.
    push(&changes, 4, "bob", 104);
    assert_eq!(changes.since(FLOOR).map(|changed| changed.len()), Some(2));
    assert_eq!(changes.since(Revision::new(changes.last())), Some(Vec::new()));
}

/// Revisions are of one user: partitions of a cluster give them on their own, and so does a node that can't reach Redis.
#[test]
fn users_that_changed_at_one_revision_are_all_listed() {
    let changes = Changes::new(7, FLOOR);
    push(&changes, 1, "ann", 101);
    push(&changes, 1, "bob", 101);
    let both = vec![Since::Changed(user("bob")), Since::Changed(user("ann"))];
    assert_eq!(changes.since(FLOOR), Some(both));
    assert_eq!(changes.since(Revision::new(101)), Some(Vec::new()));
    // One of them changes again.
    let (ann, before) = (user("ann"), Revision::new(101));
    changes.push(Mono::from_millis(2), &change(&ann, before, Revision::new(102), false));
    assert_eq!(changes.since(before), Some(vec![Since::Changed(ann)]));
    assert_eq!(changes.since(FLOOR).map(|changed| changed.len()), Some(2));
    changes.begin_after(before);
    assert_eq!(changes.since(before).map(|changed| changed.len()), Some(1));
}

#[test]
fn foreign_future_and_zero_cursors_do_not_resume() {
    let changes = Changes::new(7, FLOOR);
    push(&changes, 1, "ann", 101);
    assert_eq!(resume(&changes, 101), Some(101));
    assert_eq!(resume(&changes, 102), None);
    assert_eq!(resume(&changes, 0), None);
    let foreign = Cursor {
        incarnation: 8,
        ..changes.cursor(101)
    };
    assert_eq!(changes.resume(foreign), None);
}

#[test]
fn a_cursor_before_the_first_change_resumes() {
    for floor in [Revision::NEVER, FLOOR] {
        let changes = Changes::new(7, floor);
        let first = changes.last();
        assert_eq!(resume(&changes, first), Some(first));
        push(&changes, 1, "ann", 101);
        assert_eq!(
            changes.since(Revision::new(first)),
            Some(vec![Since::Changed(user("ann"))])
        );
    }
}

#[test]
fn changes_older_than_an_hour_are_forgotten() {
    let changes = Changes::new(7, FLOOR);
    push(&changes, 0, "ann", 101);
    let hour = u64::try_from(REMEMBERED_FOR.as_millis()).expect("a number");
    push(&changes, hour, "bob", 102);
    assert_eq!(resume(&changes, 100), Some(100));
    push(&changes, hour + 1, "bob", 103);
    assert_eq!(resume(&changes, 100), None);
    assert_eq!(resume(&changes, 101), Some(101));
    assert_eq!(changes.since(FLOOR), None);
}

#[test]
fn many_changes_of_one_user_forget_none_of_others() {
    let changes = Changes::new(7, FLOOR);
    push(&changes, 0, "ann", 101);
    let (bob, count) = (user("bob"), REMEMBERED_MAX as u64);
    for revision in 200..=200 + count {
        let before = Revision::new(revision - 1);
        changes.push(
            Mono::from_millis(0),
            &change(&bob, before, Revision::new(revision), false),
        );
    }
    assert_eq!(changes.since(FLOOR).map(|changed| changed.len()), Some(2));
    // Of others, the bound lets go of the earliest.
    for number in 0..count - 1 {
        push(&changes, 0, &format!("user-{number}"), 1_000_000 + number);
    }
    assert_eq!((resume(&changes, 100), resume(&changes, 101)), (None, Some(101)));
}

fn past(from: u64, removed_to: u64) -> PastChanges {
    PastChanges {
        history: History {
            incarnation: 6,
            from: Revision::new(from),
            to: FLOOR,
        },
        changed: vec![(user("ann"), Revision::new(51)), (user("bob"), Revision::new(60))],
        removed_to: Revision::new(removed_to),
    }
}

#[test]
fn cursors_of_a_run_that_ended_cleanly_resume_in_the_next_for_an_hour() {
    let changes = Changes::new(7, FLOOR);
    let now = Mono::from_millis(5);
    changes.continue_from(now, past(50, 0));
    let resume = |incarnation, watermark| {
        let watermark = Revision::new(watermark);
        changes.resume(Cursor { incarnation, watermark })
    };
    for (incarnation, watermark, is_resumed) in [
        (6, 49, false),
        (6, 50, true),
        (6, 100, true),
        (6, 101, false),
        (7, 100, true),
        (5, 60, false),
    ] {
        assert_eq!(
            resume(incarnation, watermark).is_some(),
            is_resumed,
            "{incarnation} {watermark}"
        );
    }
    let since = |watermark| changes.since(Revision::new(watermark));
    assert_eq!(since(50).map(|changed| changed.len()), Some(2));
    assert_eq!(since(51), Some(vec![Since::Changed(user("bob"))]));
    let (ann, changed_at) = (user("ann"), Revision::new(110));
    changes.push(now, &change(&ann, Revision::new(51), changed_at, false));
    assert_eq!(since(60), Some(vec![Since::Changed(ann)]));
    assert_eq!(changes.history(Revision::new(200)).from, Revision::new(50));
    let later = now.after(REMEMBERED_FOR + Duration::from_millis(1));
    let cid = user("cid");
    changes.push(later, &change(&cid, Revision::NEVER, Revision::new(111), false));
    assert_eq!((resume(6, 100), resume(7, 110)), (None, Some(changed_at)));
}

#[test]
fn an_observer_does_not_resume_from_before_a_removal_that_has_no_name() {
    let changes = Changes::new(7, FLOOR);
    changes.continue_from(Mono::from_millis(0), past(50, 55));
    assert_eq!(changes.since(Revision::new(54)), None);
    assert!(changes.since(Revision::new(55)).is_some());
    assert_eq!(resume(&changes, 54), Some(54), "who names users is told of each");
}
