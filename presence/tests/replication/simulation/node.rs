//! A node of the simulation: the machines of its partitions, and around them as little of a daemon as carries out what
//! they ask: sessions, what was told, links to Redis.

use std::collections::{BTreeMap, BTreeSet};

use presence::replication::{
    Answer, ChosenPage, ConnectionNumber, GRACE_LATE, Incarnation, Input, Knowledge, Partition, Reply, SharedPart,
    State, partition_of,
};
use presence::{
    CustomStatus, EndReason, Mono, Now, Reading, Revision, SessionId, Sessions, Status, SystemWall, UserId, Wall,
};

use crate::model;

/// Sessions of one user on one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct UserShell {
    pub(crate) sessions: Sessions,
    pub(crate) durable: Option<SharedPart>,
    /// What other services read of a user whom the database did not tell of.
    pub(crate) assumed: CustomStatus,
    pub(crate) revision: Revision,
    pub(crate) last_seen: Option<Wall>,
    pub(crate) last_active: Option<Wall>,
    /// Whether they moved here since the log was read last.
    pub(crate) has_unlogged_times: bool,
    pub(crate) chosen_until: Option<Wall>,
    /// Connections that nothing came from since the registration was ended, and until when they count as in grace.
    pub(crate) unconfirmed: BTreeSet<SessionId>,
    pub(crate) unconfirmed_until: Option<Mono>,
    /// Since when it has sessions without a break, in virtual µs.
    pub(crate) present_since: Option<u64>,
    /// When each connection began.
    pub(crate) began: BTreeMap<SessionId, u64>,
}

impl UserShell {
    fn knowledge(&self, mono: Mono) -> Knowledge {
        let mut sessions = self.sessions.clone();
        for id in &self.unconfirmed {
            let left = self
                .unconfirmed_until
                .map_or_else(Default::default, |until| until.since(mono));
            let now = Now {
                mono,
                wall: Wall::default(),
            };
            sessions.handle_end(now, *id, EndReason::Dropped, left);
        }
        let late = Mono::from_millis(
            mono.as_millis()
                .saturating_sub(u64::try_from(GRACE_LATE.as_millis()).unwrap()),
        );
        sessions.on_deadline(late);
        let contribution = sessions.contribution();
        Knowledge {
            contribution,
            grace_until: None,
            shown: None,
            places: sessions.grace().map_or(0, presence::GracePeriod::places),
            sessions: sessions.named_places().collect(),
            durable: self.durable.clone(),
            assumed: self.assumed,
            chosen_until: self.chosen_until,
            last_seen: self.last_seen.max(contribution.last_seen),
            last_active: self.last_active.max(contribution.last_active),
            has_unlogged_times: self.has_unlogged_times,
            revision: self.revision,
        }
    }

    /// The user was heard here: the log is to have it.
    pub(crate) fn take_times(&mut self, heard: Option<Wall>) {
        let contribution = self.sessions.contribution();
        self.last_seen = self.last_seen.max(contribution.last_seen).max(heard);
        self.last_active = self.last_active.max(contribution.last_active);
        self.has_unlogged_times = true;
    }

    /// The log has these times.
    pub(crate) fn note_logged(&mut self, last_seen: Option<Wall>, last_active: Option<Wall>) {
        self.has_unlogged_times &= self.last_seen > last_seen || self.last_active > last_active;
        self.last_seen = self.last_seen.max(last_seen);
        self.last_active = self.last_active.max(last_active);
    }

    /// Whether the node counts a connection or a grace period.
    pub(crate) fn is_present(&self, mono: Mono) -> bool {
        let mut sessions = self.sessions.clone();
        sessions.on_deadline(mono);
        sessions.is_present()
    }
}

/// What is told at once when it changes, to watchers or to those who may see more. Of who was never told: as of one never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub(crate) status: Status,
    pub(crate) custom: CustomStatus,
    pub(crate) is_degraded: bool,
    pub(crate) is_removed: bool,
}

impl Seen {
    pub(crate) fn of(state: &State) -> Self {
        Self {
            status: state.status,
            custom: state.durable.part.preference.custom,
            is_degraded: state.degraded,
            is_removed: state.is_removed(),
        }
    }
}

/// What a node told watchers of one user.
#[derive(Debug, Clone)]
pub(crate) struct ToldState {
    pub(crate) revision: Revision,
    /// What records are told at.
    pub(crate) record_revision: Revision,
    pub(crate) status: Status,
    pub(crate) version: presence::Version,
    pub(crate) seen: Seen,
    pub(crate) last_seen: Option<Wall>,
    /// When the last command was given.
    pub(crate) commanded: Option<Wall>,
}

/// What comes to a node. Waits while the node is stopped.
#[derive(Debug, Clone)]
pub(crate) enum Delivery {
    Answer(usize, ConnectionNumber, Option<Answer>),
    Reply(usize, u64, Option<Reply>),
    Deadline,
    Connect(UserId, SessionId),
    End(UserId, SessionId, EndReason),
    Heard(UserId, SessionId),
    Away(UserId, SessionId),
    Active(UserId, SessionId),
    /// A durable part that this node wrote; acknowledged now. With when a gateway was heard of the user.
    Committed(UserId, SharedPart, Option<Wall>),
    /// A record to write to the database.
    Write(UserId, Revision, Box<State>),
    Delete(UserId, Revision, presence::Version),
    Load(UserId),
    LoadTimes(usize, Vec<UserId>),
    LoadPresent(usize),
    LoadChosen(usize, u64, Option<UserId>),
    /// What the database had, on its way.
    Chosen(usize, ChosenPage),
    Sweep,
    Resume(u64),
}

