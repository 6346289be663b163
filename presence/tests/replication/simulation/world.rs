//! N nodes, one Redis, one database and the links between them, in virtual time: every step follows from the seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use presence::replication::{
    Call, ConnectionNumber, Incarnation, NodeInfo, Partition, Question, Reply, Rule, Settings, Start,
};
use presence::{SessionId, SessionName, UserId, Wall};

use super::database::Database;
use super::graces::Graces;
use super::node::{Delivery, Node};
use super::rng::Rng;
use crate::model::{self, ScriptRule};

pub(crate) const SECOND: u64 = 1_000_000;
/// Where the clocks begin, so that they can go back.
pub(crate) const BEGIN: u64 = 1_000_000 * SECOND;

pub(crate) enum Event {
    /// A call arrives at the server, unless its link is held.
    Call(usize, Incarnation, usize, ConnectionNumber, Call),
    Ask(usize, Incarnation, usize, u64, Question),
    /// A blocked read ends without an entry.
    ReadEnds(u64),
    Deliver(usize, Incarnation, Delivery),
    User(usize),
    Fault,
    ServerBack(Option<Vec<model::Partition>>),
    DatabaseBack,
    MemoryBack,
    Boot(usize, Option<Incarnation>),
    Snapshot,
    Heal,
    /// Somebody changes or deletes by hand what other services read.
    Hand,
    /// All must agree by now, if no fault has come back.
    Soon,
    /// What a plan does at this moment.
    Planned(Box<dyn FnOnce(&mut World)>),
}

pub(crate) struct Reader {
    pub(crate) node: usize,
    pub(crate) incarnation: Incarnation,
    pub(crate) partition: usize,
    pub(crate) generation: u64,
    pub(crate) after: presence::Revision,
}

/// One position of a client, with what it had been sent.
pub(crate) struct ClientCursor {
    pub(crate) epochs: Vec<presence::replication::Epoch>,
    pub(crate) watermark: presence::Revision,
    pub(crate) records: BTreeMap<UserId, (presence::Revision, presence::Status)>,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "what is down, full, healed and printed are independent"
)]
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) queue: BTreeMap<(u64, u64), Event>,
    pub(crate) steps: u64,
    pub(crate) number: u64,
    pub(crate) rng: Rng,
    pub(crate) settings: Settings,
    pub(crate) partitions: Vec<model::Partition>,
    pub(crate) is_up: bool,
    pub(crate) run: u64,
    pub(crate) skew: i64,
    /// When Redis's clock was last set forward: what is kept for a time may be over at once.
    pub(crate) jumped_at: u64,
    pub(crate) is_full: bool,
    pub(crate) history: VecDeque<(u64, Vec<model::Partition>)>,
    pub(crate) readers: BTreeMap<u64, Reader>,
    pub(crate) database: Database,
    pub(crate) nodes: Vec<Node>,
    /// Nodes that did not start because another had their name.
    pub(crate) refused: BTreeSet<usize>,
    pub(crate) users: Vec<UserId>,
    /// Where each user's clients are.
    pub(crate) clients: BTreeMap<UserId, Vec<(usize, Incarnation, SessionId)>>,
    /// The session that each user's client lost last, until it is back.
    pub(crate) lost: BTreeMap<UserId, SessionName>,
    /// Users of whom two clients have lost the same session, until the first of them is back.
    pub(crate) named_again: BTreeSet<UserId>,
    /// Whether the nodes where a lost session was named continue it, as they read it.
    pub(crate) decided: BTreeMap<SessionName, Vec<(usize, bool)>>,
    /// The lost sessions that others continue.
    pub(crate) continued: BTreeMap<UserId, BTreeSet<SessionName>>,
    pub(crate) acknowledged: BTreeMap<UserId, presence::Version>,
    pub(crate) commanded: BTreeMap<UserId, u64>,
    /// When the state of each user was offered last.
    pub(crate) changed_at: BTreeMap<UserId, u64>,
    /// When each command was first in the log.
    pub(crate) first_commanded: BTreeMap<(UserId, Incarnation, Wall), u64>,
    pub(crate) graces: Graces,
    /// When the last two entries of each incarnation came.
    pub(crate) heard: BTreeMap<(usize, Incarnation), (u64, u64)>,
    pub(crate) cursors: Vec<ClientCursor>,
    pub(crate) is_quiet: bool,
    /// When the last fault was over.
    pub(crate) calm_since: u64,
    pub(crate) trace: VecDeque<String>,
    pub(crate) keeps_all: bool,
    pub(crate) failures: Vec<String>,
    pub(crate) max_time: u64,
    /// Everything is as a plan says: nothing is random, and every way takes a millisecond.
    pub(crate) is_planned: bool,
    /// When what must hold at the end is checked.
    pub(crate) end: u64,
    incarnations: u64,
}

