//! What users did of late, in two generations: windows that are over go together, without a look at each. Pure: the time is an
//! argument.

use std::time::Duration;

use hashbrown::HashMap;
use presence::{Mono, Rate, SlidingWindow, UserId};

/// The window of each user who did something of late.
#[derive(Debug, Default)]
pub(super) struct Windows {
    /// Of those who did something in the period that runs.
    recent: Generation,
    /// Of those who did something in the period before, and nothing since.
    before: Generation,
    /// When the period that runs began.
    began: Mono,
}

type Generation = HashMap<UserId, SlidingWindow>;

impl Windows {
    /// Counts one of a user, unless the rate is reached. After what time it is not.
    pub(super) fn take(&mut self, rate: Rate, user: &UserId, now: Mono) -> Result<(), Duration> {
        let before = &mut self.before;
        let window = self.recent.entry(user.clone());
        window
            .or_insert_with(|| before.remove(user).unwrap_or_default())
            .take(rate, now)
    }

    /// Forgets what a user did.
    pub(super) fn remove(&mut self, user: &UserId) {
        self.recent.remove(user);
        self.before.remove(user);
    }

    /// When a period is over, the next one begins: takes out the windows to which nobody added for that long. All of them are over.
    pub(super) fn begin_period(&mut self, rate: Rate, now: Mono) -> Generation {
        if now.since(self.began) < rate.period {
            return Generation::default();
        }
        self.began = now;
        let recent = std::mem::take(&mut self.recent);
        std::mem::replace(&mut self.before, recent)
    }

    #[cfg(test)]
    pub(super) fn contains(&self, user: &UserId) -> bool {
        self.recent.contains_key(user) || self.before.contains_key(user)
    }

    /// How many windows there are, and room for how many.
    #[cfg(test)]
    pub(super) fn count_and_room(&self) -> (usize, usize) {
        let generations = [&self.recent, &self.before];
        let count = generations.iter().map(|generation| generation.len()).sum();
        (count, generations.iter().map(|generation| generation.capacity()).sum())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate {
        amount: 2,
        period: Duration::from_millis(100),
        burst: 2,
    };

    proptest! {
        #[test]
        fn a_new_period_forgets_nothing_that_counts(
            steps in proptest::collection::vec((0_u64..70, 0_usize..3, any::<bool>()), 1..200),
        ) {
            let users: Vec<UserId> = ["ann", "bob", "cid"].map(|name| UserId::new(name).expect("a user id")).into();
            let mut windows = Windows::default();
            let mut naive = vec![SlidingWindow::default(); users.len()];
            let mut now = Mono::from_millis(0);
            for (step, index, begins) in steps {
                now = now.after(Duration::from_millis(step));
                if begins {
                    let dropped = windows.begin_period(RATE, now);
                    prop_assert!(dropped.values().all(|window| window.is_over(RATE, now)));
                }
                prop_assert_eq!(windows.take(RATE, &users[index], now), naive[index].take(RATE, now));
            }
        }
    }
}
