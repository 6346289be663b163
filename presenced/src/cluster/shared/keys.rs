//! The keys of one partition in Redis. They share a hash tag, so that a script touches one slot of a Redis Cluster.

/// The log keeps about so many entries: some two minutes of a partition with 80 changes a second, 2 MB. A bound in time would
/// be none when a clock jumps.
pub(super) const LOG_ENTRIES: u32 = 10_000;

/// What all partitions share: the layout's version, how many partitions there are, and which database.
pub(super) const META: &str = "presence:meta";

/// The keys of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) state: String,
    pub(super) log: String,
    pub(super) online: String,
    pub(super) custom_status: String,
    /// The list of custom statuses that takes the place of the one before, while a node makes it.
    pub(super) new_custom_status: String,
}

impl Keys {
    /// The keys of the partition with this number.
    pub(super) fn of(partition: u16) -> Self {
        let key = |name: &str| format!("presence:{{{partition}}}:{name}");
        Self {
            state: key("state"),
            log: key("log"),
            online: key("online"),
            custom_status: key("custom-status"),
            new_custom_status: key("new-custom-status"),
        }
    }
}
