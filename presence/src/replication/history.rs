//! Cursors of a cluster: a digest of the epochs of all partitions, and the lowest id applied over them. They resume on any
//! node and after any crash, as long as every partition is in the same history.

use std::time::Duration;

use crate::cursor::Cursor;
use crate::replication::names::{Epoch, stable_hash};
use crate::revision::Revision;
use crate::time::Wall;

/// For how long a cursor resumes: what was removed before is remembered no longer.
pub const CURSOR_KEPT: Duration = Duration::from_secs(3_600);

/// The cursor of a node from the [`super::Partition::position`] of each partition, in their order; none while one of them has
/// none.
#[must_use]
pub fn cluster_cursor(positions: impl IntoIterator<Item = Option<(Epoch, Revision)>>) -> Option<Cursor> {
    let positions = positions.into_iter().collect::<Option<Vec<_>>>()?;
    let mut bytes = Vec::new();
    for (epoch, _) in &positions {
        bytes.extend_from_slice(&epoch.start.get().to_be_bytes());
        bytes.extend_from_slice(&epoch.random.to_be_bytes());
    }
    Some(Cursor {
        incarnation: stable_hash(&bytes),
        watermark: positions.iter().map(|(_, last)| *last).min()?,
    })
}

/// Whether a subscription resumes from `cursor` where [`cluster_cursor`] gives `current` at `now`. Whoever has it is told all
/// users whose revision is above its watermark.
#[must_use]
pub fn resumes(cursor: Cursor, current: Cursor, now: Wall) -> bool {
    cursor.incarnation == current.incarnation
        && cursor.watermark != Revision::NEVER
        && now.since(cursor.watermark.time()) < CURSOR_KEPT
}
