//! A model of the scripts and commands of one partition, as [`Call`] and [`Question`] describe them. What the tests of other
//! packages check against a real server is checked against this as well.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use presence::replication::{
    Answer, Call, Caller, ConnectionNumber, Content, ENDS_KEPT, Entry, Epoch, Incarnation, KeptEnd, Listed, Outcome,
    Question, READ_ENTRIES_MAX, Reply, StatePage, TIME_MAX_MICROS, UserOffer, stable_hash,
};
use presence::{CustomStatus, Revision, UserId, Wall};

/// In how many parts the state is read.
const PAGES: u64 = 4;

/// The server as a script sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Server {
    /// Its clock, in µs.
    pub(crate) micros: u64,
    /// Its run id.
    pub(crate) run: u64,
    /// Whether its memory is full.
    pub(crate) is_full: bool,
}

impl Server {
    pub(crate) fn time(self) -> Wall {
        Wall::from_millis(i64::try_from(self.micros / 1000).unwrap())
    }
}

/// One partition as the server holds it.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    pub(crate) state: BTreeMap<UserId, (Revision, Vec<u8>)>,
    pub(crate) registrations: BTreeMap<Incarnation, (ConnectionNumber, Vec<u8>)>,
    pub(crate) head: Revision,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) run: Option<u64>,
    pub(crate) log: VecDeque<Entry>,
    pub(crate) log_max: usize,
    pub(crate) online: BTreeSet<UserId>,
    pub(crate) custom: BTreeMap<UserId, CustomStatus>,
    /// How many custom statuses there are by what was offered and listed in this epoch; none if that is not known.
    pub(crate) custom_count: Option<usize>,
    /// A new list of custom statuses, while this incarnation makes one.
    pub(crate) new_custom: Option<(Incarnation, BTreeMap<UserId, CustomStatus>)>,
    /// The last ends of registrations in this epoch, of incarnations that are not registered.
    pub(crate) ends: VecDeque<KeptEnd>,
    /// The last entry that dropped users.
    pub(crate) dropped: Revision,
    /// The rule that is taken out, for tests of the tests.
    pub(crate) without: Option<ScriptRule>,
}

/// Rules of the scripts that a test takes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScriptRule {
    /// Another run id begins a new epoch.
    RunId,
    /// Calls name the registered connection.
    Connection,
    /// An offer names the stored revision.
    Compare,
    /// A revision is above the floor.
    Floor,
    /// Custom statuses are not listed by a node that has not read who was dropped.
    ReadTo,
}

impl ScriptRule {
    /// Every rule, in the order above.
    pub(crate) const ALL: [Self; 5] = [Self::RunId, Self::Connection, Self::Compare, Self::Floor, Self::ReadTo];
}

impl Default for Partition {
    fn default() -> Self {
        Self {
            state: BTreeMap::new(),
            registrations: BTreeMap::new(),
            head: Revision::NEVER,
            epoch: None,
            run: None,
            log: VecDeque::new(),
            log_max: 10_000,
            online: BTreeSet::new(),
            custom: BTreeMap::new(),
            custom_count: None,
            new_custom: None,
            ends: VecDeque::new(),
            dropped: Revision::NEVER,
            without: None,
        }
    }
}

