//! Coming up and going down: who was connected when the last run ended is in grace, then OFFLINE; what is not yet on disk
//! is written before this run ends.

use std::sync::Arc;
use std::time::Duration;

use presence::{Mono, Now, Profile, UserId};
use tokio::task::JoinHandle;

use super::Engine;
use crate::store::{Heartbeat, Row, StoreError};

/// A daemon that was down for longer starts with nobody in grace.
pub(crate) const DOWN_MAX: Duration = Duration::from_secs(300);
/// How often the mark is written that tells the next run when this one ended.
const TIMES_EVERY: Duration = Duration::from_secs(1);

/// The threads and tasks of a running engine.
pub(crate) struct Running {
    engine: Arc<Engine>,
    threads: Vec<std::thread::JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
    writing: JoinHandle<()>,
}

impl Engine {
    /// Takes up who was there when the last run ended, and starts the timer loop, the delivery and the writing. Call it
    /// right before the daemon begins to accept: the restart grace counts from here.
    pub(crate) async fn start(
        self: &Arc<Self>,
        last_heartbeat: Option<Heartbeat>,
        present: Vec<(UserId, Row)>,
    ) -> Result<Running, StoreError> {
        self.save_heartbeat(Ending::Running).await?;
        let now = self.clock.now();
        let down = last_heartbeat.map(|mark| now.wall.since(mark.wall));
        let grace = match down {
            Some(down) if down <= DOWN_MAX => self.options.timers.restart_grace,
            _ => Duration::ZERO,
        };
        let count = present.len();
        let until = self.clock.mono().after(grace);
        for (user, row) in present {
            self.restore(&user, row, now, (!grace.is_zero()).then_some(until));
        }
        tracing::info!(
            users = count,
            grace_ms = grace.as_millis(),
            "took up who was there before"
        );
        Ok(self.run())
    }

    fn run(self: &Arc<Self>) -> Running {
        let mut threads = Vec::new();
        let engine = Arc::clone(self);
        threads.extend(spawn("timers", move || engine.timers.run(&engine, &engine.clock)));
        let engine = Arc::clone(self);
        threads.extend(spawn("delivery", move || engine.run_delivery()));
        let writing = tokio::spawn(vital(Arc::clone(self).run_write_behind()));
        let engine = Arc::clone(self);
        let reloading = tokio::spawn(vital(async move { engine.retry_degraded().await }));
        let engine = Arc::clone(self);
        let marking = tokio::spawn(vital(async move { engine.keep_marking().await }));
        let engine = Arc::clone(self);
        let refreshing = tokio::spawn(vital(async move { engine.refresh_late().await }));
        Running {
            engine: Arc::clone(self),
            threads,
            tasks: vec![reloading, marking, refreshing],
            writing,
        }
    }

    async fn keep_marking(&self) {
        loop {
            tokio::time::sleep(TIMES_EVERY).await;
            // A failure shows in the store's health; the next second tries again.
            let _ = self.save_heartbeat(Ending::Running).await;
        }
    }

    pub(super) async fn save_heartbeat(&self, ending: Ending) -> Result<(), StoreError> {
        let wall = self.clock.wall();
        let ceiling = self.cluster.wanted_ceiling(wall);
        let heartbeat = Heartbeat {
            wall,
            ceiling,
            clean: ending == Ending::Clean,
        };
        self.store.save_heartbeat(self.cluster.node_name(), heartbeat).await?;
        self.cluster.raise_ceiling(ceiling);
        Ok(())
    }

    fn restore(&self, user: &UserId, row: Row, now: Now, grace_until: Option<Mono>) {
        // The only node takes over everybody, under whatever name it ran then.
        let was_connected = !row.connected_on.is_empty();
        let stored = self.stored_of(user, row, now);
        let activity = stored.activity_in_grace();
        self.count_reports(0, stored.durable.reports.len());
        let mut shard = self.shards.of_user(user);
        let at = shard.insert(user, || Profile::restore(stored, now.wall), self.changes.last());
        if let (Some(entry), Some(until)) = (shard.entry(at), grace_until.filter(|_| was_connected)) {
            entry.sessions.handle_restore(until, activity);
        }
        self.recompute(&mut shard, at, now);
        if let Some(entry) = shard.entry(at) {
            self.write_soon(entry, at);
        }
    }

    fn all_written(&self) -> bool {
        self.behind.pending() == 0
    }
}

impl Running {
    /// Nothing is written behind any more until [`Self::stop`].
    #[cfg(test)]
    pub(super) fn stop_writing(&self) {
        self.writing.abort();
    }

    /// Ends the loops, writes what is still to be sent and says on disk that all of it was.
    pub(crate) async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.engine.behind.stop();
        let _ = self.writing.await;
        self.engine.ready.close();
        self.engine.timers.stop();
        for thread in self.threads {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        let written = self.engine.write_out().await;
        let is_all = written.is_ok() && self.engine.all_written();
        let ending = if is_all { Ending::Clean } else { Ending::Running };
        if let Err(error) = self.engine.save_heartbeat(ending).await {
            tracing::error!(%error, "the end of this run could not be written down; the next one treats it as a crash");
        }
    }
}

#[derive(PartialEq, Eq, Clone, Copy)]
pub(super) enum Ending {
    /// Not yet, or not known to be.
    Running,
    /// Everything that was told is on disk.
    Clean,
}

/// Held by a loop without which the daemon only looks alive. If that ends by a panic, so does the process: a restart shows
/// everybody as before, while a daemon without one of its loops tells nobody anything, or lets nobody go.
struct Vital;

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

async fn vital(run: impl Future<Output = ()>) {
    let _vital = Vital;
    run.await;
}

pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Option<std::thread::JoinHandle<()>> {
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _vital = Vital;
        run();
    });
    spawned
        .inspect_err(|error| tracing::error!(%error, name, "a thread could not be started"))
        .ok()
}