impl World {
    /// Users, operators and faults follow from the seed.
    pub(crate) fn new(seed: u64, without: &'static [Rule], script: Option<ScriptRule>) -> Self {
        let mut rng = Rng::new(seed);
        let partitions = rng.pick(&[1, 1, 2, 3]);
        let log_max = rng.pick(&[6, 40, 10_000]);
        let mut world = Self::empty(rng, (partitions, log_max), without, script);
        world.begin();
        world
    }

    /// Everything is as `plan` says, in one partition.
    pub(crate) fn planned(plan: fn(&mut Self), without: &'static [Rule], script: Option<ScriptRule>) -> Self {
        let mut world = Self::empty(Rng::new(0), (1, 10_000), without, script);
        world.is_planned = true;
        for index in 0..3 {
            world.boot(index, None);
        }
        world.at(SECOND / 5, Event::Snapshot);
        plan(&mut world);
        world
    }

    fn empty(
        mut rng: Rng,
        (partitions, log_max): (usize, usize),
        without: &'static [Rule],
        script: Option<ScriptRule>,
    ) -> Self {
        let model = model::Partition {
            log_max,
            without: script,
            ..model::Partition::default()
        };
        let millis = std::time::Duration::from_millis;
        Self {
            now: BEGIN,
            queue: BTreeMap::new(),
            steps: 0,
            number: 0,
            settings: Settings {
                lease: millis(15_000),
                node_grace: millis(12_000),
                restart_grace: millis(20_000),
                command_kept: super::convergence::COMMAND_KEPT,
                sessions_max: 3,
                without,
            },
            partitions: vec![model; partitions],
            is_up: true,
            run: 1,
            skew: 0,
            jumped_at: 0,
            is_full: false,
            history: VecDeque::new(),
            readers: BTreeMap::new(),
            database: Database {
                is_up: true,
                ..Database::default()
            },
            nodes: Vec::new(),
            refused: BTreeSet::new(),
            users: (0..8)
                .map(|number| UserId::new(&format!("u{number}")).unwrap())
                .collect(),
            clients: BTreeMap::new(),
            lost: BTreeMap::new(),
            named_again: BTreeSet::new(),
            decided: BTreeMap::new(),
            continued: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            commanded: BTreeMap::new(),
            changed_at: BTreeMap::new(),
            first_commanded: BTreeMap::new(),
            graces: Graces::default(),
            heard: BTreeMap::new(),
            cursors: Vec::new(),
            is_quiet: false,
            calm_since: 0,
            trace: VecDeque::new(),
            keeps_all: false,
            failures: Vec::new(),
            max_time: BEGIN,
            is_planned: false,
            end: BEGIN + 180 * SECOND,
            incarnations: rng.next() >> 8,
            rng,
        }
    }

    fn begin(&mut self) {
        for index in 0..3 {
            self.boot(index, None);
        }
        for index in 0..self.users.len() {
            let at = self.rng.within(0, 3 * SECOND);
            self.at(at, Event::User(index));
        }
        self.at(8 * SECOND, Event::Fault);
        let hand = self.rng.within(5 * SECOND, 60 * SECOND);
        self.at(hand, Event::Hand);
        self.at(SECOND / 5, Event::Snapshot);
        self.at(90 * SECOND, Event::Heal);
    }

    pub(crate) fn at(&mut self, after: u64, event: Event) {
        self.number += 1;
        self.queue.insert((self.now + after, self.number), event);
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace.len() >= 120 && !self.keeps_all {
            self.trace.pop_front();
        }
        let seconds = (self.now - BEGIN) as f64 / SECOND as f64;
        self.trace.push_back(format!("{seconds:10.4} {}", what()));
    }

    pub(crate) fn fail(&mut self, what: String) {
        self.note(|| format!("VIOLATION {what}"));
        self.failures.push(what);
    }

    /// Runs to the end, or to the first violation. The steps made.
    pub(crate) fn run(&mut self) {
        while self.failures.is_empty() {
            let Some(((at, _), event)) = self.queue.pop_first() else {
                break;
            };
            if at > self.end {
                self.now = self.end;
                self.check_end();
                break;
            }
            self.now = at;
            self.steps += 1;
            if self.queue.len() > 20_000 {
                self.fail("more than 20,000 events wait".to_owned());
            }
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Call(node, incarnation, partition, connection, call) => {
                self.handle_call((node, incarnation), partition, connection, call);
            }
            Event::Ask(node, incarnation, partition, generation, question) => {
                self.handle_question((node, incarnation), partition, generation, question);
            }
            Event::ReadEnds(reader) => {
                if let Some(reader) = self.readers.remove(&reader) {
                    self.reply(&reader, Some(Reply::Entries(Vec::new())));
                }
            }
            Event::Deliver(node, incarnation, delivery) => self.deliver(node, incarnation, delivery),
            Event::User(index) => self.step_user(index),
            Event::Fault => self.step_fault(),
            Event::Hand => self.step_hand(),
            Event::ServerBack(copy) => self.start_server(copy),
            Event::DatabaseBack => self.database.is_up = true,
            Event::MemoryBack => self.is_full = false,
            Event::Boot(index, previous) => self.boot(index, previous),
            Event::Snapshot => self.keep_snapshot(),
            Event::Heal => self.heal(),
            Event::Soon => self.check_soon(),
            Event::Planned(action) => action(self),
        }
    }

