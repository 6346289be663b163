//! The model alone: rows, order, selection. A long random run compares the order with a naive one after every step.

mod departed_users;
mod revisions;

use presence::wire::record::{Record, Removed, Update, Viewer};
use presence::{CustomStatus, Reason, Revision, Status, UserId, Wall};

use super::super::keymap::Filter;
use super::departures::DEPARTED_MAX;
use super::known_users::{KnownUsers, Slot};
use super::sort_order::SortOrder;
use super::table::Table;
use super::user_column::UserColumn;
use crate::rng::Rng;

const NOW: Wall = Wall::from_millis(1_000_000);

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub(crate) fn record(name: &str, status: Status, revision: u64) -> Record {
    let millis = i64::try_from(revision).unwrap() * 1000;
    Record {
        status,
        revision: Revision::new(revision),
        since: Some(Wall::from_millis(millis)),
        last_seen: Some(Wall::from_millis(millis)),
        reason: Some(match status {
            Status::Offline => Reason::NoSession,
            _ => Reason::Active,
        }),
        sessions: Some(u32::from(status != Status::Offline)),
        nodes: Some(vec!["here".to_owned()]),
        custom_status: Some(CustomStatus::Online),
        ..Record::never_seen(user(name), Viewer::Internal)
    }
}

pub(crate) fn update(name: &str, status: Status, revision: u64) -> Update {
    Update::Record(record(name, status, revision))
}

pub(crate) fn removed(name: &str, revision: u64) -> Update {
    Update::Removed(Removed {
        user_id: user(name),
        revision: Revision::new(revision),
        removed: true,
    })
}

fn started(users: Vec<Update>) -> KnownUsers {
    let mut known_users = KnownUsers::default();
    known_users.begin_snapshot();
    assert_eq!(known_users.apply(users, NOW), [], "the first snapshot is no change");
    assert_eq!(known_users.end_snapshot(true, NOW), []);
    known_users
}

fn names(known_users: &KnownUsers, slots: &[Slot]) -> Vec<String> {
    let name = |slot: &Slot| known_users.row(*slot).unwrap().user.to_string();
    slots.iter().map(name).collect()
}

#[test]
fn outdated_records_change_nothing() {
    let mut known_users = started(vec![update("ann", Status::Idle, 5)]);
    for late in [update("ann", Status::Online, 4), removed("ann", 4)] {
        assert_eq!(known_users.apply(vec![late], NOW), []);
    }
    known_users.refresh(vec![record("ann", Status::Online, 4)]);
    let (_, row) = known_users.find(&user("ann")).unwrap();
    assert_eq!((row.status, row.revision.get()), (Status::Idle, 5));
    assert_eq!((known_users.counts().online, known_users.counts().idle), (0, 1));
}

/// The expected rows of the table, computed naively.
fn naive(known_users: &KnownUsers, table: &Table) -> Vec<String> {
    let order = table.order().unwrap();
    let mut rows: Vec<_> = (0..u32::try_from(known_users.slots()).unwrap())
        .filter_map(|slot| known_users.row(slot))
        .filter(|row| known_users.find(&row.user).is_some())
        .filter(|row| match table.filter() {
            Filter::Present => row.status != Status::Offline || table.selected() == Some(&row.user),
            Filter::Only(status) => row.status == status || table.selected() == Some(&row.user),
        })
        .filter(|row| has_in_order(row.user.as_str(), table.query()))
        .collect();
    rows.sort_by(|a, b| a.user.cmp(&b.user));
    let none_last = |time: Option<Wall>| (time.is_none(), time.map_or(0, Wall::as_millis));
    let descending = |time: Option<Wall>| (time.is_none(), time.map_or(0, |time| -time.as_millis()));
    let time = |time: Option<Wall>| match order.is_descending {
        true => descending(time),
        false => none_last(time),
    };
    let number = |number: i64| (false, if order.is_descending { -number } else { number });
    match order.column {
        UserColumn::User if order.is_descending => rows.reverse(),
        UserColumn::User => {}
        UserColumn::Status => rows.sort_by_key(|row| number(row.status as i64)),
        UserColumn::Reason => rows.sort_by_key(|row| number(row.reason.map_or(0, |reason| reason as i64))),
        UserColumn::Since => rows.sort_by_key(|row| time(row.since)),
        UserColumn::LastActive => rows.sort_by_key(|row| time(row.last_active)),
        UserColumn::LastSeen => rows.sort_by_key(|row| time(row.last_seen)),
        UserColumn::Sessions => rows.sort_by_key(|row| number(i64::from(row.sessions))),
        UserColumn::Node => rows.sort_by_key(|row| number(row.node.into())),
    }
    rows.iter().map(|row| row.user.to_string()).collect()
}

