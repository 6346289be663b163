//! When the users of a node that falls silent become OFFLINE on the others, measured by the clock of Redis: from the last entry
//! of the node in the log of each user's partition to the entry that says OFFLINE.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use presence::Status;
use presence::replication::{GRACE_LATE, TICKS_PER_LEASE};
use presence_tests::Daemon;
use presence_tests::cluster::Cluster;
use presence_tests::recorder::Recorders;

/// The defaults of `--lease` and `--node-grace`.
const LEASE: Duration = Duration::from_secs(15);
const NODE_GRACE: Duration = Duration::from_secs(12);
/// Nodes clean up at a moment of their own within this time.
const SPREAD: Duration = Duration::from_secs(1);
/// What a log is trimmed to, and how many more it may have: Redis takes away whole blocks, of 100 by default.
const LOG_ENTRIES: usize = 10_000;
const BLOCK_ENTRIES: usize = 100;
/// What the machine and a call take.
const BUSY: Duration = Duration::from_secs(1);
/// Clocks are read in milliseconds, twice on the way.
const ROUNDING: Duration = Duration::from_millis(2);
/// A node that is gone takes its users with it within this time: the promise.
const OFFLINE_WITHIN: Duration = Duration::from_secs(30);

/// The first and the last moment after the last entry of a silent node. Others declare it dead by their fifth tick after that
/// entry: four ticks, each a fifth of a lease, and what is left of the one under way, later. Then its users are in grace.
///
/// "OFFLINE 27 to 30 s after the stop" can't hold by these rules: a tick is due every 3 s, so the first of the other's five
/// comes 0 to 3 s after the last entry, the fifth 12 s after that one, thus 12 to 15 s after the entry; the grace is 12.2 s,
/// and nodes begin to clean up within a second: 24.2 to 28.2 s. The entry is up to 3 s older than the stop, so counted from the stop it
/// is 21.2 to 28.2 s. That the lease is over (15 s) before anybody is declared dead is true of the last tick that was *due*.
/// The end of the sentence, 30 s, is kept, and asserted from the stop.
fn offline_after() -> (Duration, Duration) {
    let tick = LEASE / TICKS_PER_LEASE;
    let from = tick * (TICKS_PER_LEASE - 1) + NODE_GRACE + GRACE_LATE;
    (from - ROUNDING, from + tick + SPREAD + BUSY)
}

/// The partition of each of the users who are present, by the cluster's state.
pub(crate) fn partitions_of_all(cluster: &Cluster) -> BTreeMap<String, usize> {
    let mut partitions = BTreeMap::new();
    for number in 0..cluster.partitions() {
        let online = cluster.command(&["SMEMBERS", &format!("presence:{{{number}}}:online")]);
        partitions.extend(online.lines().map(|user| (user.to_owned(), number)));
    }
    partitions
}

/// A node that writes nothing any more.
pub(crate) struct Silence {
    partitions: BTreeMap<String, usize>,
    /// The time of the last entry of the node in the log of each partition that has users, in µs.
    last: BTreeMap<usize, u64>,
}

impl Silence {
    /// The node with this name is silent now, as `other` knows it; these users were present before.
    pub(crate) async fn of(name: &str, cluster: &Cluster, other: &Daemon, partitions: BTreeMap<String, usize>) -> Self {
        let nodes = other.rest().nodes().await.nodes;
        let node = nodes.iter().find(|node| node.name == name).expect("a node");
        let used: BTreeSet<usize> = partitions.values().copied().collect();
        let last = used.into_iter().map(|number| {
            let entry = last_entry(cluster, number, &node.incarnation);
            (number, entry)
        });
        let last = last.collect();
        Self { partitions, last }
    }

    /// The log of the partition is as long as it may be, and does not reach back to the last entry of the node any more.
    pub(crate) fn was_trimmed(&self, cluster: &Cluster, partition: usize) {
        let log = format!("presence:{{{partition}}}:log");
        let first = cluster.command(&["XRANGE", &log, "-", "+", "COUNT", "1"]);
        let (id, _) = first.split_once('-').expect("an entry");
        let id: u64 = id.parse().expect("its time");
        assert!(id > self.last[&partition], "{id}, {:?}", self.last);
        let length: usize = cluster.command(&["XLEN", &log]).parse().expect("a length");
        assert!((LOG_ENTRIES..LOG_ENTRIES + BLOCK_ENTRIES).contains(&length), "{length}");
    }

    /// On each of the other nodes these users became OFFLINE once after it stopped, when the rules say.
    pub(crate) fn took_away(&self, users: &[String], others: &Recorders, stopped: Duration) {
        let (from, to) = offline_after();
        for user in users {
            let changes = others.changes(user, stopped);
            let left: Vec<_> = changes.iter().filter(|change| change.to == Status::Offline).collect();
            assert_eq!(left.len(), 2, "{changes:?}");
            for change in left {
                let record = change.record.as_ref().expect("a record");
                let last = self.last[&self.partitions[user]];
                let after = Duration::from_micros(record.revision.get().saturating_sub(last));
                let late = others.late_between(stopped, change.at);
                assert!(
                    from <= after && after <= to + late,
                    "{after:?} after the last entry, not {from:?} to {to:?}, {late:?} late: {change:?}"
                );
                assert!(
                    change.at <= stopped + OFFLINE_WITHIN + late,
                    "{stopped:?}, {late:?} late: {change:?}"
                );
            }
        }
    }
}

/// The time of the last entry that a node wrote to the log of a partition.
fn last_entry(cluster: &Cluster, partition: usize, incarnation: &str) -> u64 {
    let script = "for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '-')) do \
                  for i = 1, #entry[2], 2 do \
                  if entry[2][i] == 'n' and entry[2][i + 1] == ARGV[1] then return entry[1] end end end";
    let log = format!("presence:{{{partition}}}:log");
    let id = cluster.command(&["EVAL", script, "1", &log, incarnation]);
    let micros = id.split('-').next().and_then(|micros| micros.parse().ok());
    micros.unwrap_or_else(|| panic!("no entry of {incarnation} in {log}: {id:?}"))
}
