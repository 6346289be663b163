//! How many ids users looked at of late. What is over is dropped whenever there are twice as many users as were left the last time:
//! each call then costs the same on average, however many there are. Pure: the time is an argument.

use hashbrown::HashMap;
use presence::{Mono, TokenBucket, UserId};

use crate::engine::visits::Visits;

/// How many users' counts are kept before those that are over are dropped.
pub(super) const BUCKETS_KEPT: usize = 1024;

/// The ids that each user looked at of late.
#[derive(Debug)]
pub(super) struct LookupBuckets {
    users: HashMap<UserId, TokenBucket>,
    /// With how many users those are dropped that are over.
    dropped_at: usize,
    /// Of counts, to find those that are over.
    pub(super) visits: Visits,
}

impl Default for LookupBuckets {
    fn default() -> Self {
        Self {
            users: HashMap::new(),
            dropped_at: BUCKETS_KEPT,
            visits: Visits::default(),
        }
    }
}

impl LookupBuckets {
    /// The count of one user.
    pub(super) fn of(&mut self, user: &UserId, now: Mono) -> &mut TokenBucket {
        if self.users.len() >= self.dropped_at {
            self.drop_full(now);
        }
        self.users.entry_ref(user).or_default()
    }

    /// How many counts are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    fn drop_full(&mut self, now: Mono) {
        self.visits.add(self.users.len());
        self.users.retain(|_, bucket| !bucket.is_full(now));
        self.dropped_at = (2 * self.users.len()).max(BUCKETS_KEPT);
        if self.users.capacity() > 2 * self.dropped_at {
            self.users.shrink_to(self.dropped_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use presence::Rate;

    use super::*;

    const EVERY: Duration = Duration::from_secs(60);

    fn user(number: usize) -> UserId {
        UserId::new(&format!("user-{number}")).expect("a user id")
    }

    /// An id of each of these users, at a rate that forgets it after a minute.
    fn look(buckets: &mut LookupBuckets, users: std::ops::Range<usize>, now: Mono) {
        let rate = Rate {
            amount: 1,
            period: EVERY,
            burst: 1,
        };
        for number in users {
            let _ = buckets.of(&user(number), now).take(rate, now, 1);
        }
    }

    #[test]
    fn counts_of_many_users_are_looked_at_twice_each_at_most() {
        for count in [BUCKETS_KEPT, 1_792, 3_584, 5_000] {
            let mut buckets = LookupBuckets::default();
            // Nothing is over yet, whoever comes and however often.
            for _ in 0..10 {
                look(&mut buckets, 0..count, Mono::from_millis(0));
            }
            let visits = buckets.visits.count();
            assert_eq!(buckets.users.len(), count);
            assert!(visits <= 2 * count as u64, "{visits} visits of {count} users");
        }
    }

    #[test]
    fn counts_that_are_over_give_their_memory_back() {
        let mut buckets = LookupBuckets::default();
        look(&mut buckets, 0..16 * BUCKETS_KEPT, Mono::from_millis(0));
        let full = buckets.users.capacity();
        // One more than there may be before it is looked who is over.
        look(
            &mut buckets,
            16 * BUCKETS_KEPT..32 * BUCKETS_KEPT + 1,
            Mono::default().after(2 * EVERY),
        );
        let (count, room) = (buckets.users.len(), buckets.users.capacity());
        assert!(
            count <= 16 * BUCKETS_KEPT + 1 && room <= 2 * full,
            "{count} users, room for {room}"
        );
        look(&mut buckets, 0..64 * BUCKETS_KEPT, Mono::default().after(4 * EVERY));
        buckets.drop_full(Mono::default().after(6 * EVERY));
        assert!(buckets.users.is_empty() && buckets.users.capacity() <= 4 * BUCKETS_KEPT);
    }
}
