//! Start and stop: users that were connected when the last run ended are in grace; what is not yet on disk is written before
//! this run ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use presence::{Mono, Now, Profile, UserId};

use super::Engine;
use super::NameTaken;
use super::cache::RETRY_EVERY;
use super::heartbeat::{HEARTBEAT_EVERY, RunEnd};
use super::publisher::Publication;
use super::publisher::delivery::Delivery;
use super::revoke::LOOK_EVERY;
use super::users::UserState;
use crate::clock::{ClockStep, RUN_AHEAD};
use crate::store::{Row, Startup};
use crate::vital::{self, VitalTask, VitalThread};

/// After a longer downtime no user is put in grace.
pub(crate) const DOWN_MAX: Duration = Duration::from_secs(300);

/// How long a node that stops waits for the log to have it: Redis may be away.
const LEAVES_WITHIN: Duration = Duration::from_secs(1);

/// The threads and tasks of a running engine.
pub(crate) struct Running {
    engine: Arc<Engine>,
    threads: Vec<VitalThread>,
    tasks: Vec<VitalTask>,
    writing: VitalTask,
}

impl Engine {
    /// Restores the users that were present when the last run ended, and starts the threads and tasks. Call it right before
    /// the daemon begins to accept: the restart grace counts from here.
    ///
    /// # Errors
    /// The system has no thread for it.
    #[cfg(test)]
    pub(crate) async fn start(self: &Arc<Self>, startup: Startup) -> io::Result<Running> {
        let running = self.launch(startup).await?;
        self.joined().await.map_err(io::Error::other)?;
        Ok(running)
    }

    /// Waits until this node knows all that the cluster knows; alone it always does.
    ///
    /// # Errors
    /// A living node has this one's name.
    pub(crate) async fn joined(&self) -> Result<(), NameTaken> {
        match self.cluster.shared() {
            Some(shared) => self.until_joined(shared).await,
            None => Ok(()),
        }
    }