/// Whether `text` contains the characters of `wanted` in that order.
fn has_in_order(text: &str, wanted: &str) -> bool {
    let mut rest = text.chars();
    wanted.chars().all(|c| rest.any(|other| other == c))
}

fn random_update(rng: &mut Rng, revision: u64) -> Update {
    let name = format!("user-{:02}", rng.below(60));
    if rng.below(20) == 0 {
        return removed(&name, revision);
    }
    let status = Status::ALL[usize::try_from(rng.below(4)).unwrap()];
    let mut record = record(&name, status, revision);
    record.last_active = (rng.below(3) > 0).then(|| Wall::from_millis(i64::try_from(rng.below(5)).unwrap()));
    record.sessions = Some(u32::try_from(rng.below(3)).unwrap());
    Update::Record(record)
}

#[test]
fn the_merged_table_equals_one_that_is_sorted_anew() {
    for seed in 0..40 {
        let mut rng = Rng::from_seed(seed);
        let (mut known_users, mut table) = (started(vec![]), Table::default());
        let mut is_paused = false;
        for revision in 1..400_u64 {
            let users = (0..rng.below(4)).map(|_| random_update(&mut rng, revision)).collect();
            known_users.apply(users, NOW);
            match rng.below(40) {
                0 => table.sort(UserColumn::ALL[usize::try_from(rng.below(8)).unwrap()]),
                1 => table.reverse(),
                2 => table.set_filter(
                    &known_users,
                    Filter::Only(Status::ALL[usize::try_from(rng.below(4)).unwrap()]),
                ),
                3 => table.set_filter(&known_users, Filter::Present),
                4 => table.select(&known_users, usize::try_from(rng.below(60)).unwrap(), 10),
                5 => table.deselect(),
                6 => {
                    table.set_query(["", "user-1", "-2"][usize::try_from(rng.below(3)).unwrap()]);
                    table.set_order(SortOrder::of(UserColumn::User));
                }
                7 | 8 => {
                    is_paused = !is_paused;
                    table.set_paused(is_paused);
                }
                _ => {}
            }
            table.apply_pending(&mut known_users, 10);
            if is_paused {
                continue;
            }
            assert_eq!(
                names(&known_users, table.listed()),
                naive(&known_users, &table),
                "seed {seed}, step {revision}"
            );
            assert!(table.top() <= table.len(), "seed {seed}");
        }
    }
}

#[test]
fn the_counts_match_the_rows() {
    let mut rng = Rng::from_seed(7);
    let (mut known_users, mut table) = (started(vec![]), Table::default());
    for revision in 1..2_000_u64 {
        known_users.apply(vec![random_update(&mut rng, revision)], NOW);
        if revision % 500 == 0 {
            known_users.begin_snapshot();
            known_users.apply(vec![update("user-01", Status::Online, revision)], NOW);
            known_users.end_snapshot(true, NOW);
            assert_eq!(known_users.counts().total(), 1);
        }
        table.apply_pending(&mut known_users, 10);
        assert_eq!(known_users.counts().total(), table.len() as u64);
    }
}

#[test]
fn the_selection_keeps_its_user_and_line_while_rows_move() {
    let users = (0..50)
        .map(|number| update(&format!("m-{number:02}"), Status::Online, 1))
        .collect();
    let (mut known_users, mut table) = (started(users), Table::default());
    table.apply_pending(&mut known_users, 10);
    table.select(&known_users, 20, 10);
    let line = table.cursor().unwrap() - table.top();
    let early = (0..30)
        .map(|number| update(&format!("a-{number:02}"), Status::Online, 2))
        .collect();
    known_users.apply(early, NOW);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(table.selected(), Some(&user("m-20")));
    assert_eq!(table.cursor(), Some(50));
    assert_eq!(table.cursor().unwrap() - table.top(), line);
}