pub(crate) struct Node {
    pub(crate) incarnation: Incarnation,
    pub(crate) is_alive: bool,
    pub(crate) is_stopping: bool,
    pub(crate) is_stalled: bool,
    pub(crate) deferred: Vec<Delivery>,
    /// How long it was stopped in all, µs.
    pub(crate) stalled: u64,
    /// When it began, µs: its monotonic clock counts from there.
    pub(crate) born: u64,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) users: BTreeMap<UserId, UserShell>,
    pub(crate) told: BTreeMap<UserId, ToldState>,
    pub(crate) asked: BTreeSet<UserId>,
    pub(crate) next_session: u64,
    /// The run of the server that each publisher's connection was opened to.
    pub(crate) publisher_links: BTreeMap<usize, (ConnectionNumber, u64)>,
    pub(crate) under_way: BTreeSet<(usize, ConnectionNumber)>,
    /// What the follower reads instead of what is there.
    pub(crate) frozen: Option<Vec<model::Partition>>,
    pub(crate) hold_publisher: u64,
    /// Until then, calls over the connection of that number are on the way.
    pub(crate) hold_calls: (ConnectionNumber, u64),
    pub(crate) hold_follower: u64,
    /// Until then it is cut off or stopped by itself, or was a moment ago.
    pub(crate) faulty_until: u64,
    pub(crate) ready: BTreeSet<usize>,
    /// Since when each partition is reachable.
    pub(crate) reachable_since: BTreeMap<usize, u64>,
    /// Partitions of which it says that Redis refuses what some node adds.
    pub(crate) lacking: BTreeSet<usize>,
    /// The partitions that it reached at least once.
    pub(crate) reached: BTreeSet<usize>,
    pub(crate) epoch_since: BTreeMap<usize, (presence::replication::Epoch, u64)>,
    pub(crate) wakes_at: u64,
}

impl Node {
    pub(crate) fn mono(&self, now: u64) -> Mono {
        Mono::from_millis((now - self.born).saturating_sub(self.stalled) / 1_000)
    }

    pub(crate) fn reading(&self, now: u64) -> Reading {
        Reading {
            mono: self.mono(now),
            system: SystemWall::from_millis(i64::try_from(now / 1_000).unwrap()),
            records_ahead: 0,
        }
    }

    pub(crate) fn partition_index(&self, user: &UserId) -> usize {
        usize::from(partition_of(user, u16::try_from(self.partitions.len()).unwrap()))
    }

    /// Gives a partition an input.
    pub(crate) fn input(&mut self, now: u64, index: usize, handle: impl FnOnce(&mut Partition, Input<'_>)) {
        let reading = self.reading(now);
        let Self { partitions, users, .. } = self;
        let own = |user: &UserId| users.get(user).map(|shell| shell.knowledge(reading.mono));
        handle(&mut partitions[index], Input { reading, own: &own });
    }

    pub(crate) fn touch(&mut self, now: u64, user: &UserId) {
        let mono = self.mono(now);
        if let Some(shell) = self.users.get_mut(user) {
            let is_present = shell.is_present(mono);
            shell.present_since = match (is_present, shell.present_since) {
                (true, None) => Some(now),
                (true, since) => since,
                (false, _) => None,
            };
        }
        let index = self.partition_index(user);
        self.input(now, index, |partition, input| partition.handle_touch(input, user));
    }

    /// Whether it says of users of this partition that what it has may be behind.
    pub(crate) fn is_stale(&self, partition: usize) -> bool {
        !self.partitions[partition].is_reachable() || self.lacking.contains(&partition)
    }

    pub(crate) fn is_accepting(&self) -> bool {
        self.is_alive && !self.is_stalled && !self.is_stopping && self.ready.len() == self.partitions.len()
    }

    /// The record time for a user.
    pub(crate) fn now_of(&self, now: u64, user: &UserId) -> Now {
        let reading = self.reading(now);
        let time = self.partitions[self.partition_index(user)].time(reading);
        let told = self
            .users
            .get(user)
            .and_then(|shell| shell.last_seen.max(shell.sessions.contribution().last_seen));
        Now {
            mono: reading.mono,
            wall: told.map_or(time, |told| told.max(time)),
        }
    }

    /// The next moment at which something is due by itself, in virtual µs.
    pub(crate) fn next_wake(&self, now: u64) -> u64 {
        let partitions = self.partitions.iter().map(Partition::next_deadline).min();
        let sessions = self.users.values().filter_map(|shell| {
            let late = shell.sessions.next_deadline().map(|at| at.after(GRACE_LATE));
            [late, shell.unconfirmed_until].into_iter().flatten().min()
        });
        let first = partitions.into_iter().chain(sessions).min();
        let millis = first.map_or(0, Mono::as_millis);
        (self.born + self.stalled + millis * 1_000).max(now + 1_000)
    }
}
