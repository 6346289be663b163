//! Departed users: kept in the order of departure, up to a limit, with correct data.

use super::*;

fn leave(known_users: &mut KnownUsers, name: &str, revision: u64) {
    known_users.apply(vec![update(name, Status::Online, revision)], NOW);
    known_users.apply(vec![update(name, Status::Offline, revision + 1)], NOW);
}

fn crowd_leaves(known_users: &mut KnownUsers, count: usize) {
    for number in 0..count {
        leave(known_users, &format!("user-{number:05}"), 10);
    }
}

fn offline() -> Table {
    let mut table = Table::default();
    table.set_filter(&KnownUsers::default(), Filter::Only(Status::Offline));
    table
}

#[test]
fn a_forgotten_user_who_returned_survives_many_departures() {
    let (mut known_users, mut table) = (started(vec![]), Table::default());
    leave(&mut known_users, "ann", 1);
    known_users.apply(vec![removed("ann", 3)], NOW);
    known_users.apply(vec![update("ann", Status::Online, 4)], NOW);
    crowd_leaves(&mut known_users, DEPARTED_MAX);
    table.apply_pending(&mut known_users, 10);
    assert!(known_users.find(&user("ann")).is_some());
    known_users.apply(vec![update("ann", Status::Idle, 5)], NOW);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(names(&known_users, table.listed()), ["ann"]);
    assert_eq!(known_users.counts().total(), 1);
}

#[test]
fn a_custom_status_while_offline_does_not_prevent_eviction() {
    let (mut known_users, mut table) = (started(vec![]), offline());
    leave(&mut known_users, "ann", 1);
    let mut changed = record("ann", Status::Offline, 3);
    changed.custom_status = Some(CustomStatus::Idle);
    known_users.apply(vec![Update::Record(changed)], NOW);
    crowd_leaves(&mut known_users, DEPARTED_MAX);
    table.apply_pending(&mut known_users, 10);
    assert!(known_users.find(&user("ann")).is_none());
    assert_eq!(table.len(), DEPARTED_MAX);
}

#[test]
fn a_user_who_departs_repeatedly_evicts_no_other() {
    let (mut known_users, mut table) = (started(vec![]), offline());
    leave(&mut known_users, "bob", 1);
    for number in 0..3 * DEPARTED_MAX as u64 {
        leave(&mut known_users, "ann", 2 * number + 1);
    }
    table.apply_pending(&mut known_users, 10);
    assert_eq!(names(&known_users, table.listed()), ["ann", "bob"]);
}

#[test]
fn a_selected_departed_user_is_not_evicted() {
    let (mut known_users, mut table) = (started(vec![update("ann", Status::Online, 1)]), Table::default());
    table.apply_pending(&mut known_users, 10);
    table.select(&known_users, 0, 10);
    known_users.apply(vec![update("ann", Status::Offline, 2)], NOW);
    table.apply_pending(&mut known_users, 10);
    crowd_leaves(&mut known_users, DEPARTED_MAX + 10);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(table.selected(), Some(&user("ann")));
    assert_eq!(names(&known_users, table.listed()), ["ann"]);
    table.deselect();
    table.apply_pending(&mut known_users, 10);
    leave(&mut known_users, "bob", 1);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(table.len(), 0);
}

#[test]
fn a_user_presumed_offline_is_completed_by_a_response() {
    let mut known_users = started(vec![update("ann", Status::Online, 5)]);
    known_users.begin_snapshot();
    known_users.end_snapshot(true, NOW);
    let (_, row) = known_users.find(&user("ann")).unwrap();
    assert_eq!((row.status, row.since), (Status::Offline, None), "the time is unknown");
    let fresh = record("ann", Status::Offline, 7);
    known_users.refresh(vec![fresh.clone()]);
    let (_, row) = known_users.find(&user("ann")).unwrap();
    assert_eq!((row.since, row.last_seen), (fresh.since, fresh.last_seen));
}

#[test]
fn a_long_pause_keeps_departed_users_within_the_limit() {
    let (mut known_users, mut table) = (started(vec![update("ann", Status::Online, 1)]), Table::default());
    table.apply_pending(&mut known_users, 10);
    table.set_paused(true);
    for batch in 0..20 {
        for number in 0..1_000 {
            leave(&mut known_users, &format!("user-{batch}-{number}"), 10);
        }
        table.apply_pending(&mut known_users, 10);
        assert_eq!(names(&known_users, table.listed()), ["ann"]);
    }
    assert!(known_users.slots() <= DEPARTED_MAX + 2_000, "{}", known_users.slots());
    table.set_paused(false);
    table.set_filter(&known_users, Filter::Only(Status::Offline));
    table.apply_pending(&mut known_users, 10);
    assert_eq!(table.len(), DEPARTED_MAX);
}

#[test]
fn a_missed_visit_and_a_custom_status_while_offline_differ() {
    let (mut known_users, mut table) = (started(vec![]), offline());
    let mut flash = record("flash", Status::Offline, 5);
    flash.since = Some(NOW.after(std::time::Duration::from_secs(1)));
    let changes = known_users.apply(vec![Update::Record(flash)], NOW);
    assert_eq!((changes.len(), changes[0].custom_status), (1, None));
    let mut away = record("away", Status::Offline, 6);
    away.since = Some(Wall::from_millis(NOW.as_millis() - 1));
    away.custom_status = Some(CustomStatus::Idle);
    let mut never = away.clone();
    (never.user_id, never.since) = (user("never"), None);
    for record in [away, never] {
        let changes = known_users.apply(vec![Update::Record(record)], NOW);
        assert_eq!((changes.len(), changes[0].custom_status), (1, Some(CustomStatus::Idle)));
    }
    table.apply_pending(&mut known_users, 10);
    assert_eq!(names(&known_users, table.listed()), ["flash"]);
}
