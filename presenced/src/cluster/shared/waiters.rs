//! Calls that wait until the log has what they did to a user.

use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;
use presence::UserId;
use tokio::sync::oneshot;

/// The calls that wait for one partition. Each is under way and ends its wait by itself, so they are as many as calls are.
#[derive(Default)]
pub(super) struct Waiters {
    waiting: Mutex<HashMap<UserId, Vec<Waiter>>>,
    last: AtomicU64,
}

struct Waiter {
    number: u64,
    done: oneshot::Sender<()>,
}

impl Waiters {
    /// Waits for what was put into the inbox before this.
    pub(super) fn add(&self, user: &UserId) -> oneshot::Receiver<()> {
        let (done, waits) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        let number = self.last.fetch_add(1, Ordering::SeqCst) + 1;
        waiting.entry(user.clone()).or_default().push(Waiter { number, done });
        waits
    }

    /// The last that began to wait. What it waits for is in the inbox by now.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::SeqCst)
    }

    /// Answers those up to `last` whose user the log has.
    pub(super) fn wake(&self, last: u64, is_pending: impl Fn(&UserId) -> bool) {
        let mut waiting = self.waiting.lock();
        waiting.retain(|user, waiters| {
            waiters.retain(|waiter| !waiter.done.is_closed());
            if waiters.iter().any(|waiter| waiter.number <= last) && !is_pending(user) {
                for waiter in waiters.extract_if(.., |waiter| waiter.number <= last) {
                    let _ = waiter.done.send(());
                }
            }
            !waiters.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_woken_once_its_user_waits_no_more() {
        let waiters = Waiters::default();
        let ann = UserId::new("ann").expect("a user id");
        let mut early = waiters.add(&ann);
        let last = waiters.last();
        let mut late = waiters.add(&ann);
        waiters.wake(last, |_| true);
        assert!(early.try_recv().is_err(), "the log does not have it");
        waiters.wake(last, |_| false);
        assert_eq!(early.try_recv(), Ok(()));
        assert!(late.try_recv().is_err(), "what it waits for came after that");
        waiters.wake(waiters.last(), |_| false);
        assert_eq!(late.try_recv(), Ok(()));
        assert!(waiters.waiting.lock().is_empty());
    }

    #[test]
    fn a_call_that_gave_up_is_forgotten() {
        let waiters = Waiters::default();
        drop(waiters.add(&UserId::new("ann").expect("a user id")));
        waiters.wake(0, |_| true);
        assert!(waiters.waiting.lock().is_empty());
    }
}
