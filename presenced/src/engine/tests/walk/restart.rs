//! Steps that concern time, the disk, watchers, and the end of a run.

use std::time::Duration;

use presence::{Activity, Wall};

use super::model::Found;
use super::plain_rule::KnownActivity;
use super::world::{Faults, USERS, WallClock, World};
use crate::engine::heartbeat::RunEnd;
use crate::engine::lifecycle::DOWN_MAX;
use crate::engine::tests::fixture::user;
use crate::engine::tests::stepped_engine::Stepped;

impl World {
    pub(super) fn set_wall(&mut self, by_millis: i64) {
        let clock = &self.daemon().clock;
        let to = clock.wall().as_millis().saturating_add(by_millis);
        clock.set_wall(Wall::from_millis(to));
    }

    pub(super) async fn watch(&mut self, index: usize, resumes: bool) {
        let mut watchers = std::mem::take(&mut self.watchers);
        let daemon = self.daemon();
        watchers[index].disconnect(daemon);
        let awaited = self.expect_snapshot(&watchers[index], resumes).await;
        let daemon = self.daemon();
        let is_watching = watchers[index].connect(daemon, resumes, awaited).await;
        assert!(is_watching || self.faults == Faults::Reads, "a watch was refused");
        self.watchers = watchers;
    }

    /// Writes what waits, and compares the disk.
    pub(super) async fn write(&mut self) {
        let is_all_written = self.daemon().try_write().await;
        assert!(is_all_written || self.faults == Faults::Writes, "a write failed");
        if self.faults != Faults::Reads {
            self.check_disk(is_all_written).await;
        }
    }

    pub(super) async fn retry(&mut self) {
        let engine = &self.daemon().engine;
        engine.retry_loads().await;
        engine.settle_unknown_outcomes().await;
        if self.faults != Faults::Reads {
            self.models.values_mut().for_each(|model| model.is_degraded = false);
        }
    }

    pub(super) async fn heartbeat(&mut self) {
        let saved = self.daemon().engine.save_heartbeat(RunEnd::Running).await;
        assert!(saved.is_ok() || self.faults == Faults::Writes);
        // What the database can't take is told beside it.
        self.heartbeat = (self.mono(), self.daemon().clock.wall());
    }

    /// kill -9, and a start.
    pub(super) async fn crash(&mut self, down_millis: u64, wall_off_millis: i64) {
        let daemon = self.take_daemon();
        self.start_again(daemon, RunEnd::Running, down_millis, wall_off_millis)
            .await;
    }

    /// SIGTERM, and a start.
    pub(super) async fn restart(&mut self, down_millis: u64, wall_off_millis: i64) {
        let daemon = self.take_daemon();
        daemon.engine.begin_drain();
        let end = daemon.finish().await;
        assert!(end == RunEnd::Clean || self.faults != Faults::None, "all was written");
        self.heartbeat = (self.began + daemon.clock.mono().as_millis(), daemon.clock.wall());
        self.start_again(daemon, end, down_millis, wall_off_millis).await;
    }

    async fn start_again(&mut self, daemon: Stepped, end: RunEnd, down_millis: u64, wall_off_millis: i64) {
        let died = self.began + daemon.clock.mono().as_millis();
        self.ends.push(end);
        self.began += daemon.clock.mono().as_millis() + down_millis;
        daemon.store.fail_reads(false);
        self.faults = Faults::None;
        let mut rows = Vec::new();
        for name in USERS {
            let row = daemon.stored(name).await.unwrap_or_default();
            let places = self.models[name].places(died);
            assert!(
                end != RunEnd::Clean || row.connected_on.len() == places,
                "{name}: {:?} on disk for {places} places",
                row.connected_on
            );
            rows.push((name, row.connected_on.len()));
        }
        let down = Duration::from_millis(down_millis);
        let wall = daemon
            .clock
            .wall()
            .after(down)
            .as_millis()
            .saturating_add(wall_off_millis);
        let daemon = daemon.crash_at(Wall::from_millis(wall)).await;
        self.set_daemon(daemon);
        self.clients.clear();
        self.watchers
            .iter_mut()
            .for_each(super::watcher::WalkWatcher::lose_connection);
        let was_down = self.daemon().clock.wall().since(self.heartbeat.1);
        for (name, places) in rows {
            self.find(name, places, was_down <= DOWN_MAX).await;
        }
        self.heartbeat = (self.mono(), self.daemon().clock.wall());
        self.has_stalled = false;
    }

    /// The model takes over what the new run found of a user.
    async fn find(&mut self, name: &'static str, places: usize, is_grace_due: bool) {
        let engine = &self.daemon().engine;
        let in_grace = engine.users.find(&user(name)).and_then(|entry| entry.state.grace());
        assert!(
            self.wall_clock == WallClock::Wrong || in_grace.is_some() == (places > 0 && is_grace_due),
            "{name} is in grace: {in_grace:?}"
        );
        assert!(
            in_grace.as_ref().is_none_or(|grace| grace.places() as usize == places),
            "{name}: {in_grace:?} of {places} places on disk"
        );
        let record = self.daemon().record(name).await;
        let found = Found {
            in_grace: in_grace.map(|grace| {
                let known = match grace.activity {
                    Activity::Unknown => None,
                    Activity::Idle => Some(KnownActivity::Idle),
                    Activity::Active => Some(KnownActivity::Active),
                };
                (known, grace.places() as usize)
            }),
            times: (record.last_seen, record.last_active),
        };
        let now = self.now();
        let began = self.began;
        let entry = self.daemon().engine.users.find(&user(name));
        let held: Vec<(u8, Option<u64>)> = entry.map_or_else(Vec::new, |entry| {
            let reports = entry.state.profile().reports().iter();
            let source = |report: &presence::Report| u8::from(report.source.as_str() == "right");
            reports
                .map(|report| (source(report), report.expires.map(|at| began + at.as_millis())))
                .collect()
        });
        let is_off = self.wall_clock == WallClock::Wrong || self.has_stalled;
        let model = self.model(name);
        model.restart(now, found);
        if is_off {
            model.find_reports(now, &held);
        }
    }
}
