//! Calls about everybody who is present, with the time they take.

use std::time::Duration;

use serde_json::json;

use crate::Daemon;
use crate::clock::Stopwatch;
use crate::wait::timed;

/// All pages of a list.
#[derive(Debug, Default)]
pub struct Listed {
    pub users: usize,
    pub pages: usize,
    pub took: Duration,
    /// The longest page.
    pub longest: Duration,
}

/// Lists all who are present, in pages of the greatest size.
pub async fn list_all(node: &Daemon) -> Listed {
    let (rest, clock) = (node.rest(), Stopwatch::start());
    let (mut listed, mut next) = (Listed::default(), Some(String::new()));
    while let Some(cursor) = next {
        let after = if cursor.is_empty() {
            String::new()
        } else {
            format!("&cursor={cursor}")
        };
        let (page, took) = timed(rest.list(&format!("?limit=1000{after}"))).await;
        listed.longest = took.max(listed.longest);
        listed.users += page.users.len();
        listed.pages += 1;
        next = page.next;
    }
    listed.took = clock.elapsed();
    listed
}

/// Watches everybody. How many users the snapshot has, and how long it took.
pub async fn watch_all(node: &Daemon) -> (usize, Duration) {
    let mut observer = node.observer().await;
    let (snapshot, took) = timed(observer.snapshot(json!({"type": "watchAll"}))).await;
    (snapshot.users.len(), took)
}
