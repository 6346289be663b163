//! The users in memory: what keeps an entry there, and what a load that comes late may do.

use presence::replication::partition_of;
use presence::{Activity, EndReason, Now, Profile, SessionId, UserId};

use super::*;
use crate::engine::persistence::Persistence;
use crate::engine::tests::stepped_engine::{BEGIN, Stepped};

fn user(name: &str) -> UserId {
    UserId::new(name).expect("a user id")
}

const TIMERS: presence::Timers = presence::Timers {
    grace: std::time::Duration::ZERO,
    restart_grace: std::time::Duration::ZERO,
    idle_after: std::time::Duration::ZERO,
};

fn now() -> Now {
    Now {
        mono: presence::Mono::from_millis(0),
        wall: BEGIN,
    }
}

fn nobody() -> (UserState, Publication) {
    (UserState::new(Profile::default(), Vec::new()), Publication::default())
}

/// Other users of the same shard.
fn neighbours(name: &str) -> impl Iterator<Item = UserId> {
    let shard = shard_of(&user(name));
    let others = (0..).map(|number| user(&format!("neighbour-{number}")));
    others.filter(move |other| shard_of(other) == shard)
}

#[test]
fn a_pin_keeps_an_entry_and_a_sweep_drops_it_after_the_last() {
    let users = Users::new(None);
    let entry = users.insert(&user("ann"), nobody);
    let (first, second) = (entry.pin(), entry.pin());
    drop(entry);
    drop(first);
    users.sweep();
    assert!(users.pin(&user("ann")).is_some(), "the second pin holds");
    let at = second.user();
    drop(second);
    users.sweep();
    assert!(users.get(at).is_none() && users.find(&user("ann")).is_none());
}

#[test]
fn a_user_without_pins_keeps_no_count_of_them_after_a_sweep() {
    let users = Users::new(None);
    let mut entry = users.insert(&user("ann"), nobody);
    entry.state.connect(now(), SessionId(1), Activity::Unknown, &TIMERS);
    // Each count of pins refers to the list of released entries.
    let counts = || Arc::strong_count(&users.released);
    let before = counts();
    let (first, second) = (entry.pin(), entry.pin());
    drop(entry);
    assert_eq!(counts(), before + 1);
    drop(first);
    users.sweep();
    assert_eq!(counts(), before + 1);
    drop(second);
    users.sweep();
    assert_eq!(counts(), before);
    assert!(users.find(&user("ann")).is_some());
}

#[test]
fn an_entry_that_nothing_needs_goes_when_it_is_unlocked() {
    let users = Users::new(None);
    drop(users.insert(&user("ann"), nobody));
    assert!(users.find(&user("ann")).is_none());
}

#[test]
fn a_session_keeps_its_user_in_memory() {
    let users = Users::new(None);
    let mut entry = users.insert(&user("ann"), nobody);
    entry.state.connect(now(), SessionId(1), Activity::Unknown, &TIMERS);
    drop(entry);
    assert!(users.find(&user("ann")).is_some());
}