    pub(crate) fn boot(&mut self, index: usize, previous: Option<Incarnation>) {
        self.boot_as(index, previous, format!("node-{index}"));
    }

    pub(crate) fn boot_as(&mut self, index: usize, previous: Option<Incarnation>, name: String) {
        self.incarnations += 1;
        let incarnation = Incarnation(self.incarnations);
        self.note(|| format!("boot {index} as {incarnation}"));
        let now = self.now;
        let mut node = Node {
            incarnation,
            is_alive: true,
            is_stopping: false,
            is_stalled: false,
            deferred: Vec::new(),
            stalled: 0,
            born: now,
            partitions: Vec::new(),
            users: BTreeMap::new(),
            told: BTreeMap::new(),
            asked: Default::default(),
            next_session: 0,
            publisher_links: BTreeMap::new(),
            under_way: Default::default(),
            frozen: None,
            hold_publisher: 0,
            hold_calls: (ConnectionNumber::default(), 0),
            hold_follower: 0,
            faulty_until: 0,
            ready: Default::default(),
            reachable_since: BTreeMap::new(),
            lacking: BTreeSet::new(),
            reached: std::collections::BTreeSet::new(),
            epoch_since: BTreeMap::new(),
            wakes_at: 0,
        };
        for _ in 0..self.partitions.len() {
            let graces = previous.into_iter().map(|one| (one, self.settings.restart_grace));
            let start = Start {
                own: incarnation,
                previous: graces.collect(),
                node: NodeInfo {
                    name: name.clone(),
                    format: presence::replication::FORMAT,
                    ..NodeInfo::default()
                },
                settings: self.settings,
                seed: self.rng.next(),
            };
            let mut partition = Partition::new(start, node.reading(now));
            if !self.is_planned {
                partition.set_scan_users_max(self.rng.pick(&[1, 3, 1_000]));
            }
            node.partitions.push(partition);
        }
        if index == self.nodes.len() {
            self.nodes.push(node);
        } else {
            self.nodes[index] = node;
        }
        self.note_calm(now);
        let sweep = self.rng.within(0, 5 * SECOND);
        self.at(sweep, Event::Deliver(index, incarnation, Delivery::Sweep));
        self.at(0, Event::Deliver(index, incarnation, Delivery::Deadline));
    }

    fn heal(&mut self) {
        self.note(|| "heal".to_owned());
        self.is_quiet = true;
        if self.skew < 0 {
            self.skew = 0;
            self.jumped_at = self.now;
        }
        self.start_server(None);
        self.database.is_up = true;
        self.is_full = false;
        let mut over = self.now;
        for node in &mut self.nodes {
            // What is on the way comes when it would have come.
            over = over.max(node.hold_publisher).max(node.hold_follower);
            node.hold_publisher = 0;
            node.hold_follower = 0;
        }
        self.note_calm(over);
    }

    /// A fault is over that went on after the others: a node that was stopped, or gone.
    pub(crate) fn note_calm(&mut self, since: u64) {
        if self.is_quiet {
            self.calm_since = self.calm_since.max(since);
            self.at(since + 10 * SECOND - self.now, Event::Soon);
        }
    }

    /// Clients whose node is gone, or that were ended by their node, are not connected.
    pub(crate) fn connected(&mut self, user: &UserId) -> Vec<(usize, Incarnation, SessionId)> {
        let nodes = &self.nodes;
        let is_open = |(index, incarnation, id): &(usize, Incarnation, SessionId)| {
            let node = &nodes[*index];
            let shell = node.users.get(user);
            let has = shell.is_some_and(|shell| shell.sessions.connections().iter().any(|one| one.id == *id));
            node.is_alive && node.incarnation == *incarnation && has
        };
        let clients = self.clients.entry(user.clone()).or_default();
        let gone = clients.iter().rfind(|client| !is_open(client)).copied();
        clients.retain(is_open);
        let open = clients.clone();
        self.note_lost(user, gone);
        open
    }
}