    /// Restores the users that were present when the last run ended, and starts the threads and tasks. Wait for
    /// [`Self::joined`] before the daemon accepts.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(crate) async fn launch(self: &Arc<Self>, startup: Startup) -> io::Result<Running> {
        if let Some(shared) = self.cluster.shared() {
            self.restore_revocations(&startup.revocations).await;
            // Whoever was present is in the log, or is told to it by the database.
            let _ = self.save_heartbeat(RunEnd::Running).await;
            let mut running = self.run()?;
            running.tasks.extend(self.join(shared));
            return Ok(running);
        }
        self.take_over(startup).await;
        self.run()
    }

    /// Continues where the last run ended: with its cursors, if it ended cleanly, and with the users that were present.
    pub(super) async fn take_over(&self, startup: Startup) {
        self.restore_revocations(&startup.revocations).await;
        let last_heartbeat = startup.latest_heartbeat();
        // A disk that is full keeps nobody from reading: the store's health says so.
        let _ = self.save_heartbeat(RunEnd::Running).await;
        if let Some(heartbeat) = last_heartbeat {
            self.clock.note_earlier_run(heartbeat.wall);
        }
        if let Some(behind) = self.clock.behind() {
            tracing::warn!(
                behind_ms = behind.as_millis(),
                "the system's clock is behind what it said in the previous run"
            );
        }
        let now = self.clock.read_for_loads().for_user(None);
        let was_clean = last_heartbeat.is_some_and(|heartbeat| heartbeat.clean);
        if let Some(past) = startup.past_changes.filter(|_| was_clean) {
            self.publisher.continue_from(now.mono, past);
        }
        let down = last_heartbeat.map(|heartbeat| now.wall.since(heartbeat.wall));
        let grace = match down {
            Some(down) if down <= DOWN_MAX => self.options.timers.restart_grace,
            _ => Duration::ZERO,
        };
        let present = startup.present;
        let count = present.len();
        let until = self.clock.mono().after(grace);
        for (user, row) in present {
            self.restore(&user, row, now, (!grace.is_zero()).then_some(until));
        }
        tracing::info!(
            users = count,
            grace_ms = grace.as_millis(),
            "restored the users of the previous run"
        );
    }

    /// Starts the threads and tasks, and with them the monotonic clock.
    pub(super) fn run(self: &Arc<Self>) -> io::Result<Running> {
        let engine = Arc::clone(self);
        let timers = vital::start_thread("timers", move || engine.run_deadlines())?;
        let engine = Arc::clone(self);
        let delivery = vital::start_thread("delivery", move || engine.run_delivery())?;
        let engine = Arc::clone(self);
        let writing = vital::start_task(async move {
            engine
                .persistence
                .run_write_behind(&engine.users, &engine.cluster)
                .await;
        });
        let engine = Arc::clone(self);
        let loading = vital::start_task(async move {
            loop {
                tokio::time::sleep(RETRY_EVERY).await;
                engine.retry_due_loads().await;
            }
        });
        let engine = Arc::clone(self);
        let settling = vital::start_task(async move {
            loop {
                tokio::time::sleep(RETRY_EVERY).await;
                engine.settle_unknown_outcomes().await;
            }
        });
        let engine = Arc::clone(self);
        let heartbeats = vital::start_task(async move {
            loop {
                tokio::time::sleep(HEARTBEAT_EVERY).await;
                // A failure shows in the store's health; the next second tries again.
                let _ = engine.save_heartbeat(RunEnd::Running).await;
            }
        });
        let engine = Arc::clone(self);
        let sweeping = vital::start_task(async move {
            loop {
                tokio::time::sleep(engine.options.sweep_every).await;
                engine.sweep_tombstones().await;
            }
        });
        let engine = Arc::clone(self);
        let following = vital::start_task(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                engine.follow_revocations().await;
            }
        });
        Ok(Running {
            engine: Arc::clone(self),
            threads: vec![timers, delivery],
            tasks: vec![loading, settling, heartbeats, sweeping, following],
            writing,
        })
    }

    /// How many connections will end because their credential was revoked. Looks at all of them: for a reload.
    pub(crate) fn revoked_connections(&self) -> usize {
        let connections = self.deadlines.connections();
        let ending = connections
            .iter()
            .filter(|conn| conn.is_revoked() && conn.close_reason().is_none());
        ending.map(|conn| conn.id()).collect::<hashbrown::HashSet<_>>().len()
    }

    /// Turns the wheel until it is stopped.
    fn run_deadlines(&self) {
        // Deadlines stood still while the daemon started, so that a restart grace counts from when it accepts.
        let _ = self.clock.beat();
        while !self.deadlines.is_stopped() {
            self.beat();
            self.throughput.sample(self.clock.mono());
            self.turn_wheel();
            self.users.sweep();
            self.deadlines.sleep(&self.clock);
        }
    }

    /// The beat of the timer loop: notices that the process was stalled, and that the system's clock was set; drops what limits
    /// need no more.
    pub(super) fn beat(&self) {
        let (stall, step) = (self.clock.beat(), self.clock.take_step());
        if let Some(stall) = stall {
            self.metrics.stalls.inc();
            // The deadlines move by what the clock may not run ahead; the process stood still for all of it.
            self.stalls.record(stall + RUN_AHEAD, self.clock.record_time(None));
            self.note_stall(stall + RUN_AHEAD);
            tracing::warn!(
                stall_ms = stall.as_millis(),
                "the process was stalled; every deadline moves by that much"
            );
        }
        if let Some(shared) = self.cluster.shared() {
            shared.note_beat();
        }
        if let Some(step) = step {
            self.metrics.clock_step(step);
            match step {
                ClockStep::Forward(by) => tracing::warn!(by_ms = by.as_millis(), "the system's clock jumped forward"),
                ClockStep::Back(by) => tracing::warn!(
                    by_ms = by.as_millis(),
                    "the system's clock went back; times already told don't, until it has caught up"
                ),
            }
        }
        // Tokens go by the system's clock, their deadlines by the other one: now the two have parted.
        if stall.is_some() || step.is_some() || self.clock.take_parted() {
            let now = self.clock.read();
            for conn in self.deadlines.connections() {
                conn.recheck_token(now);
            }
        }
        self.limits.forget_over(self.clock.mono());
    }

    /// Delivers until the ready queue is closed.
    fn run_delivery(&self) {
        let mut delivery = Delivery::new(self);
        while let Some((connections, since)) = self.ready.take() {
            delivery.serve(connections, since);
            self.users.sweep();
        }
    }

    fn restore(&self, user: &UserId, row: Row, now: Now, grace_until: Option<Mono>) {
        // The only node takes over everybody, under whatever name it ran then.
        let places = u32::try_from(row.connected_on.len()).unwrap_or(u32::MAX);
        let stored = self.stored_of(user, row, now);
        let activity = stored.activity_in_grace();
        let mut entry = self.users.insert(user, || {
            let profile = Profile::restore(stored, now.wall);
            (
                UserState::new(profile, self.cluster.contributions_of(user)),
                Publication::default(),
            )
        });
        if let Some(until) = grace_until {
            entry.state.restore_grace(until, activity, places);
        }
        self.recompute(&mut entry, now);
        self.persistence.write_behind.write_soon(&mut entry);
    }

    /// Writes what is not yet on disk, and that this run ends with everything written, if it does. A user whose row was never
    /// read can't be written, and of a write with an unknown outcome it is not known what the disk has, so they come first.
    pub(super) async fn finish(&self) -> RunEnd {
        self.publish_held();
        let _ = self.persistence.write_out(&self.users, &self.cluster).await;
        self.retry_loads().await;
        self.settle_unknown_outcomes().await;
        let written = self.persistence.write_out(&self.users, &self.cluster).await;
        let is_all = written.is_ok() && self.all_written();
        let end = if is_all { RunEnd::Clean } else { RunEnd::Running };
        if let Err(error) = self.save_heartbeat(end).await {
            tracing::error!(%error, "the final heartbeat could not be written; the next start treats this run as crashed");
            return RunEnd::Running;
        }
        end
    }

    fn all_written(&self) -> bool {
        let persistence = &self.persistence;
        persistence.write_behind.pending() == 0
            && persistence.pending_loads.len() == 0
            && persistence.unknown_outcomes.len() == 0
    }
}

impl Running {
    /// Nothing is written behind any more until [`Self::stop`].
    #[cfg(test)]
    pub(super) fn stop_writing(&self) {
        self.writing.abort();
    }

    /// Ends the loops, writes what is not yet on disk and says there that everything was written.
    pub(crate) async fn stop(self) {
        if let Some(shared) = self.engine.cluster.shared() {
            let _ = tokio::time::timeout(LEAVES_WITHIN, self.engine.leave(shared)).await;
        }
        for task in &self.tasks {
            task.abort();
        }
        self.engine.persistence.write_behind.stop();
        self.writing.ended().await;
        self.engine.ready.close();
        self.engine.deadlines.stop();
        for thread in self.threads {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
        self.engine.finish().await;
    }
}
