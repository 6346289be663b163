//! When the next picture is due: at once after a key, and never more than thirty in any second. Pure arithmetic over moments; who
//! waits and who draws is in `run`.

use std::time::Duration;

/// Between two pictures for keys at least.
const KEYS_EVERY: Duration = Duration::from_micros(33_400);
/// Between a picture and one for news, so 28 in any second, while nobody presses keys.
const NEWS_EVERY: Duration = Duration::from_millis(36);
/// The same while somebody does. One picture for news and one for a key in this time are thirty a second.
const NEWS_EVERY_AMONG_KEYS: Duration = Duration::from_millis(67);
/// For so long after a key more of them are expected.
const KEYS_EXPECTED: Duration = Duration::from_secs(1);

/// What a picture is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum For {
    /// What the daemon tells, and time.
    News,
    /// What the operator did.
    Key,
}

/// The pictures so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// When the last one was drawn.
    drawn: Option<Duration>,
    /// When the last one for a key was.
    for_key: Option<Duration>,
}

impl Pace {
    /// A picture is drawn now.
    pub(crate) const fn on_picture(&mut self, now: Duration, what: For) {
        self.drawn = Some(now);
        if matches!(what, For::Key) {
            self.for_key = Some(now);
        }
    }

    /// How long to wait with the next one.
    pub(crate) fn wait(&self, now: Duration, what: For) -> Duration {
        let due = match what {
            For::Key => self.for_key.map(|at| at + KEYS_EVERY),
            For::News => {
                let are_keys_expected = self.for_key.is_some_and(|at| now.saturating_sub(at) < KEYS_EXPECTED);
                let every = if are_keys_expected {
                    NEWS_EVERY_AMONG_KEYS
                } else {
                    NEWS_EVERY
                };
                self.drawn.map(|at| at + every)
            }
        };
        due.unwrap_or_default().saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// The moments of the pictures, and how long each key waited, if news come all the time and keys after these gaps.
    fn run(gaps: &[u64]) -> (Vec<Duration>, Vec<Duration>) {
        let (mut pace, mut now) = (Pace::default(), Duration::ZERO);
        let (mut pictures, mut waits) = (Vec::new(), Vec::new());
        let mut waiting: Vec<Duration> = Vec::new();
        for gap in gaps {
            for step in 0..*gap {
                now += MILLI;
                if step + 1 == *gap {
                    waiting.push(now);
                }
                let what = if waiting.is_empty() { For::News } else { For::Key };
                if pace.wait(now, what).is_zero() || pace.wait(now, For::News).is_zero() {
                    pace.on_picture(now, what);
                    pictures.push(now);
                    waits.extend(waiting.drain(..).map(|pressed| now - pressed));
                }
            }
        }
        (pictures, waits)
    }

    proptest! {
        #[test]
        fn whatever_is_pressed_there_are_at_most_thirty_pictures_in_any_second(
            gaps in prop::collection::vec(prop_oneof![1_u64..8, 20_u64..110, 900_u64..1_300], 1..120)
        ) {
            let (pictures, waits) = run(&gaps);
            for (index, from) in pictures.iter().enumerate() {
                let within = pictures[index..].iter().filter(|at| **at - *from < Duration::from_secs(1)).count();
                prop_assert!(within <= 30, "{within}");
            }
            prop_assert!(waits.iter().all(|wait| *wait <= KEYS_EVERY + MILLI));
        }
    }

    #[test]
    fn keys_that_come_one_by_one_are_answered_at_once() {
        let (_, waits) = run(&[500, 34, 50, 68, 200, 1_500]);
        assert!(waits.iter().all(Duration::is_zero), "{waits:?}");
    }

    #[test]
    fn news_alone_are_shown_soon_after_they_come() {
        let (pictures, _) = run(&[3_000]);
        assert!(pictures.windows(2).all(|pair| pair[1] - pair[0] <= NEWS_EVERY));
    }
}
