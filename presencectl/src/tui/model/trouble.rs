//! What is wrong with the daemon while it is connected, the worst first. Every layout shows it; the words are the view's.

use std::time::Duration;

use presence::wire::rest::{ClusterStats, StallStats};

use super::{ConnectionState, Model};

/// Statistics arrive every second: after a longer silence the daemon hangs, or the network is dead.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(2);
/// A stall is trouble for that long; after that it is only counted.
const STALL_SHOWN: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Trouble {
    /// Nothing was heard for so long. All figures are from before.
    Silent(Duration),
    /// Changes can't be stored.
    NotWritable,
    /// A server of Redis can't be reached: records may be out of date.
    RedisUnreachable,
    /// Records may be out of date for another reason: Redis is full or slow, or it was just lost.
    Stale,
    /// A node of the cluster has not ticked for long.
    NodeSilent,
    /// The statistics could not be read, with the reason; all figures are from before.
    NoStatistics(String),
    /// The store works, but reported an error.
    StoreError(String),
    /// The process stood still a moment ago, for so long.
    Stalled(Duration),
}

impl Model {
    /// The worst trouble; `None` also without a connection, which is a state of its own.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        if self.connection != ConnectionState::Live {
            return None;
        }
        if let Some(silence) = self.silence() {
            return Some(Trouble::Silent(silence));
        }
        if let Some(why) = &self.stats_error {
            return Some(Trouble::NoStatistics(why.clone()));
        }
        let stats = self.stats.as_ref()?;
        let cluster = stats.cluster.as_ref();
        if !stats.store.writable {
            return Some(Trouble::NotWritable);
        }
        if cluster.is_some_and(ClusterStats::has_lost_redis) {
            return Some(Trouble::RedisUnreachable);
        }
        if self.is_stale || cluster.is_some_and(|cluster| cluster.stale_partitions > 0) {
            return Some(Trouble::Stale);
        }
        if let Some(why) = &stats.store.error {
            return Some(Trouble::StoreError(why.clone()));
        }
        let has_silent = |cluster: &ClusterStats| cluster.nodes.iter().any(|node| cluster.is_silent(node));
        match cluster.is_some_and(has_silent) {
            true => Some(Trouble::NodeSilent),
            false => self.recent_stall().map(Trouble::Stalled),
        }
    }

    /// For how long nothing was heard, if that is longer than a healthy daemon is silent.
    pub(crate) fn silence(&self) -> Option<Duration> {
        let silence = self.clock.mono.since(self.heard_at.max(self.resumed_at));
        Some(silence).filter(|silence| self.connection == ConnectionState::Live && *silence >= SILENCE_MAX)
    }

    /// The length of a stall that ended within the last minute.
    pub(crate) fn recent_stall(&self) -> Option<Duration> {
        let StallStats {
            last_at, last_seconds, ..
        } = self.stats.as_ref()?.stalls;
        let is_recent = self.now.since(last_at?) < STALL_SHOWN;
        Duration::try_from_secs_f64(last_seconds).ok().filter(|_| is_recent)
    }

    /// Whether the figures are current.
    pub(crate) fn has_current_figures(&self) -> bool {
        !matches!(self.trouble(), Some(Trouble::Silent(_) | Trouble::NoStatistics(_)))
    }
}
