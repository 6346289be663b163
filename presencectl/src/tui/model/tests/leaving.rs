//! Who left: remembered in the order of leaving, so many and no more, and each one as it truly is.

use super::*;

fn leave(roster: &mut Roster, name: &str, revision: u64) {
    roster.apply(vec![update(name, Status::Online, revision)], NOW);
    roster.apply(vec![update(name, Status::Offline, revision + 1)], NOW);
}

fn crowd_leaves(roster: &mut Roster, count: usize) {
    for number in 0..count {
        leave(roster, &format!("user-{number:05}"), 10);
    }
}

fn offline() -> Table {
    let mut table = Table::default();
    table.set_filter(&Roster::default(), Filter::Only(Status::Offline));
    table
}

#[test]
fn who_was_forgotten_and_came_back_is_found_however_many_leave_meanwhile() {
    let (mut roster, mut table) = (started(vec![]), Table::default());
    leave(&mut roster, "ann", 1);
    roster.apply(vec![removed("ann", 3)], NOW);
    roster.apply(vec![update("ann", Status::Online, 4)], NOW);
    crowd_leaves(&mut roster, LEFT_MAX);
    table.settle(&mut roster, 10);
    assert!(roster.find(&user("ann")).is_some());
    roster.apply(vec![update("ann", Status::Idle, 5)], NOW);
    table.settle(&mut roster, 10);
    assert_eq!(names(&roster, table.listed()), ["ann"]);
    assert_eq!(roster.counts().total(), 1);
}

#[test]
fn a_choice_of_somebody_who_left_keeps_nobody_for_ever() {
    let (mut roster, mut table) = (started(vec![]), offline());
    leave(&mut roster, "ann", 1);
    let mut chosen = record("ann", Status::Offline, 3);
    chosen.custom_status = Some(CustomStatus::Idle);
    roster.apply(vec![Update::Record(chosen)], NOW);
    crowd_leaves(&mut roster, LEFT_MAX);
    table.settle(&mut roster, 10);
    assert!(roster.find(&user("ann")).is_none());
    assert_eq!(table.len(), LEFT_MAX);
}

#[test]
fn who_comes_and_goes_all_day_pushes_nobody_else_out() {
    let (mut roster, mut table) = (started(vec![]), offline());
    leave(&mut roster, "bob", 1);
    for number in 0..3 * LEFT_MAX as u64 {
        leave(&mut roster, "ann", 2 * number + 1);
    }
    table.settle(&mut roster, 10);
    assert_eq!(names(&roster, table.listed()), ["ann", "bob"]);
}

#[test]
fn who_is_selected_stays_in_the_table_however_many_leave_after() {
    let (mut roster, mut table) = (started(vec![update("ann", Status::Online, 1)]), Table::default());
    table.settle(&mut roster, 10);
    table.select(&roster, 0, 10);
    roster.apply(vec![update("ann", Status::Offline, 2)], NOW);
    table.settle(&mut roster, 10);
    crowd_leaves(&mut roster, LEFT_MAX + 10);
    table.settle(&mut roster, 10);
    assert_eq!(table.selected(), Some(&user("ann")));
    assert_eq!(names(&roster, table.listed()), ["ann"]);
    table.deselect();
    table.settle(&mut roster, 10);
    leave(&mut roster, "bob", 1);
    table.settle(&mut roster, 10);
    assert_eq!(table.len(), 0);
}

#[test]
fn who_left_while_nobody_listened_is_told_of_as_soon_as_it_is_asked_for() {
    let mut roster = started(vec![update("ann", Status::Online, 5)]);
    roster.begin_snapshot();
    roster.end_snapshot(true, NOW);
    let (_, row) = roster.find(&user("ann")).unwrap();
    assert_eq!(
        (row.status, row.since),
        (Status::Offline, None),
        "since when is not known"
    );
    let fresh = record("ann", Status::Offline, 7);
    roster.refresh(vec![fresh.clone()]);
    let (_, row) = roster.find(&user("ann")).unwrap();
    assert_eq!((row.since, row.last_seen), (fresh.since, fresh.last_seen));
}

#[test]
fn a_long_pause_keeps_no_more_of_those_who_come_and_go_than_are_remembered() {
    let (mut roster, mut table) = (started(vec![update("ann", Status::Online, 1)]), Table::default());
    table.settle(&mut roster, 10);
    table.set_held(true);
    for batch in 0..20 {
        for number in 0..1_000 {
            leave(&mut roster, &format!("user-{batch}-{number}"), 10);
        }
        table.settle(&mut roster, 10);
        assert_eq!(names(&roster, table.listed()), ["ann"]);
    }
    assert!(roster.slots() <= LEFT_MAX + 2_000, "{}", roster.slots());
    table.set_held(false);
    table.set_filter(&roster, Filter::Only(Status::Offline));
    table.settle(&mut roster, 10);
    assert_eq!(table.len(), LEFT_MAX);
}
