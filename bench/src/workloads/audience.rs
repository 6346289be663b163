//! Watchers of the same users, and what each of them was told last.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::clock::Stopwatch;
use crate::generator::{Client, Generator, Input, request};
use crate::record::{self, Kind, Seen, Status};
use crate::server::Server;
use crate::user::User;

/// How many handshakes are under way at a time while an audience gathers.
const HANDSHAKES: usize = 64;

/// A record as a watcher was told it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Latest {
    pub(super) revision: u64,
    pub(super) status: Status,
}

/// A change as it arrived at a watcher.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) watcher: usize,
    pub(super) revision: u64,
    /// Seconds since the audience began to listen.
    pub(super) at: f64,
}

/// Connections `0..watchers` of users of their own, each watching users `0..targets`. Further connections are the targets'.
pub(super) struct Audience {
    watchers: usize,
    targets: usize,
    /// How many watchers have their whole snapshot.
    ready: usize,
    /// By watcher and target.
    told: Vec<Latest>,
    clock: Stopwatch,
    /// Since the last look; kept for one target alone.
    pub(super) arrivals: Vec<Arrival>,
    /// How many changes watchers were told of.
    pub(super) told_count: usize,
    /// The revisions that answers to the targets' messages had, in order.
    pub(super) acknowledged: Vec<u64>,
    /// How many connections of targets were greeted, and closed.
    pub(super) greeted: usize,
    pub(super) closed: usize,
    watch: String,
}

impl Audience {
    /// Connects the watchers, and waits until each has its snapshot.
    pub(super) fn gather(generator: &mut Generator, server: &Server, watchers: usize, targets: usize) -> Result<Self> {
        let mut audience = Self {
            watchers,
            targets,
            ready: 0,
            told: vec![Latest::default(); watchers * targets],
            clock: Stopwatch::start(),
            arrivals: Vec::new(),
            told_count: 0,
            acknowledged: Vec::new(),
            greeted: 0,
            closed: 0,
            watch: request::watch(0..targets),
        };
        for watcher in 0..watchers {
            let connection = generator.open(server.address(), &request::upgrade(server, targets + watcher)?)?;
            ensure!(connection == watcher, "the watchers are the first connections");
            generator.run(&mut audience, |audience| audience.ready + HANDSHAKES > watcher)?;
        }
        generator.run(&mut audience, |audience| audience.ready == watchers)?;
        Ok(audience)
    }

    /// Seconds since the audience began to listen.
    pub(super) fn now(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }

    /// Handles what comes in until then.
    pub(super) fn wait_until(&mut self, generator: &mut Generator, due: f64) -> Result<()> {
        while self.now() < due {
            let left = Duration::from_secs_f64((due - self.now()).max(0.0));
            generator.poll(self, left)?;
        }
        Ok(())
    }

    /// What each watcher was told last of a target.
    pub(super) fn told_of(&self, target: User) -> impl Iterator<Item = Latest> {
        self.told.iter().skip(target).step_by(self.targets).copied()
    }

    fn note(&mut self, watcher: usize, seen: &Seen<'_>) {
        if seen.user >= self.targets {
            return;
        }
        let latest = Latest {
            revision: seen.revision(),
            status: seen.status,
        };
        let told = &mut self.told[watcher * self.targets + seen.user];
        if latest.revision <= told.revision {
            return;
        }
        *told = latest;
        self.told_count += 1;
        if self.targets == 1 {
            let at = self.now();
            self.arrivals.push(Arrival {
                watcher,
                revision: latest.revision,
                at,
            });
        }
    }

    fn on_watcher(&mut self, generator: &mut Generator, watcher: usize, text: &[u8]) -> Result<()> {
        match Kind::of(text) {
            Kind::Welcome => return generator.send(watcher, &self.watch),
            Kind::Snapshot { is_done } => self.ready += usize::from(is_done),
            Kind::Presence => {}
            Kind::Ok | Kind::Other => anyhow::bail!("a watcher was told {}", String::from_utf8_lossy(text)),
        }
        record::records(text).for_each(|seen| self.note(watcher, &seen));
        Ok(())
    }

    fn on_target(&mut self, text: &[u8]) -> Result<()> {
        match Kind::of(text) {
            Kind::Welcome => self.greeted += 1,
            Kind::Ok => self
                .acknowledged
                .extend(record::records(text).map(|seen| seen.revision())),
            Kind::Presence => {}
            Kind::Snapshot { .. } | Kind::Other => {
                anyhow::bail!("a target was told {}", String::from_utf8_lossy(text))
            }
        }
        Ok(())
    }
}

impl Client for Audience {
    fn on_input(&mut self, generator: &mut Generator, connection: usize, input: Input<'_>) -> Result<()> {
        match input {
            Input::Text(text) if connection < self.watchers => self.on_watcher(generator, connection, text),
            Input::Text(text) => self.on_target(text),
            Input::Closed if connection >= self.watchers => {
                self.closed += 1;
                Ok(())
            }
            Input::Closed | Input::Response { .. } => anyhow::bail!("a watcher was disconnected"),
        }
    }
}
