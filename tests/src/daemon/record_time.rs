//! Times of records, compared with the clock of the test.

use std::time::Duration;

use presence::Wall;
use presence::replication::CLOCKS_DIFFER_MAX;

use super::Daemon;
use crate::clock::wall_now;
use crate::wait::wait_until;

impl Daemon {
    /// The earliest time that a record may have of what happened then: clocks are read to the millisecond, each by itself. In a cluster
    /// records follow the estimate of Redis's clock, which is behind by as long as an answer of Redis took.
    pub fn earliest_of(&self, time: Wall) -> Wall {
        let late = if self.is_in_cluster() {
            CLOCKS_DIFFER_MAX
        } else {
            Duration::from_millis(1)
        };
        Wall::from_millis(time.as_millis() - i64::try_from(late.as_millis()).unwrap())
    }

    /// Waits until a record of what happens next has a later time than this one. The earliest that it may have.
    pub async fn later_than(&self, time: Option<Wall>) -> Wall {
        wait_until("the clock moves on", async || {
            Some(self.earliest_of(wall_now())).filter(|earliest| Some(*earliest) > time)
        })
        .await
    }
}
