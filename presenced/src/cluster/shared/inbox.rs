//! What happens on this node to the users of one partition, on its way there: whoever changes a user holds the user's lock,
//! and must not wait for the partition's.

use hashbrown::HashSet;
use parking_lot::Mutex;
use presence::UserId;
use presence::replication::{Input, Partition};
use tokio::sync::Notify;

/// A message to a partition.
type Message = Box<dyn FnOnce(&mut Partition, Input<'_>) + Send>;

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
    messages: Vec<Message>,
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
        self.waiting.lock().messages.push(message);
        self.some.notify_one();
    }

    /// Waits until the inbox has a change or a message.
    pub(super) async fn some(&self) {
        self.some.notified().await;
    }

    /// Hands all that waits to the partition.
    pub(super) fn empty_into(&self, partition: &mut Partition, input: Input<'_>) {
        let InboxContents { touched, messages } = std::mem::take(&mut *self.waiting.lock());
        for message in messages {
            message(partition, input);
        }
        for user in touched {
            partition.handle_touch(input, &user);
        }
    }
}
