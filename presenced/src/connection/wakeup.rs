//! Wakes the task of one connection: a flag and one waker, because there are many connections and one task waits for each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

/// A wake-up that is kept until the task takes it.
#[derive(Debug, Default)]
pub(super) struct Wakeup {
    is_due: AtomicBool,
    waker: AtomicWaker,
}

impl Wakeup {
    /// The task's next [`Self::poll`] is ready, and the task is woken for it if it waits.
    pub(super) fn notify(&self) {
        self.is_due.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// Takes the wake-up if there is one; the task of `context` is woken for the next one either way.
    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        self.poll_interrupted(context, || {})
    }

    /// [`Self::poll`], with what another thread may do in its middle.
    fn poll_interrupted(&self, context: &Context<'_>, interrupt: impl FnOnce()) -> Poll<()> {
        // Before the look at the flag, so that a wake-up in between is not missed.
        self.waker.register(context.waker());
        interrupt();
        match self.is_due.swap(false, Ordering::SeqCst) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct CountedWakes(AtomicUsize);

    impl Wake for CountedWakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_wake_up_is_kept_until_it_is_taken_and_wakes_who_waits() {
        let wakes = Arc::<CountedWakes>::default();
        let waker = Arc::clone(&wakes).into();
        let context = Context::from_waker(&waker);
        let wakeup = Wakeup::default();
        wakeup.notify();
        wakeup.notify();
        assert!(wakeup.poll(&context).is_ready(), "what came before anybody waited");
        assert!(wakeup.poll(&context).is_pending(), "taken once");
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
        wakeup.notify();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        assert!(wakeup.poll(&context).is_ready());
    }

    #[test]
    fn a_wake_up_in_the_middle_of_a_poll_is_not_lost() {
        let wakes = Arc::<CountedWakes>::default();
        let waker = Arc::clone(&wakes).into();
        let wakeup = Wakeup::default();
        let polled = wakeup.poll_interrupted(&Context::from_waker(&waker), || wakeup.notify());
        assert!(polled.is_ready() || wakes.0.load(Ordering::SeqCst) > 0);
    }
}