#[test]
fn a_selected_user_who_leaves_stays_until_deselected() {
    let users = ["ann", "bob", "cid"]
        .map(|name| update(name, Status::Online, 1))
        .to_vec();
    let (mut known_users, mut table) = (started(users), Table::default());
    table.apply_pending(&mut known_users, 10);
    table.select(&known_users, 1, 10);
    known_users.apply(vec![update("bob", Status::Offline, 2)], NOW);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(names(&known_users, table.listed()), ["ann", "bob", "cid"]);
    table.select(&known_users, 2, 10);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(names(&known_users, table.listed()), ["ann", "cid"]);
    assert_eq!(table.selected(), Some(&user("cid")));
}

#[test]
fn a_forgotten_user_is_removed_and_the_next_one_selected() {
    let users = ["ann", "bob", "cid"]
        .map(|name| update(name, Status::Online, 1))
        .to_vec();
    let (mut known_users, mut table) = (started(users), Table::default());
    table.apply_pending(&mut known_users, 10);
    table.select(&known_users, 1, 10);
    let changes = known_users.apply(vec![removed("bob", 2)], NOW);
    assert_eq!((changes[0].from, changes[0].to), (Status::Online, None));
    table.apply_pending(&mut known_users, 10);
    assert_eq!(table.selected(), Some(&user("cid")));
    assert_eq!(
        known_users.apply(vec![update("bob", Status::Idle, 3)], NOW)[0].from,
        Status::Offline
    );
    table.apply_pending(&mut known_users, 10);
    assert_eq!(names(&known_users, table.listed()), ["ann", "bob", "cid"]);
}

#[test]
fn a_paused_table_is_unchanged_and_catches_up_afterwards() {
    let users = ["bob", "cid"].map(|name| update(name, Status::Online, 1)).to_vec();
    let (mut known_users, mut table) = (started(users), Table::default());
    table.apply_pending(&mut known_users, 10);
    table.set_paused(true);
    known_users.apply(vec![update("ann", Status::Online, 2), removed("cid", 2)], NOW);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(names(&known_users, table.listed()), ["bob", "cid"]);
    assert_eq!(known_users.unapplied_changes(), 2);
    table.set_paused(false);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(names(&known_users, table.listed()), ["ann", "bob"]);
}

#[test]
fn matches_are_sorted_by_score_until_a_column_is_selected() {
    let users = ["a-n-n", "ann", "hannah", "bob"]
        .map(|name| update(name, Status::Online, 1))
        .to_vec();
    let (mut known_users, mut table) = (started(users), Table::default());
    table.set_query("ann");
    table.apply_pending(&mut known_users, 10);
    assert_eq!(table.len(), 3);
    assert_eq!(names(&known_users, table.listed())[0], "ann");
    assert_eq!(table.matched(&user("hannah")), [1, 2, 3]);
    known_users.apply(vec![update("anne", Status::Online, 2)], NOW);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(table.len(), 4);
    table.sort(UserColumn::User);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(names(&known_users, table.listed()), ["a-n-n", "ann", "anne", "hannah"]);
}

#[test]
fn a_new_filter_keeps_the_selection_only_if_it_matches() {
    let users = (0..40).map(|number| {
        let status = [Status::Online, Status::Idle][number % 2];
        update(&format!("user-{number:02}"), status, 1)
    });
    let (mut known_users, mut table) = (started(users.collect()), Table::default());
    table.apply_pending(&mut known_users, 5);
    table.select(&known_users, 37, 5);
    table.set_filter(&known_users, Filter::Only(Status::Idle));
    table.apply_pending(&mut known_users, 5);
    assert_eq!((table.len(), table.selected()), (20, Some(&user("user-37"))));
    table.set_filter(&known_users, Filter::Only(Status::Online));
    table.apply_pending(&mut known_users, 5);
    assert_eq!((table.len(), table.selected(), table.top()), (20, None, 0));
}

