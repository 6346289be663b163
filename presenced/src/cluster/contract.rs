//! What every kind of cluster guarantees to the engine. Each test runs once for each kind.

use std::time::Duration;

use presence::{Freshness, Profile, Revision, UserId, Wall};

use super::{Alone, Cluster};

/// The ceiling that the previous run left.
const CEILING: u64 = 1_000_000;
const NOW: Wall = Wall::from_millis(5_000);

/// How the previous run ended.
#[derive(Debug, Clone, Copy)]
enum LastRun {
    Clean,
    Crashed,
}

/// Makes a cluster of one kind, right after its node has started.
type Start = fn(LastRun) -> Cluster;

fn alone(last_run: LastRun) -> Cluster {
    Cluster::Alone(Alone::new("here", CEILING, matches!(last_run, LastRun::Clean)))
}

/// Every kind of cluster.
const KINDS: [Start; 1] = [alone];

#[test]
fn revisions_grow_for_a_user_and_between_users() {
    for start in KINDS {
        let cluster = start(LastRun::Clean);
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
        let cluster = start(LastRun::Clean);
        let ahead = Revision::new(1 << 50);
        assert!(cluster.next_revision(ahead, NOW) > ahead);
    }
}

#[test]
fn revisions_grow_though_the_wall_clock_goes_back() {
    for start in KINDS {
        let cluster = start(LastRun::Clean);
        let before = cluster.next_revision(Revision::NEVER, NOW);
        assert!(cluster.next_revision(before, Wall::from_millis(0)) > before);
    }
}

#[test]
fn revisions_after_a_start_are_above_those_before() {
    for start in KINDS {
        for last_run in [LastRun::Clean, LastRun::Crashed] {
            let cluster = start(last_run);
            let first = cluster.next_revision(Revision::new(5), Wall::from_millis(0));
            assert!(first > Revision::new(CEILING), "{last_run:?}");
        }
    }
}

#[test]
fn a_ceiling_lies_above_what_is_given_until_the_next_one_is_stored() {
    for start in KINDS {
        let cluster = start(LastRun::Clean);
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
fn after_a_crash_stored_records_are_shown_above_what_was_published() {
    for start in KINDS {
        let cluster = start(LastRun::Crashed);
        assert_eq!(cluster.restored(Revision::new(5)), Revision::new(CEILING));
        assert_eq!(
            cluster.restored(Revision::NEVER),
            Revision::NEVER,
            "a user never seen stays one"
        );
    }
}

#[test]
fn after_a_clean_stop_stored_records_are_shown_as_they_were() {
    for start in KINDS {
        assert_eq!(start(LastRun::Clean).restored(Revision::new(5)), Revision::new(5));
    }
}

#[test]
fn an_offer_that_changes_nothing_takes_no_revision() {
    for start in KINDS {
        let cluster = start(LastRun::Clean);
        let mut profile = Profile::default();
        let published = cluster.offer(NOW, |revisions| profile.recompute(NOW, &[], revisions));
        assert_eq!((published, profile.revision()), (None, Revision::NEVER));
        profile.force_publish();
        let published = cluster.offer(NOW, |revisions| profile.recompute(NOW, &[], revisions));
        assert!(published.is_some() && profile.revision() > Revision::NEVER);
    }
}

#[test]
fn a_node_without_others_has_all_there_is_to_know() {
    for start in KINDS {
        let cluster = start(LastRun::Clean);
        let ann = UserId::new("ann").expect("a user id");
        assert!(cluster.contributions_of(&ann).is_empty() && !cluster.may_be_present_elsewhere(&ann));
        assert_eq!(cluster.freshness(), Freshness::Current);
        assert_eq!(cluster.node(), "here");
        for times in [0, 1, 3] {
            let nodes = cluster.nodes_connected(times);
            assert!(nodes.len() == times as usize && nodes.iter().all(|node| node == cluster.node_name()));
        }
    }
}
