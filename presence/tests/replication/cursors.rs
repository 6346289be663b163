//! Cursors of a cluster.

use std::time::Duration;

use presence::replication::{CURSOR_KEPT, Epoch, cluster_cursor, resumes};
use presence::{Revision, Wall};

const LATER: Revision = Revision::new(1_800_000_000_500_000);
const EARLIER: Revision = Revision::new(1_800_000_000_000_000);

fn epoch(random: u64) -> Epoch {
    Epoch {
        start: Revision::new(1),
        random,
    }
}

#[test]
fn a_cursor_has_the_lowest_id_of_all_partitions() {
    let cursor = cluster_cursor([Some((epoch(1), LATER)), Some((epoch(2), EARLIER))]).unwrap();
    assert_eq!(cursor.watermark, EARLIER);
    assert_eq!(
        cluster_cursor([Some((epoch(1), LATER)), None]),
        None,
        "one can't be reached"
    );
    assert_eq!(cluster_cursor([]), None);
}

#[test]
fn a_cursor_resumes_in_the_same_epochs_for_an_hour() {
    let at = |first, second| cluster_cursor([Some((epoch(first), EARLIER)), Some((epoch(second), EARLIER))]).unwrap();
    let now = EARLIER.time().after(Duration::from_secs(60));
    assert!(resumes(at(1, 2), at(1, 2), now));
    assert!(!resumes(at(1, 2), at(1, 3), now), "a partition failed over");
    assert!(!resumes(at(1, 2), at(2, 1), now), "the order counts");
    assert!(!resumes(at(1, 2), at(1, 2), EARLIER.time().after(CURSOR_KEPT)));
    assert!(resumes(at(1, 2), at(1, 2), Wall::from_millis(0)), "the clock went back");
}