#[test]
fn departed_users_are_kept_up_to_a_limit() {
    let (mut known_users, mut table) = (started(vec![]), Table::default());
    table.set_filter(&known_users, Filter::Only(Status::Offline));
    for number in 0..DEPARTED_MAX + 10 {
        let name = format!("user-{number:05}");
        known_users.apply(vec![update(&name, Status::Online, 1)], NOW);
        known_users.apply(vec![update(&name, Status::Offline, 2)], NOW);
    }
    table.apply_pending(&mut known_users, 10);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(table.len(), DEPARTED_MAX);
    assert!(known_users.find(&user("user-00000")).is_none());
    known_users.apply(vec![update("user-00000", Status::Online, 3)], NOW);
    assert_eq!(known_users.slots(), DEPARTED_MAX + 10, "its slot is reused");
}

#[test]
fn responses_refresh_times_and_never_undo_the_stream() {
    let mut known_users = started(vec![update("ann", Status::Idle, 5)]);
    let mut fresh = record("ann", Status::Idle, 5);
    fresh.last_seen = Some(Wall::from_millis(9_000));
    fresh.sessions = Some(3);
    known_users.refresh(vec![fresh, record("bob", Status::Online, 9)]);
    let (_, row) = known_users.find(&user("ann")).unwrap();
    assert_eq!((row.last_seen, row.sessions), (Some(Wall::from_millis(9_000)), 3));
    known_users.refresh(vec![record("ann", Status::Online, 4), record("ann", Status::Online, 6)]);
    let (_, row) = known_users.find(&user("ann")).unwrap();
    assert_eq!((row.status, row.sessions), (Status::Idle, 3));
    assert!(
        known_users.find(&user("bob")).is_none(),
        "the stream did not report this user"
    );
}

#[test]
fn only_changes_of_the_stream_are_counted() {
    let (mut known_users, mut table) = (started(vec![update("ann", Status::Online, 1)]), Table::default());
    table.apply_pending(&mut known_users, 10);
    table.set_paused(true);
    let mut fresh = record("ann", Status::Online, 1);
    fresh.last_seen = Some(NOW);
    known_users.refresh(vec![fresh]);
    // As after a restart of the daemon: unchanged, with another revision.
    known_users.apply(vec![update("ann", Status::Online, 2)], NOW);
    assert_eq!(known_users.unapplied_changes(), 0, "no user changed");
    known_users.apply(vec![update("ann", Status::Idle, 2)], NOW);
    known_users.apply(
        vec![update("ann", Status::Online, 3), update("bob", Status::Online, 3)],
        NOW,
    );
    assert_eq!(known_users.unapplied_changes(), 2);
    table.set_paused(false);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(known_users.unapplied_changes(), 0);
}

#[test]
fn a_row_listed_only_because_of_the_selection_is_not_counted() {
    let users = ["ann", "bob"].map(|name| update(name, Status::Online, 1)).to_vec();
    let (mut known_users, mut table) = (started(users), Table::default());
    table.apply_pending(&mut known_users, 10);
    table.select(&known_users, 0, 10);
    known_users.apply(vec![update("ann", Status::Offline, 2)], NOW);
    table.apply_pending(&mut known_users, 10);
    assert_eq!((table.len(), table.matching(&known_users)), (2, 1));
    table.set_filter(&known_users, Filter::Only(Status::Offline));
    table.apply_pending(&mut known_users, 10);
    assert_eq!((table.len(), table.matching(&known_users)), (1, 1));
}

#[test]
fn after_a_removal_the_next_row_is_selected_despite_new_rows() {
    let users = ["m-1", "m-2", "m-3"]
        .map(|name| update(name, Status::Online, 1))
        .to_vec();
    let (mut known_users, mut table) = (started(users), Table::default());
    table.apply_pending(&mut known_users, 10);
    table.select(&known_users, 1, 10);
    let early = (0..5).map(|number| update(&format!("a-{number}"), Status::Online, 2));
    known_users.apply(early.chain([removed("m-2", 2)]).collect(), NOW);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(table.selected(), Some(&user("m-3")));
    known_users.apply(vec![update("a-9", Status::Online, 3), removed("m-3", 3)], NOW);
    table.apply_pending(&mut known_users, 10);
    assert_eq!(
        table.selected(),
        Some(&user("m-1")),
        "the last row replaces the removed last row"
    );
}
