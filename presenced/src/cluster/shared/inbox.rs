//! What happens on this node to the users of one partition, on its way there: whoever changes a user holds the user's lock,
//! and must not wait for the partition's.

use std::collections::VecDeque;

use hashbrown::HashSet;
use parking_lot::Mutex;
use presence::UserId;
use presence::replication::{Input, Partition};
use tokio::sync::Notify;

/// A message to a partition.
type Message = Box<dyn FnOnce(&mut Partition, Input<'_>) + Send>;

/// How many messages, and how many changes, one input of the partition takes: each is a few microseconds of its lock, so together
/// some 2 ms, which whoever reads a user of the partition may wait for.
const TAKEN_MAX: usize = 256;

/// Changes and messages that wait for the partition.
#[derive(Default)]
pub(crate) struct Inbox {
    waiting: Mutex<InboxContents>,
    some: Notify,
}

#[derive(Default)]
struct InboxContents {
    /// Users that changed: each once, however often it changed.
    touched: HashSet<UserId>,
    /// In order. Each comes from a call that is under way, or from a batch of writes.
    messages: VecDeque<Message>,
}

impl Inbox {
    /// The user changed.
    pub(crate) fn touch(&self, user: &UserId) {
        let mut waiting = self.waiting.lock();
        if !waiting.touched.contains(user) {
            waiting.touched.insert(user.clone());
            self.some.notify_one();
        }
    }

    /// Whether the user changed, and the partition was not told yet.
    pub(super) fn has(&self, user: &UserId) -> bool {
        self.waiting.lock().touched.contains(user)
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.touched.len() + waiting.messages.len()
    }

    /// Gives the partition a message.
    pub(crate) fn tell(&self, message: Message) {
        self.waiting.lock().messages.push_back(message);
        self.some.notify_one();
    }

    /// Lets the partition take what waits, though it may be nothing.
    pub(super) fn wake(&self) {
        self.some.notify_one();
    }

    /// Waits until the inbox has a change or a message, or [`Self::wake`].
    pub(super) async fn some(&self) {
        self.some.notified().await;
    }

    /// Hands what waits to the partition, as much as one input takes. Whether that was all.
    pub(super) fn empty_into(&self, partition: &mut Partition, input: Input<'_>) -> bool {
        let (messages, touched, is_all) = self.take();
        for message in messages {
            message(partition, input);
        }
        for user in touched {
            partition.handle_touch(input, &user);
        }
        if !is_all {
            self.some.notify_one();
        }
        is_all
    }

    fn take(&self) -> (Vec<Message>, Vec<UserId>, bool) {
        let mut waiting = self.waiting.lock();
        let count = waiting.messages.len().min(TAKEN_MAX);
        let messages = waiting.messages.drain(..count).collect();
        let touched = waiting.touched.extract_if(|_| true).take(TAKEN_MAX).collect();
        let is_all = waiting.messages.is_empty() && waiting.touched.is_empty();
        if is_all {
            // What a burst has taken of memory is given back.
            *waiting = InboxContents::default();
        }
        (messages, touched, is_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_handed_over_some_at_a_time() {
        let inbox = Inbox::default();
        for number in 0..TAKEN_MAX + 1 {
            inbox.touch(&UserId::new(&format!("user-{number}")).expect("a user id"));
            inbox.tell(Box::new(|_, _| {}));
        }
        let (messages, touched, is_all) = inbox.take();
        assert_eq!((messages.len(), touched.len(), is_all), (TAKEN_MAX, TAKEN_MAX, false));
        assert_eq!(inbox.len(), 2);
        let (messages, touched, is_all) = inbox.take();
        assert_eq!((messages.len(), touched.len(), is_all), (1, 1, true));
        let left = inbox.waiting.lock();
        assert_eq!((left.messages.capacity(), left.touched.capacity()), (0, 0));
    }
}
