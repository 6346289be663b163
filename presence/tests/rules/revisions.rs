//! The clock of revisions: it grows whatever the wall clock does, and a restart begins above all revisions given before.

use presence::revision::CEILING_AHEAD_MICROS;
use presence::{Cursor, Revision, RevisionClock, Wall};
use proptest::prelude::*;

const YEAR_2255_MILLIS: i64 = 8_993_000_000_000;

fn wall(millis: i64) -> Wall {
    Wall::from_millis(millis)
}

fn any_wall() -> impl Strategy<Value = i64> {
    let near = 1_700_000_000_000_i64;
    prop_oneof![
        6 => (near - 100_000)..(near + 100_000),
        1 => Just(0),
        1 => Just(-5),
        1 => Just(i64::MAX),
        1 => Just(i64::MIN),
        1 => Just(YEAR_2255_MILLIS),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Runs of the daemon, each of which stores ceilings when it can and then crashes.
    #[test]
    fn no_revision_is_given_twice_despite_clock_jumps_and_crashes(
        runs in proptest::collection::vec(
            (any_wall(), proptest::collection::vec((any_wall(), any::<bool>()), 0..40)),
            1..6,
        )
    ) {
        let mut on_disk = 0;
        let mut last = Revision::NEVER;
        for (start, run) in runs {
            let mut clock = RevisionClock::new(on_disk, wall(start));
            prop_assert!(clock.last() >= last, "a run begins above all revisions given before");
            // Nothing is told before a ceiling is stored.
            last = if run.is_empty() { last } else { clock.last() };
            for (index, (millis, is_stored)) in run.into_iter().enumerate() {
                // The daemon stores a ceiling before it publishes anything.
                if index == 0 || is_stored {
                    on_disk = clock.wanted_ceiling(wall(millis));
                    clock.raise(on_disk);
                }
                let next = clock.next(Revision::NEVER, wall(millis));
                prop_assert!(next > last);
                prop_assert!(next.get() <= on_disk, "a ceiling was stored ahead of use");
                last = next;
            }
        }
        prop_assert!(last.get() < 1 << 53, "a JavaScript number holds it");
    }

    #[test]
    fn a_revision_is_above_the_one_the_user_had(floor in 0_u64..(1 << 53), millis in any_wall()) {
        let mut clock = RevisionClock::new(0, wall(0));
        clock.raise(clock.wanted_ceiling(wall(millis)));
        let next = clock.next(Revision::new(floor), wall(millis));
        prop_assert!(next.get() > floor);
        prop_assert!(clock.next(Revision::NEVER, wall(millis)) > next);
    }

    #[test]
    fn parsing_any_text_as_a_cursor_does_not_panic(text in "\\PC{0,40}") {
        if let Ok(cursor) = text.parse::<Cursor>() {
            prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        }
    }

    #[test]
    fn a_cursor_is_parsed_as_it_was_written(incarnation: u64, watermark: u64) {
        let watermark = Revision::new(watermark);
        let cursor = Cursor { incarnation, watermark };
        prop_assert_eq!(cursor.to_string().parse::<Cursor>(), Ok(cursor));
        let json = serde_json::to_string(&cursor).unwrap();
        prop_assert_eq!(serde_json::from_str::<Cursor>(&json).unwrap(), cursor);
    }
}

#[test]
fn revisions_follow_the_wall_clock_while_ceilings_are_stored() {
    let mut clock = RevisionClock::new(0, wall(0));
    for second in 0..100 {
        let now = wall(1_700_000_000_000 + second * 1000);
        clock.raise(clock.wanted_ceiling(now));
        let next = clock.next(Revision::NEVER, now);
        assert_eq!(next.get(), u64::try_from(now.as_millis()).unwrap() * 1000);
    }
}

#[test]
fn revisions_stay_below_a_ceiling_that_cannot_be_raised() {
    let start = 1_700_000_000_000;
    let mut clock = RevisionClock::new(0, wall(start));
    let ceiling = clock.wanted_ceiling(wall(start));
    clock.raise(ceiling);
    let mut last = clock.next(Revision::NEVER, wall(start));
    // Ten minutes without a ceiling, a thousand changes a second.
    for step in 0..600_000 {
        let next = clock.next(Revision::NEVER, wall(start + step));
        assert!(next > last && next.get() <= ceiling);
        last = next;
    }
    assert!(
        ceiling - last.get() > CEILING_AHEAD_MICROS / 3,
        "most of the room is left"
    );
}

#[test]
fn invalid_cursors_are_refused() {
    for text in [
        "",
        ".",
        "1",
        "1.",
        ".1",
        "1.2.3",
        "+1.2",
        "1.-2",
        "0x1.2",
        " 1.2",
        "1.2 ",
        "1.2\n",
        "g.1",
        "１.２",
        "null",
        "11111111111111111.1",
        "1.00000000000000001",
        "\u{0}.1",
    ] {
        assert!(text.parse::<Cursor>().is_err(), "{text:?}");
    }
    let longest = Cursor {
        incarnation: u64::MAX,
        watermark: Revision::new(u64::MAX),
    };
    assert_eq!(longest.to_string().len(), 33, "as the room around records counts on");
}

#[test]
fn a_start_is_above_the_stored_ceiling_and_the_wall_clock() {
    let now = 1_700_000_000_000_000;
    for (ceiling, floor) in [(0, now), (now - 1, now), (now + 1, now + 1)] {
        assert_eq!(RevisionClock::new(ceiling, wall(1_700_000_000_000)).last().get(), floor);
    }
    let latest = RevisionClock::new(0, wall(i64::MAX)).last();
    assert_eq!(Revision::MAX.get(), 9_007_199_254_740_991, "Number.MAX_SAFE_INTEGER");
    assert_eq!(latest.get(), Revision::MAX.get() - (1 << 40), "some are left");
    assert_eq!(RevisionClock::new(7, wall(i64::MIN)).last().get(), 7);
}

#[test]
fn a_ceiling_that_is_stored_is_never_lowered() {
    let mut clock = RevisionClock::new(0, wall(0));
    clock.raise(1_000_000_000_000);
    clock.raise(5);
    assert_eq!(clock.wanted_ceiling(wall(0)), 1_000_000_000_000);
}
