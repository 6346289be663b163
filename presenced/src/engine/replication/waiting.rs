//! Calls that wait for a command to come back from the log, and starts and stops that wait for all partitions.

use hashbrown::HashMap;
use parking_lot::Mutex;
use presence::replication::{DrainOrder, Incarnation};
use presence::{SessionName, UserId};
use tokio::sync::{oneshot, watch};

/// What waits for something to come back from the log.
pub(in crate::engine) struct Waiting {
    commands: Mutex<HashMap<UserId, Vec<oneshot::Sender<usize>>>>,
    drains: Mutex<OpenDrains>,
    claims: Mutex<Vec<(UserId, SessionName, oneshot::Sender<bool>)>>,
    /// Partitions that are complete, and those whose registration this node has ended.
    ready: watch::Sender<u64>,
    stopped: watch::Sender<u64>,
    name_taken: watch::Sender<Option<NameTaken>>,
}

/// Calls that wait until another node does what an operator asked of it.
#[derive(Default)]
struct OpenDrains {
    /// How many there were.
    count: u64,
    open: Vec<(DrainOrder, oneshot::Sender<()>)>,
}

/// A living node has this one's name.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a living node is named {name:?} too (its run is {run}): give this one another --node-name, or stop that one")]
pub(crate) struct NameTaken {
    name: String,
    run: Incarnation,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            commands: Mutex::default(),
            drains: Mutex::default(),
            claims: Mutex::default(),
            ready: watch::channel(0).0,
            stopped: watch::channel(0).0,
            name_taken: watch::channel(None).0,
        }
    }
}

impl Waiting {
    /// Waits until a command that was told to the partition is in the log. How many sessions it ended.
    pub(in crate::engine) fn for_command(&self, user: &UserId) -> oneshot::Receiver<usize> {
        let (done, waits) = oneshot::channel();
        self.commands.lock().entry(user.clone()).or_default().push(done);
        waits
    }

    pub(super) fn command_is_done(&self, user: &UserId, count: usize) {
        for waits in self.commands.lock().remove(user).into_iter().flatten() {
            let _ = waits.send(count);
        }
    }

    /// Whoever waits for a command on the user is told that nothing is known of it.
    pub(super) fn command_failed(&self, user: &UserId) {
        self.commands.lock().remove(user);
    }

    /// Waits until the node says that it does what was asked. With the number of the call, of which each has another one.
    pub(in crate::engine) fn for_drain(&self, order: DrainOrder) -> (u64, oneshot::Receiver<()>) {
        let (done, waits) = oneshot::channel();
        let mut drains = self.drains.lock();
        drains.count += 1;
        drains.open.retain(|(_, waits)| !waits.is_closed());
        drains.open.push((order, done));
        (drains.count, waits)
    }

    pub(super) fn drain_is_obeyed(&self, order: DrainOrder) {
        let mut drains = self.drains.lock();
        for (_, waits) in drains.open.extract_if(.., |(asked, _)| *asked == order) {
            let _ = waits.send(());
        }
    }

    /// Waits until the log says whether a connection here continues this session. Call it before the place is claimed.
    pub(in crate::engine) fn for_claim(&self, user: &UserId, of: SessionName) -> oneshot::Receiver<bool> {
        let (decided, waits) = oneshot::channel();
        let mut claims = self.claims.lock();
        claims.retain(|(_, _, waits)| !waits.is_closed());
        claims.push((user.clone(), of, decided));
        waits
    }

    pub(super) fn claim_is_decided(&self, user: &UserId, of: SessionName, is_won: bool) {
        let mut claims = self.claims.lock();
        for (_, _, waits) in claims.extract_if(.., |(whose, claimed, _)| whose == user && *claimed == of) {
            let _ = waits.send(is_won);
        }
    }

    pub(super) fn name_is_taken(&self, name: &str, run: Incarnation) {
        let name = name.to_owned();
        self.name_taken.send_replace(Some(NameTaken { name, run }));
    }

    /// Waits until a living node is found to have this one's name.
    pub(in crate::engine) async fn until_name_is_taken(&self) -> NameTaken {
        let mut taken = self.name_taken.subscribe();
        match taken.wait_for(Option::is_some).await.map(|taken| taken.clone()) {
            Ok(Some(taken)) => taken,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    pub(super) fn partition_is_ready(&self, number: u16) {
        self.ready
            .send_modify(|ready| *ready |= 1_u64.wrapping_shl(number.into()));
    }

    pub(super) fn partition_is_stopped(&self, number: u16) {
        self.stopped
            .send_modify(|stopped| *stopped |= 1_u64.wrapping_shl(number.into()));
    }

    /// Waits until so many partitions are complete.
    pub(in crate::engine) async fn until_ready(&self, partitions: u16) {
        let mut ready = self.ready.subscribe();
        let _ = ready
            .wait_for(|ready| ready.count_ones() >= u32::from(partitions))
            .await;
    }

    /// Waits until the registrations of this node have ended in so many partitions.
    pub(in crate::engine) async fn until_stopped(&self, partitions: u16) {
        let mut stopped = self.stopped.subscribe();
        let _ = stopped
            .wait_for(|stopped| stopped.count_ones() >= u32::from(partitions))
            .await;
    }
}
