//! What is told of a user never goes below what was told before, over starts of every kind: after clean ends and crashes,
//! with clocks that start early or late, users whose row was never read, writes that were still waiting, and backups.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use presence::wire::record::Viewer;
use presence::{Actor, Cursor, CustomStatus, EndReason, Revision, Status, Wall};

use super::fixture::user;
use super::random::Rng;
use super::resuming::snapshot;
use super::stepped_engine::{Stepped, SteppedClient};
use crate::engine::heartbeat::RunEnd;

const USERS: [&str; 5] = ["ann", "bob", "cid", "dan", "eve"];
const SEEDS: u64 = 16;
const STEPS: usize = 80;

#[test]
fn revisions_never_go_back_over_starts_of_every_kind() {
    for seed in 0..SEEDS {
        let walking = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(walk(seed));
        });
        assert!(walking.join().is_ok(), "seed {seed}");
    }
}

/// The daemon, run after run, and what was told of its users.
struct Life {
    rng: Rng,
    clients: Vec<(&'static str, SteppedClient)>,
    told: BTreeMap<&'static str, Revision>,
    /// A cursor that covers all users, and those that may have changed since.
    cursor: Option<Cursor>,
    changed: BTreeSet<&'static str>,
    /// Whether the cursor must resume, if the last run ended as it should.
    must_resume: bool,
    /// Whether a run ended since the cursor.
    was_restarted: bool,
    has_backup: bool,
}

async fn walk(seed: u64) {
    let mut life = Life {
        rng: Rng::new(seed),
        clients: Vec::new(),
        told: USERS.map(|name| (name, Revision::NEVER)).into(),
        cursor: None,
        changed: BTreeSet::new(),
        must_resume: false,
        was_restarted: false,
        has_backup: false,
    };
    let mut daemon = Stepped::new().await;
    for _ in 0..STEPS {
        let name = life.rng.pick(&USERS);
        match life.rng.below(20) {
            0..=3 => life.connect(&daemon, name).await,
            4..=6 => life.disconnect(&daemon),
            7 | 8 => life.set(&daemon, name).await,
            9 => life.forget(&daemon, name).await,
            10 => drop(daemon.try_write().await),
            11 => daemon.store.fail_reads(life.rng.once_in(2)),
            12 => life.advance(&daemon, 1_000).await,
            13 => life.advance(&daemon, 40_000).await,
            14 => daemon.engine.retry_loads().await,
            15 => life.back_up(&daemon),
            16 | 17 => life.resume(&daemon).await,
            _ => daemon = life.start_again(daemon).await,
        }
        life.check(&daemon).await;
    }
}

impl Life {
    async fn connect(&mut self, daemon: &Stepped, name: &'static str) {
        if self.clients.iter().filter(|(user, _)| *user == name).count() < 3 {
            self.clients.push((name, daemon.connect(name).await));
            self.changed.insert(name);
        }
    }

    fn disconnect(&mut self, daemon: &Stepped) {
        if self.clients.is_empty() {
            return;
        }
        let at = self.rng.below(self.clients.len());
        let (name, client) = self.clients.swap_remove(at);
        let reason = self.rng.pick(&[EndReason::Closed, EndReason::Lost]);
        daemon.disconnect(&client, reason);
        self.changed.insert(name);
    }

    async fn set(&mut self, daemon: &Stepped, name: &'static str) {
        let custom = self
            .rng
            .pick(&[CustomStatus::Online, CustomStatus::Idle, CustomStatus::DoNotDisturb]);
        let user = user(name);
        let set = daemon.engine.set_custom_status(&user, custom, Actor::User, Viewer::Own);
        if let Ok(record) = set.await {
            self.note(name, record.revision);
        }
        self.changed.insert(name);
    }

    async fn forget(&mut self, daemon: &Stepped, name: &'static str) {
        if daemon.engine.forget(&user(name)).await.is_ok() {
            self.clients.retain(|(user, _)| *user != name);
        }
        self.changed.insert(name);
    }

    async fn advance(&mut self, daemon: &Stepped, millis: u64) {
        daemon.advance(Duration::from_millis(millis));
        self.changed.extend(USERS);
        daemon
            .engine
            .save_heartbeat(RunEnd::Running)
            .await
            .expect("a heartbeat");
    }

    /// Watches everyone by name from the cursor: exactly those are listed that may have changed, and all that did.
    async fn resume(&mut self, daemon: &Stepped) {
        let (client, since) = (daemon.observe(), self.cursor);
        let watched = daemon
            .engine
            .watch(&client.conn, None, USERS.map(user).into(), since)
            .await;
        if watched.is_ok() {
            let snapshot = snapshot(daemon, &client);
            if snapshot.is_resumed {
                let surplus = snapshot
                    .listed
                    .iter()
                    .find(|(name, _)| !self.changed.contains(name.as_str()));
                assert_eq!(surplus, None, "it did not change since the cursor");
                let gone = |name: &str| {
                    daemon
                        .engine
                        .users
                        .find(&user(name))
                        .is_none_or(|entry| entry.changed_at() <= since.expect("a cursor").watermark)
                };
                let listed: BTreeSet<&str> = snapshot.listed.iter().map(|(name, _)| name.as_str()).collect();
                assert!(USERS.iter().all(|name| listed.contains(name) || gone(name)));
            } else {
                assert_eq!(snapshot.listed.len(), USERS.len());
            }
            assert!(
                snapshot.is_resumed || !self.must_resume,
                "a clean restart ended the cursor"
            );
            self.cursor = Some(snapshot.cursor);
            self.changed.clear();
            self.must_resume = true;
            self.was_restarted = false;
        }
        daemon.disconnect(&client, EndReason::Lost);
    }

    fn back_up(&mut self, daemon: &Stepped) {
        daemon.back_up();
        self.has_backup = true;
    }

    async fn start_again(&mut self, daemon: Stepped) -> Stepped {
        self.clients.clear();
        let mut end = RunEnd::Running;
        if self.rng.once_in(2) {
            daemon.engine.begin_drain();
            end = daemon.finish().await;
            let is_failing = daemon.engine.persistence.pending_loads.len() > 0;
            assert_eq!(end == RunEnd::Clean, !is_failing);
        }
        if self.rng.once_in(4) {
            self.back_up(&daemon);
        }
        let off = self
            .rng
            .pick(&[1_000, 1_000, 1_000, 60_000, -3_600_000, 400_000, 7_200_000]);
        let wall = Wall::from_millis(daemon.clock.wall().as_millis() + off);
        let is_on_backup = self.has_backup && self.rng.once_in(5);
        self.must_resume &= end == RunEnd::Clean && !is_on_backup && !self.was_restarted;
        self.was_restarted = true;
        // Whoever is not back within the grace period is OFFLINE, after a long time at once.
        self.changed.extend(
            USERS
                .iter()
                .filter(|_| off > 300_000 || end == RunEnd::Running || is_on_backup),
        );
        match is_on_backup {
            true => daemon.start_on_backup(wall).await,
            false => daemon.crash_at(wall).await,
        }
    }

    fn note(&mut self, name: &'static str, revision: Revision) {
        let told = self.told.get_mut(name).expect("a user");
        assert!(revision >= *told, "{name} is told at {revision:?} after {told:?}");
        *told = revision;
    }

    async fn check(&mut self, daemon: &Stepped) {
        for name in USERS {
            if let Ok(record) = daemon.engine.record(&user(name), Viewer::Internal).await {
                self.note(name, record.revision);
                assert!(record.revision != Revision::NEVER || record.status == Status::Offline);
            }
        }
    }
}