#[test]
fn users_with_sessions_are_found_without_a_look_at_the_others() {
    let users = Users::new(Some(4));
    let all: Vec<UserId> = (0..400).map(|number| user(&format!("user-{number}"))).collect();
    let pins: Vec<UserPin> = all.iter().map(|user| users.insert(user, nobody).pin()).collect();
    let (connected, others) = pins.split_at(100);
    for (pin, number) in connected.iter().zip(1..) {
        users
            .lock(pin)
            .state
            .connect(now(), SessionId(number), Activity::Unknown, &TIMERS);
    }
    let is_in = |partition| move |user: &&UserId| partition_of(user, 4) == partition;
    for partition in 0..4 {
        let mut found = users.connected_in(partition);
        found.sort_unstable();
        let mut expected: Vec<UserId> = all[..100].iter().filter(is_in(partition)).cloned().collect();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
    let noted = || -> usize { users.shards.iter().map(|shard| shard.lock().count_connected()).sum() };
    assert_eq!((noted(), others.len()), (100, 300), "nobody else is looked at");
    for (pin, number) in connected.iter().zip(1..) {
        let mut entry = users.lock(pin);
        entry
            .state
            .disconnect(now(), SessionId(number), EndReason::Closed, TIMERS.grace);
        entry.state.expire_sessions(now());
    }
    assert_eq!(noted(), 0);
}

#[tokio::test]
async fn a_write_that_waits_keeps_its_user_in_memory() {
    let (users, stepped) = (Users::new(None), Stepped::new().await);
    let persistence = Persistence::new(stepped.store);
    let mut entry = users.insert(&user("ann"), nobody);
    persistence.write_behind.write_soon(&mut entry);
    drop(entry);
    assert!(users.find(&user("ann")).is_some());
}

#[test]
fn a_sweep_leaves_an_entry_of_a_busy_shard_for_the_next() {
    let users = Users::new(None);
    let entry = users.insert(&user("ann"), nobody);
    let pin = entry.pin();
    let at = pin.user();
    drop(pin);
    // The shard is locked: a sweep may not wait for it.
    users.sweep();
    drop(entry);
    assert!(users.get(at).is_none(), "unlocking drops it");
    users.sweep();
}

#[test]
fn a_busy_shard_is_swept_next_time() {
    let users = Users::new(None);
    let neighbour = neighbours("ann").next().expect("one of many");
    let entry = users.insert(&user("ann"), nobody);
    let pin = entry.pin();
    drop(entry);
    let busy = users.insert(&neighbour, nobody);
    let at = pin.user();
    drop(pin);
    users.sweep();
    drop(busy);
    assert!(users.shards[at.shard()].lock().is_occupied(at.slot()));
    users.sweep();
    assert!(!users.shards[at.shard()].lock().is_occupied(at.slot()));
}

/// A load that is never answered.
fn pending() -> PendingLoad {
    PendingLoad {
        answers: tokio::sync::watch::channel(None).1,
        index: 0,
    }
}

/// Whether waiting for these is waiting for the same load.
fn are_same(one: &PendingLoad, other: &PendingLoad) -> bool {
    one.answers.same_channel(&other.answers)
}

#[test]
fn a_load_is_joined_until_it_is_finished() {
    let users = Users::new(None);
    let join = |lane| {
        users
            .pin_or_join(&user("ann"), lane, pending)
            .expect_err("not in memory")
    };
    let (list, again) = (join(Lane::List), join(Lane::List));
    assert!(are_same(&list, &again));
    let single = join(Lane::Single);
    assert!(!are_same(&list, &single), "a single load waits for no list");
    assert!(are_same(&single, &join(Lane::Single)) && are_same(&single, &join(Lane::List)));
    users.abandon_load(&user("ann"), Lane::Single);
    assert!(are_same(&list, &join(Lane::List)), "the list goes on");
    let pin = users
        .finish_load(&user("ann"), Lane::List, nobody)
        .map(|entry| entry.pin());
    assert!(pin.is_some() && users.pin_or_join(&user("ann"), Lane::List, pending).is_ok());
    drop(pin);
    users.sweep();
    assert!(!are_same(&list, &join(Lane::List)), "the next load is another one");
}

#[test]
fn a_load_that_a_change_of_its_user_overtook_is_rejected() {
    let users = Users::new(None);
    for lane in [Lane::Single, Lane::List] {
        let ann = user("ann");
        let _load = users.pin_or_join(&ann, lane, pending).expect_err("not in memory");
        // Meanwhile somebody has the user in memory, changes it, and needs it no more.
        users.insert(&ann, nobody).overtake_loads();
        let late = users.finish_load(&ann, lane, nobody);
        assert!(late.is_none());
        let _again = users.pin_or_join(&ann, lane, pending).expect_err("not in memory");
        let loaded = users.finish_load(&ann, lane, nobody);
        assert!(loaded.is_some());
        drop(loaded);
        users.sweep();
    }
}

#[test]
fn a_load_is_taken_though_its_user_was_in_memory_without_a_change() {
    let users = Users::new(None);
    let _load = users.pin_or_join(&user("ann"), Lane::List, pending);
    let come_and_go = |user: &UserId| drop(users.insert(user, nobody));
    come_and_go(&user("ann"));
    neighbours("ann").take(100).for_each(|neighbour| {
        users.insert(&neighbour, nobody).overtake_loads();
    });
    let loaded = users.finish_load(&user("ann"), Lane::List, nobody);
    assert!(loaded.is_some());
}

#[test]
fn a_load_of_a_user_that_is_in_memory_changes_nothing() {
    let users = Users::new(None);
    let _load = users.pin_or_join(&user("ann"), Lane::Single, pending);
    let mut entry = users.insert(&user("ann"), nobody);
    entry.state.connect(now(), SessionId(1), Activity::Unknown, &TIMERS);
    entry.overtake_loads();
    drop(entry);
    let pin = users.finish_load(&user("ann"), Lane::Single, nobody);
    assert!(pin.expect("an entry").state.is_connected());
}

#[test]
fn the_place_of_a_dropped_entry_is_used_again() {
    let users = Users::new(None);
    let first = users.insert(&user("ann"), nobody).at();
    let second = users.insert(&user("ann"), nobody).at();
    assert_eq!(first, second);
}

#[test]
fn a_shard_has_room_for_a_quarter_more_entries_at_most() {
    let users = Users::new(None);
    let room = || users.shards[shard_of(&user("ann"))].lock().count_and_room().1;
    let (mut pins, mut moved) = (Vec::new(), 0);
    for user in neighbours("ann").take(400) {
        let before = room();
        pins.push(users.insert(&user, nobody).pin());
        let grown_from = (room() > before).then_some(before);
        moved += grown_from.unwrap_or(0);
        assert!(
            room() <= pins.len() + (pins.len() / 4).max(4),
            "{} for {}",
            room(),
            pins.len()
        );
    }
    assert!(moved <= 5 * pins.len(), "growing moved {moved} entries");
}

#[test]
fn a_shard_that_everybody_left_gives_its_memory_back() {
    let users = Users::new(None);
    let pins: Vec<UserPin> = neighbours("ann")
        .take(300)
        .map(|user| users.insert(&user, nobody).pin())
        .collect();
    // The last to leave is the last that came, whose slot is behind all others.
    for pin in pins {
        drop(pin);
        users.sweep();
    }
    let shard = users.shards[shard_of(&user("ann"))].lock();
    let (count, room) = shard.count_and_room();
    assert!(count == 0 && room <= 16, "{count} entries, room for {room}");
    drop(shard);
    let again = users.insert(&user("ann"), nobody).pin();
    assert!(users.find(&user("ann")).is_some_and(|entry| entry.at() == again.user()));
}

#[tokio::test]
#[should_panic(expected = "the entry of a reference in use was dropped")]
async fn a_reference_that_nothing_keeps_is_a_bug() {
    let users = Users::new(None);
    let at = users.insert(&user("ann"), nobody).at();
    drop(users.lock_at(at));
}

#[tokio::test]
async fn a_user_lock_is_held_until_dropped_and_leaves_others_free() {
    let locks = UserLocks::new();
    let lock = locks.lock(&user("ann")).await;
    assert_eq!(lock.user(), &user("ann"));
    assert!(locks.is_locked(&user("ann")));
    let other = (0..)
        .map(|number| user(&format!("user-{number}")))
        .find(|other| !locks.is_locked(other));
    assert!(other.is_some(), "another user is free");
    drop(lock);
    assert!(!locks.is_locked(&user("ann")));
}

/// Most bytes of an entry: a user that watches others can have 40,000 of them made, for 17 MB with their ids and places.
const ENTRY_MAX_BYTES: usize = 288;

#[test]
fn the_entry_of_a_user_is_small() {
    let bytes = size_of::<Entry>();
    assert!(bytes <= ENTRY_MAX_BYTES, "{bytes}");
}
