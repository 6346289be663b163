//! Stalls, late beats and steps of the clocks.

use super::*;

#[test]
fn a_stall_moves_no_deadline_closer() {
    let clock = Clock::new();
    assert_eq!(clock.beat_at(200), None);
    assert_eq!(clock.beat_at(400), None);
    // The process was stopped for a minute.
    let stall = clock.beat_at(60_400);
    assert_eq!(stall, Some(Duration::from_millis(60_000) - RUN_AHEAD));
    assert_eq!(clock.limit.load(Ordering::SeqCst), 400 + 2 * millis(RUN_AHEAD));
}

#[test]
fn a_late_beat_moves_no_deadline_closer() {
    let clock = Clock::manual(BEGIN);
    for late in [Duration::from_millis(900), STALL, RUN_AHEAD] {
        clock.stall(late);
        let before = clock.mono();
        assert_eq!(clock.beat(), None, "that is no stall");
        assert_eq!(clock.mono(), before, "after {late:?}");
    }
}

#[test]
fn a_beat_in_time_loses_nothing() {
    let clock = Clock::manual(BEGIN);
    for beats in 1..=3 {
        clock.stall(RUN_AHEAD);
        assert_eq!(clock.beat(), None);
        assert_eq!(clock.mono(), Mono::from_millis(beats * millis(RUN_AHEAD)));
    }
    assert!(!clock.take_parted());
}

#[test]
fn many_late_beats_part_the_clocks_as_a_stall_does() {
    let clock = Clock::manual(BEGIN);
    let times = STEP_MIN.as_millis().div_ceil((STALL - RUN_AHEAD).as_millis());
    for _ in 0..times {
        assert!(!clock.take_parted());
        clock.stall(STALL);
        assert_eq!(clock.beat(), None);
    }
    assert!(clock.take_parted());
    assert!(!clock.take_parted(), "that was told");
}

const BEGIN: Wall = Wall::from_millis(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_systems_clock_is_read_as_it_is() {
    let clock = Clock::manual(BEGIN);
    for wall in [BEGIN.after(HOUR), BEGIN, Wall::from_millis(-5), Wall::from_millis(0)] {
        clock.set_wall(wall);
        let read = SystemWall::from_millis(wall.as_millis());
        assert_eq!((clock.system(), clock.read().system), (read, read));
    }
}

#[test]
fn a_step_of_the_systems_clock_moves_no_monotonic_time() {
    let clock = Clock::manual(BEGIN);
    for wall in [BEGIN.after(24 * HOUR), BEGIN, Wall::from_millis(0)] {
        clock.set_wall(wall);
        assert_eq!(clock.mono(), Mono::from_millis(0));
    }
    clock.advance(HOUR);
    assert_eq!(clock.mono(), Mono::from_millis(0).after(HOUR));
}

#[test]
fn a_step_of_the_systems_clock_is_noticed_once() {
    let clock = Clock::manual(BEGIN);
    clock.advance(HOUR);
    assert_eq!(clock.take_step(), None, "time has passed on both");
    clock.set_wall(BEGIN.after(2 * HOUR));
    assert_eq!(clock.take_step(), Some(ClockStep::Forward(HOUR)));
    assert_eq!(clock.take_step(), None);
    clock.set_wall(BEGIN);
    clock.advance(Duration::from_millis(200));
    assert_eq!(clock.take_step(), Some(ClockStep::Back(2 * HOUR)));
    assert_eq!(clock.take_step(), None);
    clock.set_wall(BEGIN.after(Duration::from_millis(1_199)));
    assert_eq!(clock.take_step(), None, "too little to tell from a correction");
}

#[test]
fn a_clock_that_stands_still_goes_back_step_by_step() {
    let clock = Clock::manual(BEGIN);
    clock.advance(HOUR);
    clock.set_wall(BEGIN);
    assert_eq!(clock.take_step(), Some(ClockStep::Back(HOUR)));
}

#[test]
fn a_clock_that_went_back_is_behind_until_it_has_caught_up() {
    let clock = Clock::manual(BEGIN);
    assert_eq!(clock.behind(), None);
    clock.set_wall(BEGIN.after(HOUR));
    assert_eq!(clock.behind(), None);
    clock.set_wall(BEGIN);
    assert_eq!(clock.behind(), Some(HOUR));
    clock.advance(HOUR);
    assert_eq!(clock.behind(), None);
}

#[test]
fn a_clock_behind_that_of_the_last_run_is_behind() {
    let clock = Clock::manual(BEGIN);
    clock.note_earlier_run(BEGIN);
    assert_eq!(clock.behind(), None);
    clock.note_earlier_run(BEGIN.after(HOUR));
    assert_eq!(clock.behind(), Some(HOUR));
}

#[test]
fn without_a_beat_the_monotonic_clock_pauses() {
    let clock = Clock {
        limit: AtomicU64::new(0),
        ..Clock::new()
    };
    assert_eq!(clock.mono(), Mono::from_millis(0));
}