impl Partition {
    /// Everything is lost.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            log_max: self.log_max,
            without: self.without,
            ..Self::default()
        };
    }

    /// The key of the state is lost, the others stay.
    pub(crate) fn lose_state(&mut self) {
        self.state.clear();
        self.registrations.clear();
        self.head = Revision::NEVER;
        self.epoch = None;
        self.run = None;
        self.custom_count = None;
        self.new_custom = None;
        self.ends.clear();
        self.dropped = Revision::NEVER;
    }

    /// All but the last entries are lost.
    pub(crate) fn trim(&mut self, left: usize) {
        while self.log.len() > left {
            self.log.pop_front();
        }
    }

    /// Runs a script.
    pub(crate) fn call(&mut self, server: Server, call: &Call) -> Answer {
        match call {
            Call::Register {
                caller,
                node,
                new_epoch,
                floor,
            } => {
                let last = self.log.back().map_or(Revision::NEVER, |entry| entry.id);
                self.head = self.head.max(last).max(*floor);
                self.register(server, *caller, node, *new_epoch)
            }
            Call::Offer { caller, users } => self.if_registered(*caller, |partition| Answer::Offered {
                time: server.time(),
                outcomes: users
                    .iter()
                    .map(|offer| partition.offer(server, caller.incarnation, offer))
                    .collect(),
            }),
            Call::Tick { caller, content } => self.if_registered(*caller, |partition| {
                let content = Content::Tick {
                    by: caller.incarnation,
                    content: content.clone(),
                };
                partition.tick(server, content)
            }),
            Call::List { caller, listing } => self.if_registered(*caller, |partition| Answer::Listed {
                time: server.time(),
                outcome: partition.list(server, caller.incarnation, listing),
            }),
            Call::End { caller, ended, grace } => self.if_registered(*caller, |partition| {
                partition.end(server, caller.incarnation, *ended, *grace)
            }),
            Call::Drop { caller, users } => self.if_registered(*caller, |partition| {
                partition.drop_users(server, caller.incarnation, users)
            }),
        }
    }

    /// Answers a follower. A read is answered at once: who waits is the caller's business.
    pub(crate) fn ask(&self, question: Question) -> Reply {
        match question {
            Question::Read { after } => {
                let newer = self.log.iter().filter(|entry| entry.id > after);
                Reply::Entries(newer.take(READ_ENTRIES_MAX).cloned().collect())
            }
            Question::Head => Reply::Head {
                head: self.head,
                epoch: self.epoch,
            },
            Question::Page { place } => Reply::Page(self.page(place)),
        }
    }

    fn if_registered(&mut self, caller: Caller, script: impl FnOnce(&mut Self) -> Answer) -> Answer {
        let registered = self.registrations.get(&caller.incarnation);
        match registered {
            Some((number, _)) if *number == caller.connection || self.without == Some(ScriptRule::Connection) => {
                script(self)
            }
            _ => Answer::NotRegistered,
        }
    }

    fn register(&mut self, server: Server, caller: Caller, node: &[u8], new_epoch: u64) -> Answer {
        let is_other_server = self.run != Some(server.run) && self.without != Some(ScriptRule::RunId);
        let epoch = match self.epoch {
            Some(epoch) if !is_other_server => epoch,
            _ => {
                let start = self.next(server, Revision::NEVER);
                let epoch = Epoch {
                    start,
                    random: new_epoch,
                };
                self.append(start, Content::Epoch(epoch));
                self.registrations.clear();
                self.ends.clear();
                self.custom_count = None;
                self.new_custom = None;
                self.run = Some(server.run);
                *self.epoch.insert(epoch)
            }
        };
        let known = self.registrations.get(&caller.incarnation).map(|(number, _)| *number);
        if known.is_none() {
            self.ends.retain(|end| end.incarnation != caller.incarnation);
            let id = self.next(server, Revision::NEVER);
            self.append(
                id,
                Content::Registered {
                    incarnation: caller.incarnation,
                    node: node.to_vec(),
                },
            );
        }
        if known.is_none_or(|known| known < caller.connection) {
            let registration = (caller.connection, node.to_vec());
            self.registrations.insert(caller.incarnation, registration);
        }
        Answer::Registered {
            epoch,
            head: self.head,
            time: server.time(),
            is_new: known.is_none(),
        }
    }

    fn offer(&mut self, server: Server, by: Incarnation, offer: &UserOffer) -> Outcome {
        let stored = self.state.get(&offer.user);
        if stored.map(|(revision, _)| *revision) != offer.base && self.without != Some(ScriptRule::Compare) {
            return Outcome::Stored(stored.cloned());
        }
        if server.is_full && offer.is_present {
            return Outcome::Full;
        }
        let has_floor = self.without != Some(ScriptRule::Floor);
        let floor = if has_floor { offer.floor } else { Revision::NEVER };
        let id = self.next(server, floor);
        self.append(
            id,
            Content::State {
                user: offer.user.clone(),
                state: offer.state.clone(),
                by,
            },
        );
        self.state.insert(offer.user.clone(), (id, offer.state.clone()));
        if offer.is_present {
            self.online.insert(offer.user.clone());
        } else {
            self.online.remove(&offer.user);
        }
        match offer.listed {
            Listed::Keep => {}
            Listed::Remove => self.set_custom(&offer.user, None),
            Listed::Set(custom) => self.set_custom(&offer.user, Some(custom)),
        }
        Outcome::Taken(id)
    }

    fn end(&mut self, server: Server, by: Incarnation, ended: Incarnation, grace: Duration) -> Answer {
        let was_registered = self.registrations.remove(&ended).is_some();
        let content = Content::Ended {
            incarnation: ended,
            grace,
            by,
        };
        let answer = self.note(server, was_registered.then_some(content));
        if let Answer::Noted { revision: Some(id), .. } = answer {
            self.ends.retain(|end| end.incarnation != ended);
            self.ends.push_front(KeptEnd {
                incarnation: ended,
                id,
                grace,
            });
            self.ends.truncate(ENDS_KEPT);
        }
        answer
    }

    fn drop_users(&mut self, server: Server, by: Incarnation, users: &[(UserId, Revision)]) -> Answer {
        let is_stored =
            |(user, revision): &&(UserId, Revision)| self.state.get(user).is_some_and(|(stored, _)| stored == revision);
        let dropped: Vec<UserId> = users.iter().filter(is_stored).map(|(user, _)| user.clone()).collect();
        for user in &dropped {
            self.state.remove(user);
            self.online.remove(user);
        }
        let content = (!dropped.is_empty()).then_some(Content::Dropped { users: dropped, by });
        let answer = self.note(server, content);
        if let Answer::Noted { revision: Some(id), .. } = answer {
            self.dropped = id;
        }
        answer
    }

    fn note(&mut self, server: Server, content: Option<Content>) -> Answer {
        let revision = content.map(|content| {
            let id = self.next(server, Revision::NEVER);
            self.append(id, content);
            id
        });
        Answer::Noted {
            time: server.time(),
            revision,
        }
    }

    pub(crate) fn next(&self, server: Server, floor: Revision) -> Revision {
        let time = server.micros.min(TIME_MAX_MICROS);
        Revision::new(time.max(self.head.get() + 1).max(floor.get() + 1))
    }

    pub(crate) fn append(&mut self, id: Revision, content: Content) {
        self.log.push_back(Entry {
            id,
            before: self.head,
            content,
        });
        self.head = id;
        self.trim(self.log_max);
    }

    /// A part of the state, with half of the one before once more.
    fn page(&self, place: u64) -> StatePage {
        let is_here = |user: &UserId| {
            let hash = stable_hash(user.as_str().as_bytes()) >> 7;
            let part = hash % PAGES;
            part == place || part + 1 == place && (hash / PAGES).is_multiple_of(2)
        };
        let users = self.state.iter().filter(|(user, _)| is_here(user));
        let registrations = self.registrations.iter().filter(|(one, _)| one.0 % PAGES == place);
        StatePage {
            users: users
                .map(|(user, (revision, state))| (user.clone(), *revision, state.clone()))
                .collect(),
            registrations: registrations
                .map(|(one, (number, node))| (*one, *number, node.clone()))
                .collect(),
            ends: match place {
                2 => self.ends.iter().cloned().collect(),
                _ => Vec::new(),
            },
            next: (place + 1 < PAGES).then_some(place + 1),
        }
    }
}
