//! What every kind of cluster guarantees to the engine. Each test runs once for each kind.

use std::time::Duration;

use presence::{Freshness, Profile, Revision, UserId, Wall};

use super::{Alone, Cluster};

/// The ceiling that the previous run left.
const CEILING: u64 = 1_000_000;
const NOW: Wall = Wall::from_millis(5_000);

/// What the previous runs left.
#[derive(Debug, Clone, Copy)]
enum Past {
    /// There was none.
    None,
    /// This run's clock is right.
    Run,
    /// The ceiling is that of a backup, or of a clock that was behind: before what was told since.
    Backup,
}

/// Makes a cluster of one kind, right after its node has started.
type Start = fn(Past) -> Cluster;

fn alone(past: Past) -> Cluster {
    let (ceiling, wall) = match past {
        Past::None => (None, Wall::from_millis(0)),
        Past::Run => (Some(CEILING), Wall::from_millis(0)),
        Past::Backup => (Some(CEILING / 2), Wall::from_millis(1_000)),
    };
    Cluster::Alone(Alone::new("here", ceiling, wall))
}

/// Every kind of cluster.
const KINDS: [Start; 1] = [alone];

#[test]
fn revisions_grow_for_a_user_and_between_users() {
    for start in KINDS {
        let cluster = start(Past::Run);
        let mut last = Revision::NEVER;
        for _ in 0..1000 {
            let next = cluster.next_revision(last, NOW);
            assert!(next > last);
            last = next;
        }
        let other = cluster.next_revision(Revision::NEVER, NOW);
        assert!(other > last, "no revision is given twice");
    }
}

#[test]
fn a_revision_is_above_the_users_last_one_wherever_that_came_from() {
    for start in KINDS {
        let cluster = start(Past::Run);
        let ahead = Revision::new(1 << 50);
        assert!(cluster.next_revision(ahead, NOW) > ahead);
    }
}

#[test]
fn revisions_grow_though_the_wall_clock_goes_back() {
    for start in KINDS {
        let cluster = start(Past::Run);
        let before = cluster.next_revision(Revision::NEVER, NOW);
        assert!(cluster.next_revision(before, Wall::from_millis(0)) > before);
    }
}

#[test]
fn revisions_after_a_start_are_above_those_before() {
    for start in KINDS {
        for past in [Past::Run, Past::Backup] {
            let cluster = start(past);
            let first = cluster.next_revision(Revision::new(5), Wall::from_millis(0));
            assert!(first > Revision::new(CEILING), "{past:?}");
            assert!(first > cluster.floor());
        }
    }
}

#[test]
fn a_ceiling_lies_above_what_is_given_until_the_next_one_is_stored() {
    for start in KINDS {
        let cluster = start(Past::Run);
        let ceiling = cluster.wanted_ceiling(NOW);
        cluster.raise_ceiling(ceiling);
        for millis in 0..1000 {
            let now = NOW.after(Duration::from_millis(millis));
            assert!(
                cluster.next_revision(Revision::NEVER, now) <= Revision::new(ceiling),
                "{millis}"
            );
        }
    }
}

#[test]
fn a_ceiling_does_not_sink_though_the_wall_clock_goes_back() {
    for start in KINDS {
        let cluster = start(Past::Run);
        let ahead = NOW.after(Duration::from_secs(3600));
        let stored = cluster.wanted_ceiling(ahead);
        cluster.raise_ceiling(stored);
        // A heartbeat after the clock was set back takes the place of the one before.
        assert!(cluster.wanted_ceiling(NOW) >= stored);
    }
}

#[test]
fn records_are_told_above_what_was_told_before_the_start() {
    for start in KINDS {
        for past in [Past::Run, Past::Backup] {
            let cluster = start(past);
            assert_eq!(cluster.told(Revision::new(5)), Revision::new(CEILING), "{past:?}");
            let changed = cluster.next_revision(Revision::new(5), NOW);
            assert_eq!(cluster.told(changed), changed);
            // Nothing is stored of it: never seen, forgotten, or lost in a crash.
            assert_eq!(cluster.told(Revision::NEVER), Revision::new(CEILING), "{past:?}");
        }
    }
}

#[test]
fn a_user_never_seen_is_told_at_0_until_one_was_forgotten() {
    for start in KINDS {
        let cluster = start(Past::None);
        assert_eq!(cluster.told(Revision::NEVER), Revision::NEVER);
        let removed = cluster.next_revision(Revision::NEVER, NOW);
        cluster.note_removal(removed);
        cluster.note_removal(Revision::new(1));
        assert_eq!(cluster.told(Revision::NEVER), removed);
    }
}

#[test]
fn a_user_is_told_at_least_at_the_last_removal() {
    for start in KINDS {
        let cluster = start(Past::Run);
        let before = cluster.next_revision(Revision::NEVER, NOW);
        let removed = cluster.next_revision(Revision::NEVER, NOW);
        assert_eq!(cluster.told(before), before);
        cluster.note_removal(removed);
        // Meanwhile the user may have been told as one that nothing is stored of.
        assert_eq!(cluster.told(before), removed);
        let changed = cluster.next_revision(before, NOW);
        assert!(changed > removed && cluster.told(changed) == changed);
    }
}

#[test]
fn an_offer_that_changes_nothing_takes_no_revision() {
    for start in KINDS {
        let cluster = start(Past::Run);
        let mut profile = Profile::default();
        profile.apply_rule(NOW, &[]);
        let published = cluster.offer(NOW, |revisions| profile.publish(revisions));
        assert_eq!((published, profile.revision()), (None, Revision::NEVER));
        profile.force_publish();
        let published = cluster.offer(NOW, |revisions| profile.publish(revisions));
        assert!(published.is_some() && profile.revision() > Revision::NEVER);
    }
}

#[test]
fn a_node_without_others_has_all_there_is_to_know() {
    for start in KINDS {
        let cluster = start(Past::Run);
        let ann = UserId::new("ann").expect("a user id");
        assert!(cluster.contributions_of(&ann).is_empty() && !cluster.may_be_present_elsewhere(&ann));
        assert_eq!(
            cluster.freshness_of(&UserId::new("ann").expect("a user id")),
            Freshness::Current
        );
        assert_eq!(cluster.node(), "here");
        for times in [0, 1, 3] {
            let nodes = cluster.nodes_connected(times);
            assert!(nodes.len() == times as usize && nodes.iter().all(|node| node == cluster.node_name()));
        }
    }
}
