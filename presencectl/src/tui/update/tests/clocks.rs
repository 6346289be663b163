//! Ages are told by the server's clock, whatever the clock of this machine says.

use std::time::Duration;

use super::super::super::message::Response;
use super::*;

/// This machine's clocks, the wall clock apart from the other.
const fn here(mono: u64, wall: i64) -> Now {
    Now {
        mono: Mono::from_millis(mono),
        wall: Wall::from_millis(wall),
    }
}

fn heard(millis: i64) -> Message {
    Message::Response(Response::Records {
        now: Wall::from_millis(millis),
        records: vec![],
    })
}

fn picture(millis: i64, resumed: bool) -> Message {
    Message::Stream(StreamEvent::Snapshot {
        now: Wall::from_millis(millis),
        users: vec![],
        resumed,
        done: true,
    })
}

#[test]
fn a_machine_whose_clock_is_ahead_shows_no_age_too_large() {
    let mut model = Model::new(Size { width: 80, height: 24 }, here(0, 9_000_000));
    update(&mut model, Message::Tick(here(10, 9_000_010)));
    update(&mut model, connected());
    update(&mut model, picture(1_000_000, false));
    assert_eq!(model.now, Wall::from_millis(1_000_000));
    update(&mut model, Message::Tick(here(1_010, 9_001_010)));
    assert_eq!(model.now, Wall::from_millis(1_001_000));
}

#[test]
fn a_jump_of_this_machines_clock_moves_no_age() {
    let mut model = with(&["ann"]);
    let server = Wall::from_millis(5_000_000);
    update(&mut model, heard(5_000_000));
    for wall in [90_000_000, 1, 1_000_000] {
        update(&mut model, Message::Tick(here(1_000, wall)));
        assert_eq!(model.now, server.after(Duration::from_secs(1)), "{wall}");
    }
}

#[test]
fn a_restarted_daemon_whose_clock_was_put_right_is_believed() {
    let mut model = with(&["ann"]);
    update(&mut model, heard(9_000_000));
    update(&mut model, connected());
    update(&mut model, picture(9_000_100, true));
    update(&mut model, picture(9_000_000, true));
    assert_eq!(
        model.now,
        Wall::from_millis(9_000_100),
        "one life's clock never goes back"
    );
    update(&mut model, connected());
    update(&mut model, picture(2_000_000, false));
    assert_eq!(model.now, Wall::from_millis(2_000_000));
}

#[test]
fn what_a_daemon_that_hangs_left_behind_is_as_old_as_its_last_word() {
    let mut model = with(&["ann"]);
    update(&mut model, Message::Tick(at(20_000)));
    update(&mut model, heard(1_020_000));
    update(&mut model, Message::Tick(at(28_000)));
    let why = "it has been silent for 8 s".to_owned();
    let retry_in = Duration::from_secs(1);
    update(&mut model, Message::Stream(StreamEvent::Lost { why, retry_in }));
    assert_eq!(model.stale_for(), Some(Duration::from_secs(8)));
    update(&mut model, Message::Tick(at(30_000)));
    assert_eq!(model.stale_for(), Some(Duration::from_secs(10)));
}

#[test]
fn of_the_seconds_in_which_this_program_was_stopped_nothing_is_known() {
    let mut model = with(&["ann"]);
    update(&mut model, Message::Tick(at(1_000)));
    update(&mut model, Message::Tick(at(5_000)));
    update(&mut model, Message::Tick(at(6_000)));
    let known: Vec<_> = model.history.last(10).map(|sample| sample.is_known).collect();
    assert_eq!(known, [true, false, false, false, true, true]);
}
