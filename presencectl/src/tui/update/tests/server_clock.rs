//! Ages count by the server's clock, whatever the clock of this machine is.

use std::time::Duration;

use super::super::super::message::Response;
use super::*;

/// The clocks of this machine, independent of each other.
const fn here(mono: u64, wall: i64) -> Now {
    Now {
        mono: Mono::from_millis(mono),
        wall: Wall::from_millis(wall),
    }
}

fn response_at(millis: i64) -> Message {
    Message::Response(Response::Records {
        now: Wall::from_millis(millis),
        records: vec![],
    })
}

fn snapshot_at(millis: i64, resumed: bool) -> Message {
    Message::Stream(StreamEvent::Snapshot {
        now: Wall::from_millis(millis),
        users: vec![],
        resumed,
        done: true,
    })
}

#[test]
fn ages_ignore_a_local_clock_that_is_ahead() {
    let mut model = Model::new(Size { width: 80, height: 24 }, here(0, 9_000_000));
    update(&mut model, Message::Tick(here(10, 9_000_010)));
    update(&mut model, connected());
    update(&mut model, snapshot_at(1_000_000, false));
    assert_eq!(model.now, Wall::from_millis(1_000_000));
    update(&mut model, Message::Tick(here(1_010, 9_001_010)));
    assert_eq!(model.now, Wall::from_millis(1_001_000));
}

#[test]
fn ages_ignore_a_jump_of_the_local_clock() {
    let mut model = with(&["ann"]);
    let server = Wall::from_millis(5_000_000);
    update(&mut model, response_at(5_000_000));
    for wall in [90_000_000, 1, 1_000_000] {
        update(&mut model, Message::Tick(here(1_000, wall)));
        assert_eq!(model.now, server.after(Duration::from_secs(1)), "{wall}");
    }
}

#[test]
fn a_restarted_daemons_corrected_clock_is_accepted() {
    let mut model = with(&["ann"]);
    update(&mut model, response_at(9_000_000));
    update(&mut model, connected());
    update(&mut model, snapshot_at(9_000_100, true));
    update(&mut model, snapshot_at(9_000_000, true));
    assert_eq!(
        model.now,
        Wall::from_millis(9_000_100),
        "the clock of one connection never goes back"
    );
    update(&mut model, connected());
    update(&mut model, snapshot_at(2_000_000, false));
    assert_eq!(model.now, Wall::from_millis(2_000_000));
}

#[test]
fn data_of_a_hanging_daemon_is_as_old_as_its_last_message() {
    let mut model = with(&["ann"]);
    update(&mut model, Message::Tick(at(20_000)));
    update(&mut model, response_at(1_020_000));
    update(&mut model, Message::Tick(at(28_000)));
    let why = "it has been silent for 8 s".to_owned();
    let retry_in = Duration::from_secs(1);
    update(&mut model, Message::Stream(StreamEvent::Lost { why, retry_in }));
    assert_eq!(model.stale_for(), Some(Duration::from_secs(8)));
    update(&mut model, Message::Tick(at(30_000)));
    assert_eq!(model.stale_for(), Some(Duration::from_secs(10)));
}

#[test]
fn seconds_while_the_program_was_stopped_are_unknown() {
    let mut model = with(&["ann"]);
    update(&mut model, Message::Tick(at(1_000)));
    update(&mut model, Message::Tick(at(5_000)));
    update(&mut model, Message::Tick(at(6_000)));
    let known: Vec<_> = model.history.last(10).map(|sample| sample.is_known).collect();
    assert_eq!(known, [true, false, false, false, true, true]);
}
