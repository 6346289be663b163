//! Reads all pages of the users who are present, and the list of nodes, again and again, and keeps what they had.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use presence::wire::record::Record;
use presence::wire::rest::{NodesResponse, Page};
use reqwest::Method;
use tokio::task::JoinHandle;

use crate::clock::Stopwatch;
use crate::daemon::Daemon;
use crate::rest::{Rest, send_without_deadline};
use crate::wait::{let_time_pass, wait_until};

/// Records of a page: several pages for a few hundred users.
const PAGE: usize = 100;
/// Between two listings: long enough for the programs under test to do their work on two cores.
const PAUSE: Duration = Duration::from_millis(200);

/// Everybody whom a node listed, and its list of nodes.
#[derive(Debug)]
struct Listing {
    /// When the first page and the last one were asked for, since the clock began.
    from: Duration,
    to: Duration,
    users: Vec<Record>,
    nodes: Vec<String>,
}

impl Listing {
    /// What is in it twice: a user, a node of a user, or a node.
    fn twice(&self) -> Vec<String> {
        let mut twice = doubled(self.nodes.iter());
        twice.extend(doubled(self.users.iter().map(|record| record.user_id.as_str())));
        for record in &self.users {
            twice.extend(doubled(record.nodes.iter().flatten()));
        }
        twice
    }
}

fn doubled<T: Ord + ToString>(names: impl Iterator<Item = T>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut twice = Vec::new();
    for name in names {
        let text = name.to_string();
        if !seen.insert(name) {
            twice.push(text);
        }
    }
    twice
}

/// The lister of one node, until this is dropped.
#[derive(Debug)]
pub struct Lister {
    node: String,
    listings: Arc<Mutex<Vec<Listing>>>,
    task: JoinHandle<()>,
}

impl Drop for Lister {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Lister {
    /// Begins to list. A listing without an answer counts for nothing: the node may stand still.
    pub fn start(clock: Stopwatch, name: &str, node: &Daemon) -> Self {
        let listings = Arc::<Mutex<Vec<Listing>>>::default();
        let (rest, written) = (node.rest(), Arc::clone(&listings));
        let task = tokio::spawn(async move {
            loop {
                if let Some(listing) = list(&rest, clock).await {
                    written.lock().unwrap().push(listing);
                }
                let_time_pass(PAUSE).await;
            }
        });
        let node = name.to_owned();
        Self { node, listings, task }
    }

    /// Waits for a listing that began after now.
    pub async fn lists_again(&self, clock: Stopwatch) {
        let asked = clock.elapsed();
        wait_until("a listing", async || {
            let listings = self.listings.lock().unwrap();
            listings.last().is_some_and(|last| last.from >= asked).then_some(())
        })
        .await;
    }

    /// No listing had a user twice, or a node.
    pub fn never_twice(&self) {
        assert!(!self.task.is_finished(), "the lister of {} has failed", self.node);
        let listings = self.listings.lock().unwrap();
        assert!(!listings.is_empty(), "{} listed nothing", self.node);
        for listing in listings.iter() {
            let twice = listing.twice();
            assert!(twice.is_empty(), "{} at {:?}: {twice:?}", self.node, listing.from);
        }
    }

    /// Every listing that began after `from` and was over before `to` had all these users. How many there were.
    pub fn always_had(&self, users: &[String], from: Duration, to: Duration) -> usize {
        let listings = self.listings.lock().unwrap();
        let meant = listings.iter().filter(|one| one.from >= from && one.to <= to);
        let mut count = 0;
        for listing in meant {
            let listed: BTreeSet<&str> = listing.users.iter().map(|record| record.user_id.as_str()).collect();
            let lacks: Vec<_> = users.iter().filter(|user| !listed.contains(user.as_str())).collect();
            assert!(lacks.is_empty(), "{} at {:?} lacks {lacks:?}", self.node, listing.from);
            count += 1;
        }
        count
    }
}

/// All pages, and the nodes; none if there was no answer.
async fn list(rest: &Rest, clock: Stopwatch) -> Option<Listing> {
    let from = clock.elapsed();
    let nodes: NodesResponse = get(rest, "/api/nodes").await?;
    let (mut users, mut next) = (Vec::new(), String::new());
    loop {
        let page: Page = get(rest, &format!("/api/presence?limit={PAGE}{next}")).await?;
        users.extend(page.users);
        match page.next {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    Some(Listing {
        from,
        to: clock.elapsed(),
        users,
        nodes: nodes.nodes.into_iter().map(|node| node.name).collect(),
    })
}

async fn get<T: serde::de::DeserializeOwned>(rest: &Rest, path: &str) -> Option<T> {
    let answer = send_without_deadline(rest.internal(Method::GET, path)).await.ok()?;
    Some(answer.ok())
}
