//! A caller that sets one custom status after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use presence::wire::record::Record;
use presence_tests::Daemon;
use presence_tests::wait::Ticker;
use tokio::task::JoinHandle;

/// Sets the custom status of a user again and again over REST, until it is ended.
pub(super) struct Setter {
    task: JoinHandle<()>,
    is_over: Arc<AtomicBool>,
}

impl Setter {
    pub(super) fn start(node: &Daemon, user: &str) -> Self {
        let (rest, user) = (node.rest(), user.to_owned());
        let is_over = Arc::<AtomicBool>::default();
        let has_ended = Arc::clone(&is_over);
        let task = tokio::spawn(async move {
            let mut ticker = Ticker::every(Duration::from_millis(50));
            let mut customs = ["IDLE", "DO_NOT_DISTURB"].into_iter().cycle();
            while !has_ended.load(Ordering::Relaxed) {
                ticker.next().await;
                let custom = customs.next().unwrap();
                rest.set_custom_status(&user, custom).await.ok::<Record>();
            }
        });
        Self { task, is_over }
    }

    /// All were taken so far.
    pub(super) fn all_were_taken(&self) {
        assert!(!self.task.is_finished());
    }

    /// All were taken, and none is on its way: what is set after this is the last.
    pub(super) async fn end(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        (&mut self.task).await.expect("all were taken");
    }
}

impl Drop for Setter {
    fn drop(&mut self) {
        self.task.abort();
    }
}
