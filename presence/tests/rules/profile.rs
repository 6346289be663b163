//! What a profile tells of itself: whether anything must be published, and its times, which move without an event too.

use presence::profile::Stored;
use presence::{Audience, Contribution, Preference, Profile, Published, Revision, Wall};

fn wall(millis: i64) -> Option<Wall> {
    Some(Wall::from_millis(millis))
}

fn publish(profile: &mut Profile) -> Option<Published> {
    profile.publish(|before| Revision::new(before.get() + 1))
}

#[test]
fn a_change_is_pending_until_it_is_published() {
    let mut profile = Profile::default();
    assert!(!profile.is_publication_pending());
    let connected = Contribution {
        connections: 1,
        ..Contribution::default()
    };
    profile.apply_rule(Wall::from_millis(1), &[connected]);
    assert!(profile.is_publication_pending());
    publish(&mut profile).unwrap();
    assert!(!profile.is_publication_pending());
}

#[test]
fn a_forced_publication_is_a_new_revision_for_the_users_own() {
    let mut profile = Profile::default();
    assert_eq!((publish(&mut profile), profile.revision()), (None, Revision::NEVER));
    profile.force_publish();
    let published = publish(&mut profile).unwrap();
    assert_eq!(
        (published.audience, profile.revision()),
        (Audience::Inner, Revision::new(1))
    );
    assert_eq!(publish(&mut profile), None, "once");
}

#[test]
fn the_times_of_a_contribution_move_forward_without_an_event() {
    let mut profile = Profile::default();
    for ((seen, active), expected) in [
        ((20, 10), (20, 10)),
        ((15, 5), (20, 10)),
        ((30, 12), (30, 12)),
        ((31, 40), (40, 40)),
    ] {
        profile.note_times(&Contribution {
            last_seen: wall(seen),
            last_active: wall(active),
            ..Contribution::default()
        });
        assert_eq!(
            (profile.last_seen(), profile.last_active()),
            (wall(expected.0), wall(expected.1)),
            "{seen} {active}"
        );
    }
    assert!(!profile.is_publication_pending());
}

#[test]
fn the_latest_time_of_a_profile_is_any_of_those_it_tells() {
    assert_eq!(Profile::default().latest_time(), None);
    for latest in 0..4_i64 {
        let at = |which| wall(if which == latest { 200 } else { 100 + which });
        let mut stored = Stored {
            since: at(0),
            last_seen: at(1),
            last_active: at(2),
            ..Stored::default()
        };
        stored.durable.preference = Preference {
            set_at: at(3),
            ..Preference::default()
        };
        let profile = Profile::restore(stored, Wall::from_millis(1_000));
        assert_eq!(profile.latest_time(), wall(200), "{latest}");
    }
}
